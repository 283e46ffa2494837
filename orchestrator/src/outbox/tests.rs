//! What the outbox promises, whatever a channel makes of its texts.

use tokio::task::JoinSet;

use super::*;
use crate::channel::{Channel, Deed, Deeds, Prefix, Staged};
use crate::clock::Move;
use crate::store::{Delivery, Receipt};

struct Stage {
    _root: tempfile::TempDir,
    house: House,
    outbox: Outbox,
    deeds: Deeds,
    serving: JoinSet<()>,
}

fn stage() -> Stage {
    let root = tempfile::tempdir().unwrap();
    let house = House::staged(root.path(), "");
    let (staged, deeds) = Staged::new();
    let channels = Channels::new(
        vec![Channel::Http, Channel::Staged(staged)],
        Prefix::OwnNumber,
    );
    let (outbox, woken) = Outbox::new();
    let mut serving = JoinSet::new();
    serving.spawn(serve(woken, house.clone(), channels));
    Stage {
        _root: root,
        house,
        outbox,
        deeds,
        serving,
    }
}

impl Stage {
    /// Says something in the chat `<chat>@g.us`.
    async fn say(&self, chat: &str, text: &str) {
        self.say_in(&format!("{chat}@g.us"), text).await;
    }

    async fn say_in(&self, chat: &str, text: &str) {
        let receipt = Receipt {
            group: "main".parse().unwrap(),
            file: text.to_owned(),
        };
        let chat = chat.parse().unwrap();
        let said = (vec![text.to_owned()], None);
        let now = self.house.clock.now();
        let store = &self.house.store;
        store
            .queue_ipc_text(receipt, chat, said, now)
            .await
            .unwrap();
        self.wake().await;
    }

    async fn wake(&self) {
        self.outbox.wake(self.house.clock.busy(Work::Outbox)).await;
    }

    async fn channel_is_back(&self) {
        let busy = self.house.clock.busy(Work::Outbox);
        self.outbox.channel_is_back(busy).await;
    }

    /// The next text that a channel is to send, with its id, and where to answer.
    async fn asked(&mut self) -> (String, String, crate::channel::Answer) {
        match self.deeds.next().await {
            Deed::Send(text, answer) => (text.text, text.message_id, answer),
            other @ (Deed::Type(..) | Deed::Refresh(_)) => panic!("{other:?}"),
        }
    }

    /// The next text is asked for, and this is what comes of it.
    async fn answers(&mut self, expected: &str, came_to: Result<(), SendError>) -> String {
        let (text, id, answer) = self.asked().await;
        assert_eq!(text, expected);
        answer.send(came_to).unwrap();
        id
    }

    async fn advance(&self, by: u64) {
        let moved = Move {
            to: self.house.clock.after(Duration::from_secs(by)),
            patience: Duration::from_secs(20),
            leave_runs: false,
        };
        assert_eq!(self.house.clock.advance(moved).await.busy, [""; 0]);
    }

    async fn settle(&self) {
        self.advance(0).await;
    }

    async fn states(&self) -> String {
        let counts = self.house.store.status().await.unwrap().outbox;
        let counts: Vec<String> = counts.iter().map(|(s, n)| format!("{n} {s}")).collect();
        counts.join(", ")
    }
}

fn later() -> Result<(), SendError> {
    Err(SendError::Later {
        why: "busy".to_owned(),
    })
}

#[tokio::test]
async fn texts_leave_in_order_within_a_chat_and_at_the_same_time_in_two() {
    let mut stage = stage();
    stage.say("1", "one").await;
    stage.say("1", "two").await;
    let (_, _, one) = stage.asked().await;
    stage.say("2", "other").await;
    let (text, _, other) = stage.asked().await;
    assert_eq!(text, "other", "the second of a chat waits for the first");
    assert!(stage.deeds.is_empty());

    one.send(Ok(())).unwrap();
    stage.answers("two", Ok(())).await;
    other.send(Ok(())).unwrap();
    stage.settle().await;
    assert_eq!(stage.states().await, "3 sent");
}

