//! Controls that go wrong, and what they leave behind: nothing.

use serde_json::Value;
use wacore_binary::builder::NodeBuilder;

use super::hand::{Hand, Keys, PATIENCE};
use super::{attribute, entry, mock, say, taken, with_device};
use crate::MockServer;
use crate::whatsapp::{
    Attachment, Base64, Composing, Control, ControlError, GroupCast, MediaKind, PhoneSession,
    Reason, Refusal, Saying, Traffic, TypingState,
};

async fn refused(mock: &MockServer, control: Control) -> String {
    let done = mock.whatsapp().control(control).await;
    done.unwrap_err().to_string()
}

#[tokio::test]
async fn a_device_whose_number_is_none_is_not_linked() {
    let (mock, keys) = (mock().await, Keys::made(1));
    for number in [0, u16::MAX] {
        let linked = mock.whatsapp().link(keys.account(number)).await;
        let fault = linked.unwrap_err().to_string();
        assert_eq!(fault, "the device's number is none of 1 to 65534");
    }
    mock.whatsapp().link(keys.account(65_534)).await.unwrap();
    mock.join().await.unwrap();
}

#[tokio::test]
async fn of_an_account_with_a_broken_session_nothing_is_kept() {
    let (mock, keys) = (mock().await, Keys::made(1));
    let mut account = keys.account(1);
    account.sessions = vec![PhoneSession {
        address: "nobody".to_owned(),
        record: Base64(vec![1]),
    }];
    let linked = mock.whatsapp().link(account).await;
    assert!(matches!(linked, Err(ControlError::Unfit { .. })));
    assert!(mock.whatsapp().linked().await.is_empty());
    mock.join().await.unwrap();
}

#[tokio::test]
async fn a_saying_that_is_refused_leaves_no_trace() {
    let keys = Keys::made(1);
    let (mock, other) = (with_device(&keys).await, with_device(&keys).await);
    let mut hand = Hand::logged_in(&mock, &keys).await;
    hand.activates().await;
    let from_tablet = |media| Saying {
        chat: "ada".to_owned(),
        from: "ada".to_owned(),
        device: 1,
        media,
        ..Saying::default()
    };
    let large = Attachment {
        kind: MediaKind::Image,
        text: None,
        bytes: Some(usize::MAX),
        path: None,
        base64: None,
        name: None,
        mime: None,
        caption: None,
        fault: None,
    };
    let empty = refused(&mock, Control::Say(from_tablet(None))).await;
    assert!(empty.starts_with("the message is empty"), "{empty}");
    let large = refused(&mock, Control::Say(from_tablet(Some(large)))).await;
    assert!(large.ends_with("bytes is more than 268435456"), "{large}");

    // Neither was the tablet announced, nor an id spent.
    let id = say(&mock, "hello").await;
    let first = hand.next().await;
    assert_eq!(
        (&*first.tag, attribute(&first, "id")),
        ("message", id.clone())
    );
    assert_eq!(say(&other, "hello").await, id);
    mock.join().await.unwrap();
    other.join().await.unwrap();
}

#[tokio::test]
async fn a_group_has_both_its_names_or_none() {
    let mock = mock().await;
    let id = "120363000000000009@g.us";
    mock.whatsapp().stage_direct(id, "ada").await.unwrap();
    let group = GroupCast {
        name: "family".to_owned(),
        id: id.to_owned(),
        ..GroupCast::default()
    };
    let staged = mock.whatsapp().stage_group(group).await;
    assert!(matches!(staged, Err(ControlError::NameTaken { .. })));
    assert_eq!(mock.whatsapp().jid_of("family"), None);
    mock.join().await.unwrap();
}

