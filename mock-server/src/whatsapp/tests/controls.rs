//! Controls, what they do and what they leave behind.

use super::hand::{Hand, Keys};
use super::{entry, say, with_device};
use crate::MockServer;
use crate::whatsapp::{Composing, Control, TypingState};

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