#[tokio::test]
async fn only_so_many_chats_are_spoken_to_at_once() {
    let mut stage = stage();
    let mut answers = Vec::new();
    for chat in 0..AT_ONCE + 2 {
        stage.say(&chat.to_string(), "hi").await;
    }
    for _ in 0..AT_ONCE {
        answers.push(stage.asked().await.2);
    }
    assert!(stage.deeds.is_empty());
    for _ in 0..2 {
        answers.pop().unwrap().send(Ok(())).unwrap();
        answers.insert(0, stage.asked().await.2);
    }
    for answer in answers {
        answer.send(Ok(())).unwrap();
    }
    stage.settle().await;
    assert_eq!(stage.states().await, "10 sent");
}

#[tokio::test]
async fn a_text_that_fails_is_sent_again_later_and_later_under_the_same_id() {
    let mut stage = stage();
    stage.say("1", "one").await;
    let first = stage.answers("one", later()).await;
    stage.settle().await;
    for wait in [1, 2, 4, 8, 16, 32, 60] {
        stage.wake().await;
        stage.advance(wait - 1).await;
        assert!(stage.deeds.is_empty(), "before {wait} s are over");
        let clock = stage.house.clock.clone();
        let moved = Move {
            to: clock.after(Duration::from_secs(1)),
            patience: Duration::from_secs(20),
            leave_runs: false,
        };
        let (_, again) = tokio::join!(clock.advance(moved), stage.answers("one", later()));
        assert_eq!(again, first);
    }
    assert_eq!(stage.states().await, "1 pending");
}

#[tokio::test]
async fn a_clock_set_back_is_noticed_by_whatever_wakes_us() {
    let mut stage = stage();
    stage.say("1", "one").await;
    let first = stage.answers("one", later()).await;
    stage.settle().await;
    let an_hour_ago = stage.house.clock.now() - Duration::from_secs(3_600);
    stage.house.clock.set_back_unnoticed(an_hour_ago);
    stage.wake().await;
    assert_eq!(stage.answers("one", Ok(())).await, first);
    stage.settle().await;
    assert_eq!(stage.states().await, "1 sent");
}

#[tokio::test]
async fn a_text_that_never_leaves_is_given_up_and_lets_the_next_one_go() {
    let mut stage = stage();
    stage.say("1", "one").await;
    stage.say("1", "two").await;
    let clock = stage.house.clock.clone();
    let moving = async {
        for _ in 0..MOST_ATTEMPTS {
            let moved = Move {
                to: clock.after(LONGEST_RETRY),
                patience: Duration::from_secs(20),
                leave_runs: false,
            };
            clock.advance(moved).await;
        }
    };
    let answering = async {
        for _ in 0..MOST_ATTEMPTS {
            stage.answers("one", later()).await;
        }
        stage.answers("two", Ok(())).await;
    };
    tokio::join!(moving, answering);
    assert_eq!(stage.states().await, "1 failed, 1 sent");
    let told = stage.house.told().await.join("\n");
    assert!(told.contains("given up after 120 attempts: busy"), "{told}");
}

#[tokio::test]
async fn a_slow_network_does_not_hold_up_http() {
    let mut stage = stage();
    let mut answers = Vec::new();
    for chat in 0..AT_ONCE {
        stage.say(&chat.to_string(), "hi").await;
        answers.push(stage.asked().await.2);
    }
    stage.say_in("http:main", "hello").await;
    let said = async {
        while !stage.states().await.contains("1 sent") {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), said).await.unwrap();
}

#[tokio::test]
async fn while_a_channel_is_away_nothing_is_an_attempt_and_its_return_sends_all() {
    let mut stage = stage();
    stage.say("1", "one").await;
    let first = stage.answers("one", Err(SendError::NotConnected)).await;
    stage.advance(3_600).await;
    assert!(stage.deeds.is_empty(), "nobody knocks at a closed door");

    stage.say("2", "other").await;
    stage.answers("other", Err(SendError::NotConnected)).await;
    stage.settle().await;
    assert!(
        stage.deeds.is_empty(),
        "a new text opens no door for an old one"
    );

    stage.channel_is_back().await;
    let (_, id, answer) = stage.asked().await;
    assert_eq!(id, first);
    let heads = stage.house.store.unsent_heads().await.unwrap();
    assert_eq!(heads[0].attempts, 0);
    answer.send(Ok(())).unwrap();
    stage.answers("other", Ok(())).await;
    stage.settle().await;
    assert_eq!(stage.states().await, "2 sent");
}

