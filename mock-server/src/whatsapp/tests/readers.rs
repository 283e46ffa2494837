//! For whom a message of the assistant is: which devices it must reach, and which it must not.

use wacore_binary::Jid;
use wacore_binary::builder::NodeBuilder;

use super::hand::PATIENCE;
use super::talker::Talker;
use super::{attribute, count, entry, mock, reports, stage_family};
use crate::MockServer;
use crate::whatsapp::phone::Person;
use crate::whatsapp::{Control, Membership, Reading, Saying};

fn ada() -> Person {
    Person::named("ada")
}

fn bob_in_family() -> Membership {
    Membership {
        chat: "family".to_owned(),
        people: vec!["bob".to_owned()],
    }
}

async fn does(mock: &MockServer, control: Control) {
    mock.whatsapp().control(control).await.unwrap();
}

/// Takes a notification, so that the client knows what it says.
async fn learns(talker: &mut Talker) {
    let notification = talker.next("notification").await;
    let ack = NodeBuilder::new("ack").attr("class", "notification");
    let ack = ack.attr("id", attribute(&notification, "id"));
    talker.hand.send(&ack.build()).await;
}

#[tokio::test]
async fn a_client_that_knows_too_few_devices_is_told_the_hash_of_all() {
    let mock = mock().await;
    let family = stage_family(&mock).await;
    let mut talker = Talker::joins(&mock, 1).await;
    let readers = [("ada", 0), ("bob", 0), ("owner", 0)];
    talker
        .writes_in("few", &family, &readers, Some("2:AAAAAAAA"))
        .await;
    let hash = attribute(&talker.next("ack").await, "phash");
    assert!(hash.starts_with("2:") && hash != "2:AAAAAAAA", "{hash:?}");
    talker.writes_in("all", &family, &[], Some(&hash)).await;
    assert_eq!(attribute(&talker.next("ack").await, "phash"), "");

    // One more device, and the hash is another.
    let laptop = Saying {
        device: 1,
        chat: "ada".to_owned(),
        from: "ada".to_owned(),
        text: Some("from my laptop".to_owned()),
        ..Saying::default()
    };
    does(&mock, Control::Say(laptop)).await;
    talker.writes_in("old", &family, &[], Some(&hash)).await;
    let newer = attribute(&talker.next("ack").await, "phash");
    assert!(newer.starts_with("2:") && newer != hash, "{newer:?}");
    talker
        .writes("direct", &ada().pn(), &[("ada", 0), ("owner", 0)])
        .await;
    assert!(attribute(&talker.next("ack").await, "phash").starts_with("2:"));
    let all = [("ada", 0), ("ada", 1), ("owner", 0)];
    talker.writes("direct to all", &ada().pn(), &all).await;
    assert_eq!(attribute(&talker.next("ack").await, "phash"), "");
    assert_eq!(count(&mock, "whatsapp.stale"), 3);
    mock.join().await.unwrap();
}

#[tokio::test]
async fn a_letter_for_who_is_not_in_the_chat_is_told() {
    let mock = mock().await;
    let family = stage_family(&mock).await;
    let mut talker = Talker::joins(&mock, 1).await;
    talker
        .writes_in("1", &family, &[("ada", 0), ("bob", 0)], None)
        .await;
    does(&mock, Control::Remove(bob_in_family())).await;
    // It cannot know yet.
    talker.writes_in("2", &family, &[("bob", 0)], None).await;
    talker.next("ack").await;
    talker.next("ack").await;
    assert_eq!(reports(&mock), [""; 0]);

    learns(&mut talker).await;
    talker.writes("3", &family, &[("bob", 0)]).await;
    talker.next("ack").await;
    let bob = Person::named("bob").pn();
    let told = format!("message 3 is for {bob} of `bob`, who is not in {family}");
    assert_eq!(reports(&mock), [told]);
    mock.join().await.unwrap();
}

#[tokio::test]
async fn a_letter_for_a_device_that_is_none_makes_none() {
    let mock = mock().await;
    mock.whatsapp().stage_direct("ada", "ada").await.unwrap();
    let mut talker = Talker::joins(&mock, 1).await;
    let enc = NodeBuilder::new("enc").attr("type", "msg").bytes([1; 40]);
    let to = NodeBuilder::new("to").attr("jid", ada().pn().with_device(9));
    let to = to.children([enc.build()]).build();
    let all = NodeBuilder::new("participants").children([to]).build();
    let message = NodeBuilder::new("message").attr("id", "1");
    let message = message.attr("to", ada().pn()).attr("type", "text");
    talker.hand.send(&message.children([all]).build()).await;
    talker.next("ack").await;

    let told = reports(&mock).concat();
    assert!(
        told.ends_with(":9@s.whatsapp.net of `ada`, which is no device"),
        "{told}"
    );
    talker
        .writes("2", &ada().pn(), &[("ada", 0), ("owner", 0)])
        .await;
    assert_eq!(entry(&mock, "whatsapp.heard", "id").await, "2");
    assert_eq!(
        count(&mock, "whatsapp.stale"),
        1,
        "only the first knew too few"
    );
    mock.join().await.unwrap();
}

