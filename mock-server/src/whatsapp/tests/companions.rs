//! Several linked devices of one owner: each hears what the others do.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::hand::PATIENCE;
use super::talker::Talker;
use super::{attribute, entry, mock, reports, stage_family};
use crate::whatsapp::phone::{OWNER, Person};

fn owner(device: u16) -> Jid {
    Person::named(OWNER).pn().with_device(device)
}

fn request(namespace: &'static str, content: Node) -> Node {
    let iq = NodeBuilder::new("iq").attr("id", "1").attr("type", "set");
    let iq = iq.attr("to", "s.whatsapp.net").attr("xmlns", namespace);
    iq.children([content]).build()
}

fn unlinking(device: u16) -> Node {
    let content = NodeBuilder::new("remove-companion-device").attr("jid", owner(device));
    request("md", content.attr("reason", "user_initiated").build())
}

/// What a `devices` notification says: how, and about which device.
async fn told_of_a_device(talker: &mut Talker) -> (String, String) {
    let told = talker.next("notification").await;
    assert_eq!(attribute(&told, "type"), "devices");
    assert_eq!(attribute(&told, "from"), owner(0).to_string());
    let change = &told.children().unwrap()[0];
    let device = change.get_optional_child("device").unwrap();
    assert!(change.get_optional_child("key-index-list").is_some());
    (change.tag.to_string(), attribute(device, "jid"))
}

#[tokio::test]
async fn what_one_device_writes_the_other_can_read() {
    let mock = mock().await;
    let family = stage_family(&mock).await;
    let mut first = Talker::joins(&mock, 1).await;
    let mut second = Talker::joins(&mock, 2).await;
    let all = [("ada", 0), ("bob", 0), ("owner", 0), ("owner", 2)];
    first.writes_in("with the key", &family, &all, None).await;
    first.writes_in("without", &family, &[], None).await;
    for text in ["with the key", "without"] {
        let message = second.next("message").await;
        let said = ["from", "participant", "id"].map(|name| attribute(&message, name));
        assert_eq!(
            said,
            [family.to_string(), owner(1).to_string(), text.to_owned()]
        );
        assert_eq!(second.opens(&message, 1, Some(&family)).await, text);
    }
    let ada = Person::named("ada").pn();
    let readers = [("ada", 0), ("owner", 0), ("owner", 2)];
    first.writes("to Ada", &ada, &readers).await;
    let message = second.next("message").await;
    assert_eq!(attribute(&message, "recipient"), ada.to_string());
    assert_eq!(second.opens(&message, 1, None).await, "to Ada");
    // The first device knows all, and gets nothing of its own.
    for _ in 0..3 {
        assert_eq!(attribute(&first.next("ack").await, "phash"), "");
    }
    assert_eq!(reports(&mock), [""; 0]);
    mock.join().await.unwrap();
}

#[tokio::test]
async fn a_device_asks_the_one_that_wrote() {
    let mock = mock().await;
    let family = stage_family(&mock).await;
    let mut first = Talker::joins(&mock, 1).await;
    let mut second = Talker::joins(&mock, 2).await;
    let people = [("ada", 0), ("bob", 0), ("owner", 0)];
    first.writes_in("sealed", &family, &people, None).await;
    second.next("message").await;
    let retry = NodeBuilder::new("retry").attr("count", "1").build();
    let asking = NodeBuilder::new("receipt").attr("id", "sealed");
    let asking = asking.attr("to", family.clone()).attr("type", "retry");
    let asking = asking.attr("participant", owner(1)).children([retry]);
    second.hand.send(&asking.build()).await;

    let asked = loop {
        let receipt = first.next("receipt").await;
        if attribute(&receipt, "type") == "retry" {
            break receipt;
        }
    };
    let said = ["id", "from", "participant"].map(|name| attribute(&asked, name));
    let expected = [
        "sealed".to_owned(),
        family.to_string(),
        owner(2).to_string(),
    ];
    assert_eq!(said, expected);
    assert!(asked.get_optional_child("retry").is_some());
    assert_eq!(reports(&mock), [""; 0]);
    mock.join().await.unwrap();
}

#[tokio::test]
async fn devices_hear_of_each_other_and_of_each_others_end() {
    let mock = mock().await;
    let mut first = Talker::joins(&mock, 1).await;
    let mut second = Talker::joins(&mock, 2).await;
    let added = ("add".to_owned(), owner(2).to_string());
    assert_eq!(told_of_a_device(&mut first).await, added);

    assert_eq!(
        attribute(&second.asks(unlinking(2)).await, "type"),
        "result"
    );
    assert!(second.hand.ends().await);
    let removed = ("remove".to_owned(), owner(2).to_string());
    assert_eq!(told_of_a_device(&mut first).await, removed);
    assert_eq!(entry(&mock, "whatsapp.unlinked", "by").await, "device");
    let jid = entry(&mock, "whatsapp.unlinked", "jid").await;
    assert_eq!(jid, owner(2).to_string());
    assert_eq!(mock.whatsapp().linked().await.len(), 1);
    mock.join().await.unwrap();
}

#[tokio::test]
async fn one_device_unlinks_the_other_and_stays() {
    let mock = mock().await;
    let mut first = Talker::joins(&mock, 1).await;
    let mut second = Talker::joins(&mock, 2).await;
    first.asks(unlinking(2)).await;
    let error = second.next("stream:error").await;
    let conflict = error.get_optional_child("conflict").unwrap();
    assert_eq!(attribute(conflict, "type"), "device_removed");
    assert!(second.hand.ends().await);

    let again = first.asks(unlinking(2)).await;
    let error = again.get_optional_child("error").unwrap();
    assert_eq!(attribute(error, "code"), "404");
    let told = format!("a client unlinks {}, which is not linked", owner(2));
    assert_eq!(reports(&mock), [told]);
    mock.join().await.unwrap();
}

#[tokio::test]
async fn what_one_device_changes_the_other_is_told_to_fetch() {
    let mock = mock().await;
    let mut first = Talker::joins(&mock, 1).await;
    let mut second = Talker::joins(&mock, 2).await;
    told_of_a_device(&mut first).await;
    let patch = NodeBuilder::new("patch").bytes(Vec::new()).build();
    let collection = NodeBuilder::new("collection").attr("name", "regular");
    let collection = collection.attr("version", "0").children([patch]).build();
    let sync = NodeBuilder::new("sync").children([collection]).build();
    first.asks(request("w:sync:app:state", sync)).await;

    let told = second.next("notification").await;
    assert_eq!(attribute(&told, "type"), "server_sync");
    let collection = told.get_optional_child("collection").unwrap();
    let said = ["name", "version"].map(|name| attribute(collection, name));
    assert_eq!(said, ["regular", "1"]);
    let left = mock.whatsapp().at_rest(PATIENCE / 1000).await.unwrap_err();
    assert_eq!(left.to_string().matches("server_sync").count(), 1, "{left}");
    mock.join().await.unwrap();
}