#[tokio::test]
async fn a_channel_that_comes_back_while_it_says_no_is_asked_again() {
    let mut stage = stage();
    stage.say("1", "one").await;
    let (_, first, answer) = stage.asked().await;
    stage.channel_is_back().await;
    // Asked for while "one" is under way, so the return is heard before the answer.
    stage.say("2", "other").await;
    stage.answers("other", Ok(())).await;
    answer.send(Err(SendError::NotConnected)).unwrap();
    assert_eq!(stage.answers("one", Ok(())).await, first);
    stage.settle().await;
    assert_eq!(stage.states().await, "2 sent");
}

#[tokio::test]
async fn what_is_refused_for_good_is_told_and_lets_the_next_one_go() {
    let mut stage = stage();
    stage.say("1", "one").await;
    stage.say("1", "two").await;
    let why = "no such chat".to_owned();
    let id = stage.answers("one", Err(SendError::Refused { why })).await;
    stage.answers("two", Ok(())).await;
    stage.settle().await;
    assert_eq!(stage.states().await, "1 failed, 1 sent");
    let told = stage.house.told().await;
    let failed =
        format!(r#"message.failed: {{"chat":"1@g.us","reason":"no such chat","id":"{id}"}}"#);
    assert_eq!(told[0], failed);
}

#[tokio::test]
async fn a_stop_waits_for_what_is_on_its_way_but_not_for_ever() {
    let mut stage = stage();
    stage.say("1", "one").await;
    stage.say("2", "never").await;
    let (_, _, one) = stage.asked().await;
    let (_, _, _never) = stage.asked().await;
    stage.say("1", "last").await;
    drop(stage.outbox);
    one.send(Ok(())).unwrap();
    let Deed::Send(_, last) = stage.deeds.next().await else {
        panic!("the last word was not said")
    };
    last.send(Ok(())).unwrap();
    stage.serving.join_next().await.unwrap().unwrap();
    let status = stage.house.store.status().await.unwrap();
    assert_eq!(status.outbox["sent"], 2);
    assert_eq!(status.outbox["pending"], 1);
}

#[tokio::test]
async fn who_knocks_wakes_it_and_does_not_keep_it() {
    let mut stage = stage();
    // It has looked by itself, and rests: what comes now it learns by the knock alone.
    stage.say("1", "before").await;
    stage.answers("before", Ok(())).await;
    stage.settle().await;
    let knocker = stage.outbox.knocker();
    let chat = "1@g.us".parse().unwrap();
    let now = stage.house.clock.now();
    let parts = vec!["one".to_owned(), "two".to_owned()];
    let kept = stage.house.store.queue_texts(chat, parts, now);
    let ids = kept.await.unwrap();
    drop(knocker.knock(stage.house.clock.busy(Work::Outbox)));
    assert_eq!(stage.answers("one", Ok(())).await, ids[0]);
    assert_eq!(stage.answers("two", Ok(())).await, ids[1]);

    drop(stage.outbox);
    stage.serving.join_next().await.unwrap().unwrap();
    drop(knocker.knock(stage.house.clock.busy(Work::Outbox)));
}

#[tokio::test]
async fn a_receipt_that_comes_before_the_ack_is_not_taken_back_by_it() {
    let mut stage = stage();
    stage.say("1", "one").await;
    let (_, id, answer) = stage.asked().await;
    let now = stage.house.clock.now();
    let receipt = stage.house.store.note_receipt(id, Delivery::Delivered, now);
    assert!(receipt.await.unwrap().is_some());
    answer.send(Ok(())).unwrap();
    stage.settle().await;
    assert_eq!(stage.states().await, "1 delivered");
}