#[tokio::test]
async fn two_people_cannot_have_one_number() {
    let mock = mock().await;
    // Their names make the same eight digits.
    let first = mock
        .whatsapp()
        .stage_direct("a", "person 3197")
        .await
        .unwrap();
    let second = mock.whatsapp().stage_direct("b", "person 25505").await;
    assert!(matches!(second, Err(ControlError::NumberTaken { .. })));
    assert_eq!(mock.whatsapp().jid_of("person 3197"), Some(first));
    mock.join().await.unwrap();
}

#[tokio::test]
async fn when_all_is_well_again_nothing_is_refused_or_held() {
    let keys = Keys::made(1);
    let mock = with_device(&keys).await;
    let mut hand = Hand::logged_in(&mock, &keys).await;
    hand.activates().await;
    let what = Traffic::Messages;
    for control in [
        Control::Hold { what },
        Control::Passkey { demanded: true },
        Control::Refuse(Refusal {
            with: Reason::Locked,
            times: None,
            expire: None,
        }),
    ] {
        mock.whatsapp().control(control).await.unwrap();
    }
    // Who is linked is asked for the passkey at once.
    let asked = attribute(&hand.next().await, "id");
    let heard = NodeBuilder::new("ack").attr("class", "notification");
    hand.send(&heard.attr("id", asked).build()).await;
    let id = say(&mock, "later").await;
    mock.whatsapp().at_rest(PATIENCE).await.unwrap();

    mock.whatsapp().calm().await;
    assert_eq!(attribute(&hand.next().await, "id"), id);
    hand.send(&taken(&id)).await;
    // It is let in, in place of the first.
    Hand::logged_in(&mock, &keys).await;
    mock.join().await.unwrap();
}

#[tokio::test]
async fn over_a_dead_line_nothing_is_said_any_more() {
    let keys = Keys::made(1);
    let mock = with_device(&keys).await;
    let mut hand = Hand::logged_in(&mock, &keys).await;
    hand.activates().await;
    let whatsapp = mock.whatsapp();
    say(&mock, "hello").await;
    hand.next().await;
    whatsapp.control(Control::HalfOpen {}).await.unwrap();
    let typing = TypingState {
        chat: "ada".to_owned(),
        from: "ada".to_owned(),
        state: Composing::Composing,
    };
    let before = outgoing(&mock);
    whatsapp.control(Control::Typing(typing)).await.unwrap();
    assert_eq!(outgoing(&mock), before);

    // Nor is the client told that it logged in elsewhere.
    let _second = Hand::logged_in(&mock, &keys).await;
    let success = before + 1;
    assert_eq!(outgoing(&mock), success);
    drop(hand);
    assert_eq!(
        entry(&mock, "whatsapp.closed", "why").await,
        "it gave up on a dead line"
    );
    mock.join().await.unwrap();
}

/// How many stanzas the journal says have gone out.
fn outgoing(mock: &MockServer) -> usize {
    let entries = mock.journal().entries();
    let out = entries
        .iter()
        .filter(|entry| entry.event == "whatsapp.stanza" && entry.text("way") == Some("out"));
    out.count()
}

#[tokio::test]
async fn what_uploads_must_show_stands_in_no_journal() {
    let keys = Keys::made(1);
    let mock = with_device(&keys).await;
    let mut hand = Hand::logged_in(&mock, &keys).await;
    let ask = NodeBuilder::new("iq")
        .attr("id", "1")
        .attr("type", "set")
        .attr("to", "s.whatsapp.net")
        .attr("xmlns", "w:m")
        .children([NodeBuilder::new("media_conn").build()]);
    hand.send(&ask.build()).await;
    let answer = hand.next().await;
    let auth = attribute(answer.get_optional_child("media_conn").unwrap(), "auth");
    assert_eq!(auth.len(), 43);
    let entries = mock.journal().entries();
    let told: Vec<Value> = entries
        .iter()
        .map(|entry| Value::Object(entry.fields.clone()))
        .collect();
    let told = serde_json::to_string(&told).unwrap();
    assert!(
        told.contains("media_conn") && !told.contains(&auth),
        "{told}"
    );
    mock.join().await.unwrap();
}
