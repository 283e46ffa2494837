//! What becomes of what happens in chats.

use super::*;
use crate::group_queue::Arrivals;
use crate::store::{NewGroup, Output, Revoker, TriggerRule, Unit};

const CHAT: &str = "120363@g.us";
const ADA: &str = "49151@s.whatsapp.net";
const OWNER: &str = "4915100000001@s.whatsapp.net";

struct Stage {
    _root: tempfile::TempDir,
    house: House,
    intake: Intake,
    arrivals: Arrivals,
    group: Group,
}

async fn stage(settings: &str) -> Stage {
    let root = tempfile::tempdir().unwrap();
    let house = House::staged(root.path(), settings);
    let new = NewGroup {
        folder: "family".parse().unwrap(),
        chat: CHAT.parse().unwrap(),
        name: "Family".to_owned(),
        trigger: TriggerRule::AssistantName,
        is_main: false,
    };
    let now = house.clock.now();
    let group = house.store.register_group(new, now).await.unwrap();
    let (queue, arrivals) = GroupQueue::new();
    Stage {
        _root: root,
        intake: Intake::new(house.clone(), queue),
        house,
        arrivals,
        group,
    }
}

impl Stage {
    async fn hears(&self, id: &str, from: &str, text: &str) -> Received {
        let new = self.message(id, from, text);
        self.intake.receive(&self.group, new).await.unwrap()
    }

    /// Hears a picture that is kept as `media/<id>.jpg`.
    async fn sees(&self, id: &str, from: &str, caption: &str) -> Received {
        let path = format!("media/{id}.jpg");
        let note = format!("[image: {path}]");
        let new = NewMessage {
            media: Some(path),
            media_note: Some(note.clone()),
            ..self.message(id, from, &format!("{caption}\n{note}"))
        };
        self.intake.receive(&self.group, new).await.unwrap()
    }

    fn message(&self, id: &str, from: &str, text: &str) -> NewMessage {
        NewMessage {
            chat: CHAT.parse().unwrap(),
            id: id.to_owned(),
            sender: from.to_owned(),
            sender_name: "Somebody".to_owned(),
            content: text.to_owned(),
            sent_at: self.house.clock.now(),
            from_me: from == OWNER,
            quoted: None,
            media: None,
            media_note: None,
        }
    }

    async fn edits(&self, id: &str, by: &str, text: &str) -> Changed {
        let edit = Edit {
            chat: CHAT.parse().unwrap(),
            id: id.to_owned(),
            by: vec![by.to_owned()],
            text: text.to_owned(),
        };
        self.intake.edited(&self.group, edit).await.unwrap()
    }

    async fn takes_back(&self, id: &str, by: Revoker) -> Changed {
        self.takes_back_a_file(id, by).await.changed
    }

    async fn takes_back_a_file(&self, id: &str, by: Revoker) -> Revoked {
        let chat = CHAT.parse().unwrap();
        let id = id.to_owned();
        let revocation = Revocation { chat, id, by };
        self.intake.revoked(revocation).await.unwrap()
    }

    /// The texts that an agent gets now; none if none is started.
    async fn agent_gets(&self) -> Option<Vec<String>> {
        let now = self.house.clock.now();
        let folder = self.group.folder.clone();
        let claim = self.house.store.claim(folder, now).await.unwrap()?;
        match claim.unit {
            Unit::Messages(messages) => Some(messages.into_iter().map(|m| m.content).collect()),
            Unit::Task(_) => None,
        }
    }

    async fn history(&self) -> Vec<String> {
        let lines = self.house.store.history(CHAT.parse().unwrap()).await;
        let lines = lines.unwrap().into_iter();
        lines
            .map(|line| format!("{}: {}", line.name.unwrap_or("-".to_owned()), line.content))
            .collect()
    }
}

#[tokio::test]
async fn the_owner_is_heard_on_the_number_that_the_assistant_shares_and_its_own_words_are_not() {
    let stage = stage("").await;
    assert_eq!(
        stage.hears("1", OWNER, "@Kai hi").await,
        Received::Queued { seq: 1 }
    );
    assert_eq!(
        stage.hears("2", OWNER, "Kai: hi").await,
        Received::Own { seq: 2 }
    );
    // Somebody else may begin as they like.
    assert_eq!(
        stage.hears("3", ADA, "Kai: hi").await,
        Received::Waiting { seq: 3 }
    );
    assert_eq!(stage.agent_gets().await.unwrap(), ["@Kai hi", "Kai: hi"]);
    assert_eq!(
        stage.history().await,
        ["Somebody: @Kai hi", "-: Kai: hi", "Somebody: Kai: hi"]
    );
}

