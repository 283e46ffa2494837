//! What the mock does not serve: it is answered so where an answer is due, and told always.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::whatsapp as wa;
use waproto::whatsapp::message::ProtocolMessage;
use waproto::whatsapp::message::protocol_message::Type;

use super::hand::PATIENCE;
use super::talker::Talker;
use super::{attribute, entry, mock, reports, say};
use crate::whatsapp::phone::Person;

fn ada() -> Jid {
    Person::named("ada").pn()
}

fn request(kind: &'static str, namespace: &'static str, content: Node) -> Node {
    let iq = NodeBuilder::new("iq").attr("id", "1").attr("type", kind);
    let iq = iq.attr("to", "s.whatsapp.net").attr("xmlns", namespace);
    iq.children([content]).build()
}

fn empty(tag: &'static str) -> Node {
    NodeBuilder::new(tag).build()
}

fn usync_about(protocol: &'static str) -> Node {
    let query = NodeBuilder::new("query").children([empty(protocol)]);
    let user = NodeBuilder::new("user").attr("jid", ada()).build();
    let list = NodeBuilder::new("list").children([user]).build();
    let usync = NodeBuilder::new("usync").attr("sid", "1");
    let usync = usync.attr("mode", "query").attr("context", "message");
    usync.children([query.build(), list]).build()
}

#[tokio::test]
async fn requests_that_no_client_of_ours_makes_are_refused() {
    let mock = mock().await;
    let mut talker = Talker::joins(&mock, 1).await;
    let requests = [
        ("set", "w:mex", empty("query")),
        ("set", "privacy", empty("privacy")),
        ("set", "w:m", empty("media_retry")),
        ("get", "w:p", empty("pong")),
        ("set", "w:stats", empty("remove")),
        ("set", "tos", empty("notice")),
        ("get", "urn:xmpp:whatsapp:dirty", empty("clean")),
        ("set", "passive", empty("passive")),
        ("get", "usync", usync_about("status")),
    ];
    for (at, (kind, namespace, content)) in (1..).zip(requests) {
        let answer = talker.asks(request(kind, namespace, content)).await;
        let error = answer.get_optional_child("error").unwrap();
        assert_eq!(attribute(error, "code"), "501", "{namespace}");
        assert_eq!(reports(&mock).len(), at, "{namespace}");
    }
    let known = talker
        .asks(request("get", "usync", usync_about("devices")))
        .await;
    assert_eq!(attribute(&known, "type"), "result");
    mock.join().await.unwrap();
}

#[tokio::test]
async fn what_a_new_account_has_none_of_is_not_found_and_the_rest_is_noted() {
    let mock = mock().await;
    let mut talker = Talker::joins(&mock, 1).await;
    let requests = [
        ("get", "w:mex", "query", "error"),
        ("get", "w:profile:picture", "picture", "error"),
        ("set", "w:stats", "add", "result"),
        ("set", "urn:xmpp:whatsapp:dirty", "clean", "result"),
    ];
    for (kind, namespace, content, wanted) in requests {
        let answer = talker.asks(request(kind, namespace, empty(content))).await;
        assert_eq!(attribute(&answer, "type"), wanted, "{namespace}");
        if let Some(error) = answer.get_optional_child("error") {
            assert_eq!(attribute(error, "code"), "404", "{namespace}");
        }
    }
    assert_eq!(reports(&mock), [""; 0]);
    mock.join().await.unwrap();
}

#[tokio::test]
async fn a_ping_of_either_client_is_answered() {
    let mock = mock().await;
    let mut talker = Talker::joins(&mock, 1).await;
    let bare = NodeBuilder::new("iq").attr("id", "1").attr("type", "get");
    let bare = bare.attr("to", "s.whatsapp.net").attr("xmlns", "w:p");
    for ping in [bare.build(), request("get", "w:p", empty("ping"))] {
        let answer = talker.asks(ping).await;
        assert_eq!(attribute(&answer, "type"), "result");
    }
    assert_eq!(reports(&mock), [""; 0]);
    mock.join().await.unwrap();
}