#[tokio::test]
async fn who_comes_while_a_text_is_on_its_way_is_not_waited_for() {
    let mock = mock().await;
    let family = stage_family(&mock).await;
    let mut talker = Talker::joins(&mock, 1).await;
    let readers = [("ada", 0), ("bob", 0), ("owner", 0)];
    talker.writes_in("1", &family, &readers, None).await;
    entry(&mock, "whatsapp.heard", "id").await;
    let person = "ada".to_owned();
    does(&mock, Control::LoseKeys { person }).await;
    talker.writes_in("2", &family, &[], None).await;
    let asking = asked(&mut talker).await;

    let carol = Membership {
        people: vec!["carol".to_owned()],
        ..bob_in_family()
    };
    does(&mock, Control::Add(carol)).await;
    talker.writes_again(&asking, "ada").await;
    let heard = mock.journal().wait_for("the text", PATIENCE, |entry| {
        let whole = entry.event == "whatsapp.heard" && entry.text("id") == Some("2");
        whole.then(|| entry.fields["heard_by"].clone())
    });
    assert_eq!(heard.await.unwrap(), serde_json::json!(["ada", "bob"]));
    mock.join().await.unwrap();
}

#[tokio::test]
async fn a_device_that_the_client_was_not_told_of_is_not_waited_for() {
    let mock = mock().await;
    mock.whatsapp().stage_direct("ada", "ada").await.unwrap();
    let mut talker = Talker::joins(&mock, 1).await;
    let laptop = Saying {
        device: 1,
        chat: "ada".to_owned(),
        from: "ada".to_owned(),
        text: Some("from my laptop".to_owned()),
        ..Saying::default()
    };
    does(&mock, Control::Say(laptop)).await;
    let phones = [("ada", 0), ("owner", 0)];
    talker.writes("1", &ada().pn(), &phones).await;
    assert_eq!(entry(&mock, "whatsapp.heard", "id").await, "1");

    learns(&mut talker).await;
    talker.writes("2", &ada().pn(), &phones).await;
    for _ in ["1", "2"] {
        talker.next("ack").await;
    }
    assert_eq!(count(&mock, "whatsapp.heard"), 1, "now it must know");
    mock.join().await.unwrap();
}

/// The next retry receipt.
async fn asked(talker: &mut Talker) -> wacore_binary::Node {
    loop {
        let receipt = talker.next("receipt").await;
        if attribute(&receipt, "type") == "retry" {
            return receipt;
        }
    }
}

#[tokio::test]
async fn a_phone_counts_how_often_it_asks_and_gives_up() {
    let mock = mock().await;
    mock.whatsapp().stage_direct("ada", "ada").await.unwrap();
    let mut talker = Talker::joins(&mock, 1).await;
    let mut counts = Vec::new();
    for _ in 0..6 {
        let enc = NodeBuilder::new("enc").attr("type", "msg").bytes([1; 40]);
        let message = NodeBuilder::new("message").attr("id", "1");
        let message = message.attr("to", ada().pn()).attr("type", "text");
        talker
            .hand
            .send(&message.children([enc.build()]).build())
            .await;
        talker.next("ack").await;
        if counts.len() < 5 {
            let asking = talker.next("receipt").await;
            let retry = asking.get_optional_child("retry").unwrap();
            counts.push(attribute(retry, "count"));
        }
    }
    assert_eq!(counts, ["1", "2", "3", "4", "5"]);
    let told = "`ada` asked 5 times for message 1, and still cannot open it";
    assert_eq!(reports(&mock), [told]);
    mock.join().await.unwrap();
}

#[tokio::test]
async fn what_was_read_is_said_under_the_number_that_was_written_to() {
    let mock = mock().await;
    mock.whatsapp().stage_direct("ada", "ada").await.unwrap();
    let mut talker = Talker::joins(&mock, 1).await;
    let lid: Jid = ada().lid();
    talker.writes("1", &lid, &[("ada", 0), ("owner", 0)]).await;
    let delivered = talker.next("receipt").await;
    assert_eq!(attribute(&delivered, "from"), lid.to_string());
    let reading = Reading {
        chat: "ada".to_owned(),
        from: "ada".to_owned(),
    };
    does(&mock, Control::Read(reading)).await;
    let read = talker.next("receipt").await;
    let said = ["from", "type"].map(|name| attribute(&read, name));
    assert_eq!(said, [lid.to_string(), "read".to_owned()]);
    mock.join().await.unwrap();
}

#[tokio::test]
async fn who_could_not_open_a_text_has_not_read_it() {
    let mock = mock().await;
    let family = stage_family(&mock).await;
    let mut talker = Talker::joins(&mock, 1).await;
    // Bob alone has the key.
    talker.writes_in("1", &family, &[("bob", 0)], None).await;
    talker.next("ack").await;
    for name in ["ada", "bob"] {
        let reading = Reading {
            chat: "family".to_owned(),
            from: name.to_owned(),
        };
        does(&mock, Control::Read(reading)).await;
    }
    let read = loop {
        let receipt = talker.next("receipt").await;
        if attribute(&receipt, "type") == "read" {
            break receipt;
        }
    };
    let bob = Person::named("bob").pn().to_string();
    assert_eq!(attribute(&read, "participant"), bob);
    mock.join().await.unwrap();
}