#[tokio::test]
async fn on_a_number_of_its_own_nothing_from_it_is_answered() {
    let stage = stage("assistant_has_own_number = true\n").await;
    assert_eq!(
        stage.hears("1", OWNER, "@Kai hi").await,
        Received::Own { seq: 1 }
    );
    assert_eq!(
        stage.hears("2", ADA, "@Kai hi").await,
        Received::Queued { seq: 2 }
    );
    assert_eq!(stage.agent_gets().await.unwrap(), ["@Kai hi"]);
}

#[tokio::test]
async fn what_was_delivered_twice_is_heard_once_and_so_is_what_we_sent() {
    let stage = stage("").await;
    stage.hears("1", ADA, "@Kai hi").await;
    assert_eq!(stage.hears("1", ADA, "@Kai hi").await, Received::Duplicate);
    let now = stage.house.clock.now();
    let claim = stage
        .house
        .store
        .claim(stage.group.folder.clone(), now)
        .await;
    let claim = claim.unwrap().unwrap();
    let hello = Output {
        index: 0,
        parts: vec!["Hello.".to_owned()],
    };
    stage
        .house
        .store
        .queue_output(&claim, hello, now)
        .await
        .unwrap();
    let sent = stage.house.store.unsent_heads().await.unwrap().remove(0);
    assert_eq!(sent.message_id.len(), 22);
    assert!(sent.message_id.starts_with("3EB0"), "{}", sent.message_id);

    let echo = stage.hears(&sent.message_id, OWNER, "Hello.").await;
    assert_eq!(echo, Received::Duplicate);
}

#[tokio::test]
async fn an_edit_in_time_is_what_the_agent_reads_and_what_decides() {
    let stage = stage("").await;
    stage.hears("1", ADA, "Kai hi").await;
    assert_eq!(stage.edits("1", ADA, "@Kai hi").await, Changed::InTime);
    stage.hears("2", ADA, "@Kai wait").await;
    assert_eq!(stage.edits("2", ADA, "well").await, Changed::InTime);
    assert_eq!(stage.agent_gets().await.unwrap(), ["@Kai hi", "well"]);
    assert_eq!(stage.agent_gets().await, None);
}

#[tokio::test]
async fn a_new_caption_leaves_the_picture_where_it_is() {
    let stage = stage("").await;
    stage.sees("1", ADA, "@Kai what is ths?").await;
    stage.edits("1", ADA, "@Kai what is this?").await;
    stage.sees("2", ADA, "and this?").await;
    stage.edits("2", ADA, "").await;
    assert_eq!(
        stage.agent_gets().await.unwrap(),
        [
            "@Kai what is this?\n[image: media/1.jpg]",
            "[image: media/2.jpg]"
        ]
    );
}

#[tokio::test]
async fn a_picture_that_is_taken_back_is_named_to_be_removed() {
    let stage = stage("").await;
    stage.sees("1", ADA, "@Kai look").await;
    let ada = || Revoker::Sender(vec![ADA.to_owned()]);
    let revoked = stage.takes_back_a_file("1", ada()).await;
    assert_eq!(revoked.media.as_deref(), Some("media/1.jpg"));
    let again = stage.takes_back_a_file("1", ada()).await;
    assert_eq!(again.media, None);
}

#[tokio::test]
async fn a_message_that_comes_again_takes_the_turn_that_was_cut_off() {
    let mut stage = stage("").await;
    let house = &stage.house;
    let stored = house
        .store
        .store_message(stage.message("1", ADA, "@Kai hi"), MessageState::Queued);
    stored.await.unwrap().unwrap();
    stage.intake.catch_up();
    assert_eq!(stage.hears("1", ADA, "@Kai hi").await, Received::Duplicate);
    stage.intake.caught_up().await;
    assert_eq!(stage.arrivals.so_far(), ["family"]);
}