#[tokio::test]
async fn a_message_that_holds_none_is_refused() {
    let mock = mock().await;
    mock.whatsapp().stage_direct("ada", "ada").await.unwrap();
    let mut talker = Talker::joins(&mock, 1).await;
    let message = NodeBuilder::new("message").attr("id", "1");
    let message = message.attr("to", ada()).attr("type", "text");
    let message = message.children([empty("plaintext")]).build();
    talker.hand.send(&message).await;
    assert_eq!(attribute(&talker.next("ack").await, "error"), "501");
    assert_eq!(reports(&mock), ["message 1 has no <enc>"]);
    mock.join().await.unwrap();
}

#[tokio::test]
async fn notes_and_receipts_of_unknown_kinds_are_told() {
    let mock = mock().await;
    let mut talker = Talker::joins(&mock, 1).await;
    let id = say(&mock, "hello").await;
    let receipt = NodeBuilder::new("receipt").attr("id", id);
    let receipt = receipt.attr("to", ada()).attr("type", "burnt");
    let subscribing = NodeBuilder::new("presence").attr("type", "subscribe");
    for node in [
        NodeBuilder::new("ib").children([empty("telegram")]).build(),
        subscribing.attr("to", ada()).build(),
        receipt.build(),
        NodeBuilder::new("ib")
            .children([empty("offline_batch")])
            .build(),
    ] {
        talker.hand.send(&node).await;
    }
    talker.next("ack").await;
    mock.whatsapp().at_rest(PATIENCE).await.unwrap();
    let reports = reports(&mock);
    assert_eq!(reports.len(), 3, "{reports:?}");
    assert!(
        reports[0].starts_with("<telegram> is not served"),
        "{reports:?}"
    );
    assert!(
        reports[1].starts_with("<presence> has a wrong `type`"),
        "{reports:?}"
    );
    assert!(
        reports[2].starts_with("a receipt of an unknown type"),
        "{reports:?}"
    );
    mock.join().await.unwrap();
}

#[tokio::test]
async fn text_is_no_frame() {
    let mock = mock().await;
    let mut talker = Talker::joins(&mock, 1).await;
    talker.hand.says_text().await;
    assert!(talker.hand.ends().await);
    let told = entry(&mock, "whatsapp.unexpected", "report").await;
    assert_eq!(told, "it sends text, where only bytes are spoken");
    mock.join().await.unwrap();
}

#[tokio::test]
async fn a_patch_that_is_none_is_refused_and_is_no_conflict() {
    let mock = mock().await;
    let mut talker = Talker::joins(&mock, 1).await;
    let patch = NodeBuilder::new("patch").bytes([0xff; 4]).build();
    let collection = NodeBuilder::new("collection").attr("name", "regular");
    let collection = collection.attr("version", "0").children([patch]).build();
    let sync = NodeBuilder::new("sync").children([collection]).build();
    let answer = talker.asks(request("set", "w:sync:app:state", sync)).await;
    let sync = answer.get_optional_child("sync").unwrap();
    let collection = sync.get_optional_child("collection").unwrap();
    let error = collection.get_optional_child("error").unwrap();
    assert_eq!(attribute(error, "code"), "501");
    let told = reports(&mock).concat();
    assert!(
        told.starts_with("a patch of `regular` cannot be read: "),
        "{told}"
    );
    mock.join().await.unwrap();
}

#[tokio::test]
async fn what_a_device_tells_the_phone_is_served_or_told() {
    let mock = mock().await;
    let mut talker = Talker::joins(&mock, 1).await;
    let telling = |kind| wa::Message {
        protocol_message: buffa::MessageField::some(ProtocolMessage {
            r#type: Some(kind),
            ..ProtocolMessage::default()
        }),
        ..wa::Message::default()
    };
    let request = telling(Type::APP_STATE_SYNC_KEY_REQUEST);
    talker.tells_phone("1", request).await;
    talker.next("ack").await;
    // The keys come.
    talker.next("message").await;
    assert_eq!(reports(&mock), [""; 0]);
    let fault = telling(Type::APP_STATE_FATAL_EXCEPTION_NOTIFICATION);
    talker.tells_phone("2", fault).await;
    talker.next("ack").await;
    let told = reports(&mock).concat();
    assert!(
        told.contains("APP_STATE_FATAL_EXCEPTION_NOTIFICATION"),
        "{told}"
    );
    mock.join().await.unwrap();
}
