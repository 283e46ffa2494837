//! Messages that are not taken: by the server, from who may not write, and by clients.

use wacore_binary::Jid;
use wacore_binary::builder::NodeBuilder;

use super::hand::PATIENCE;
use super::talker::Talker;
use super::{attribute, count, entry, mock, reports, say, stage_family};
use crate::MockServer;
use crate::whatsapp::phone::Person;
use crate::whatsapp::{Control, Membership, Nacking};

fn ada() -> Jid {
    Person::named("ada").pn()
}

async fn does(mock: &MockServer, control: Control) {
    mock.whatsapp().control(control).await.unwrap();
}

fn owner_in(chat: &str) -> Membership {
    Membership {
        chat: chat.to_owned(),
        people: vec!["owner".to_owned()],
    }
}

#[tokio::test]
async fn a_refused_message_is_answered_with_the_code_and_heard_by_nobody() {
    let mock = mock().await;
    mock.whatsapp().stage_direct("ada", "ada").await.unwrap();
    let mut talker = Talker::joins(&mock, 1).await;
    let times = Some(1);
    does(&mock, Control::Nack(Nacking { code: 463, times })).await;

    talker
        .writes("first", &ada(), &[("ada", 0), ("owner", 0)])
        .await;
    let nack = talker.next("ack").await;
    let said = ["class", "id", "error"].map(|name| attribute(&nack, name));
    assert_eq!(said, ["message", "first", "463"]);

    talker
        .writes("second", &ada(), &[("ada", 0), ("owner", 0)])
        .await;
    assert_eq!(attribute(&talker.next("ack").await, "error"), "");
    assert_eq!(entry(&mock, "whatsapp.heard", "id").await, "second");
    assert_eq!(count(&mock, "whatsapp.heard"), 1);
    assert_eq!(entry(&mock, "whatsapp.nacked", "id").await, "first");
    assert_eq!(reports(&mock), [""; 0]);
    mock.join().await.unwrap();
}

#[tokio::test]
async fn what_a_client_rejects_is_told_and_was_not_delivered() {
    let mock = mock().await;
    let mut talker = Talker::joins(&mock, 1).await;
    let id = say(&mock, "hello").await;
    talker.next("message").await;
    let nack = NodeBuilder::new("ack").attr("class", "message");
    let nack = nack.attr("id", id.clone()).attr("to", ada());
    talker.hand.send(&nack.attr("error", "491").build()).await;

    assert_eq!(entry(&mock, "whatsapp.rejected", "code").await, "491");
    mock.whatsapp().at_rest(PATIENCE).await.unwrap();
    assert_eq!(count(&mock, "whatsapp.delivered"), 0);
    let told = format!("a client rejects message {id}: 491");
    assert_eq!(reports(&mock), [told]);
    mock.join().await.unwrap();
}

#[tokio::test]
async fn who_has_left_a_group_gets_nothing_of_it_and_writes_nothing_there() {
    let mock = mock().await;
    let family = stage_family(&mock).await;
    let mut talker = Talker::joins(&mock, 1).await;
    does(&mock, Control::Remove(owner_in("family"))).await;
    let told = talker.next("notification").await;
    assert!(told.get_optional_child("remove").is_some());

    let said = super::saying_in("family", "without you");
    let done = mock.whatsapp().control(said).await.unwrap();
    assert!(done.outside);
    let rename = Control::Rename {
        chat: "family".to_owned(),
        subject: "Us".to_owned(),
    };
    does(&mock, rename).await;
    talker.writes_in("mine", &family, &[("ada", 0)], None).await;
    let nack = talker.next("ack").await;
    assert_eq!(attribute(&nack, "error"), "403");
    assert_eq!(count(&mock, "whatsapp.heard"), 0);

    // What is next is that the owner is back, and nothing of what was in between.
    does(&mock, Control::Add(owner_in("family"))).await;
    let told = talker.next("notification").await;
    assert!(told.get_optional_child("create").is_some());
    let id = mock.whatsapp().control(super::saying_in("family", "hello"));
    let id = id.await.unwrap().message_id.unwrap();
    assert_eq!(attribute(&talker.next("message").await, "id"), id);
    mock.join().await.unwrap();
}