#[tokio::test]
async fn an_edit_that_comes_late_is_kept_and_not_answered() {
    let stage = stage("").await;
    stage.hears("1", ADA, "@Kai hi").await;
    stage.agent_gets().await.unwrap();
    assert_eq!(stage.edits("1", ADA, "@Kai ho").await, Changed::Late);
    assert_eq!(stage.agent_gets().await, None);
    assert_eq!(stage.history().await, ["Somebody: @Kai ho"]);
    let told = stage.house.told().await.pop().unwrap();
    assert_eq!(
        told,
        r#"message.edited: {"chat":"120363@g.us","id":"1","text":"@Kai ho","late":true}"#
    );
}

#[tokio::test]
async fn nobody_changes_what_somebody_else_wrote() {
    let stage = stage("").await;
    stage.hears("1", ADA, "@Kai hi").await;
    assert_eq!(
        stage.edits("1", OWNER, "@Kai no").await,
        Changed::NoSuchMessage
    );
    assert_eq!(
        stage.edits("9", ADA, "@Kai no").await,
        Changed::NoSuchMessage
    );
    let eve = Revoker::Sender(vec!["666@s.whatsapp.net".to_owned()]);
    assert_eq!(stage.takes_back("1", eve).await, Changed::NoSuchMessage);
    assert_eq!(stage.agent_gets().await.unwrap(), ["@Kai hi"]);
}

#[tokio::test]
async fn what_was_taken_back_in_time_never_comes_to_an_agent() {
    let stage = stage("").await;
    stage.hears("1", ADA, "@Kai my password is 123").await;
    stage.hears("2", ADA, "@Kai hi").await;
    let ada = Revoker::Sender(vec!["900@lid".to_owned(), ADA.to_owned()]);
    assert_eq!(stage.takes_back("1", ada.clone()).await, Changed::InTime);
    assert_eq!(stage.takes_back("1", ada).await, Changed::NoSuchMessage);
    assert_eq!(
        stage.edits("1", ADA, "@Kai oh").await,
        Changed::NoSuchMessage
    );
    assert_eq!(
        stage.hears("1", ADA, "@Kai my password is 123").await,
        Received::Duplicate
    );
    assert_eq!(stage.agent_gets().await.unwrap(), ["@Kai hi"]);
    assert_eq!(stage.history().await, ["Somebody: @Kai hi"]);
}

#[tokio::test]
async fn what_is_taken_back_while_an_agent_has_it_does_not_come_to_another() {
    let stage = stage("").await;
    stage.hears("1", ADA, "@Kai hi").await;
    stage.agent_gets().await.unwrap();
    assert_eq!(stage.takes_back("1", Revoker::Admin).await, Changed::Late);
    stage
        .house
        .store
        .recover(stage.house.clock.now())
        .await
        .unwrap();
    assert_eq!(stage.agent_gets().await, None);
    let counts = stage.house.store.status().await.unwrap().messages;
    assert_eq!(counts["answered"], 1);
}

#[tokio::test]
async fn what_was_written_while_a_channel_was_away_is_one_turn() {
    let mut stage = stage("").await;
    stage.intake.catch_up();
    for id in ["1", "2", "3"] {
        stage.hears(id, ADA, "@Kai hi").await;
        assert_eq!(stage.arrivals.so_far(), [""; 0]);
    }
    stage.intake.caught_up().await;
    assert_eq!(stage.arrivals.so_far(), ["family"]);
    stage.hears("4", ADA, "@Kai hi").await;
    assert_eq!(stage.arrivals.so_far(), ["family"]);
    stage.intake.caught_up().await;
    assert_eq!(stage.arrivals.so_far(), [""; 0]);
}

#[tokio::test]
async fn a_chat_that_is_no_group_is_known_by_its_name_alone() {
    let stage = stage("").await;
    let chat: ChatJid = "777@g.us".parse().unwrap();
    let now = stage.house.clock.now();
    for name in [None, Some("Work"), Some("Work"), Some("Play")] {
        let name = name.map(str::to_owned);
        stage
            .intake
            .heard_of(chat.clone(), name, now)
            .await
            .unwrap();
    }
    let named = stage.house.told().await;
    assert_eq!(named.len(), 2, "{named:?}");
    let known = stage.house.store.available_chats().await.unwrap();
    let known: Vec<_> = known
        .iter()
        .map(|chat| (&*chat.name, chat.is_registered))
        .collect();
    assert_eq!(known, [("Family", true), ("Play", false)]);
}
