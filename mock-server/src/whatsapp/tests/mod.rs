//! The wire as a client sees it that is driven by hand: handshakes, logins, and what is not
//! served. What real clients make of it is tested in the package's own tests.

mod companions;
mod controls;
mod hand;
mod linking;
mod readers;
mod refusals;
mod talker;
mod unserved;

use serde_json::Value;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::{Control, ControlError, GroupCast, LinkedAccount, Reason, Refusal, Saying, Traffic};
use crate::{MockOptions, MockServer};
use hand::{Hand, Keys, PATIENCE};

async fn mock() -> MockServer {
    MockServer::start(MockOptions::default()).await.unwrap()
}

async fn with_device(keys: &Keys) -> MockServer {
    let mock = mock().await;
    mock.whatsapp().link(keys.account(1)).await.unwrap();
    mock
}

/// Waits for an entry and returns a field of it.
async fn entry(mock: &MockServer, event: &str, field: &str) -> Value {
    let found = mock.journal().wait_for(event, PATIENCE, |entry| {
        (entry.event == event).then(|| entry.fields.get(field).cloned())
    });
    found.await.unwrap().unwrap_or(Value::Null)
}

/// How many entries of that name the journal holds by now.
fn count(mock: &MockServer, event: &str) -> usize {
    let entries = mock.journal().entries();
    entries.iter().filter(|entry| entry.event == event).count()
}

/// What the mock has not understood.
fn reports(mock: &MockServer) -> Vec<String> {
    let unexpected = mock.unexpected().into_iter();
    unexpected.map(|one| one.report).collect()
}

/// The group `family` of the owner, Ada and Bob.
async fn stage_family(mock: &MockServer) -> Jid {
    let group = GroupCast {
        name: "family".to_owned(),
        id: "120363000000000001".to_owned(),
        members: vec!["ada".to_owned(), "bob".to_owned()],
        ..GroupCast::default()
    };
    let jid = mock.whatsapp().stage_group(group).await.unwrap();
    jid.parse().unwrap()
}

fn attribute(node: &Node, name: &str) -> String {
    node.attrs
        .get(name)
        .map_or_else(String::new, |value| value.as_str().into_owned())
}

fn ask(namespace: &'static str, child: &'static str) -> Node {
    NodeBuilder::new("iq")
        .attr("id", "1")
        .attr("type", "get")
        .attr("to", "s.whatsapp.net")
        .attr("xmlns", namespace)
        .children([NodeBuilder::new(child).build()])
        .build()
}

#[tokio::test]
async fn a_client_that_knows_the_key_resumes_and_is_let_in() {
    let keys = Keys::made(1);
    let mock = with_device(&keys).await;
    let leaf = mock.whatsapp().certificate().leaf;
    let mut hand = Hand::resumes(&mock.whatsapp().socket_url(), &keys, leaf, keys.login(1)).await;

    let success = hand.next().await;
    assert_eq!(success.tag, "success");
    assert_eq!(attribute(&success, "lid"), "900000000000001:1@lid");
    assert_eq!(entry(&mock, "whatsapp.connected", "pattern").await, "IK");
    mock.join().await.unwrap();
}

#[tokio::test]
async fn a_client_that_knows_a_wrong_key_is_offered_the_right_one() {
    let keys = Keys::made(1);
    let mock = with_device(&keys).await;
    let wrong = Keys::made(9).noise_public();
    let mut hand = Hand::resumes(&mock.whatsapp().socket_url(), &keys, wrong, keys.login(1)).await;

    assert_eq!(hand.next().await.tag, "success");
    assert_eq!(
        entry(&mock, "whatsapp.connected", "pattern").await,
        "XXfallback"
    );
    mock.join().await.unwrap();
}

#[tokio::test]
async fn a_new_client_is_offered_six_codes_to_be_linked_by() {
    let keys = Keys::made(1);
    let mock = mock().await;
    let mut hand = Hand::begins(&mock.whatsapp().socket_url(), &keys, keys.registration()).await;

    let offer = hand.next().await;
    let codes = offer.get_optional_child("pair-device").unwrap();
    assert_eq!(codes.get_children_by_tag("ref").count(), 6);
    assert_eq!(entry(&mock, "whatsapp.connected", "pattern").await, "XX");
    assert_eq!(
        entry(&mock, "whatsapp.connected", "payload").await,
        "registration"
    );
    mock.join().await.unwrap();
}

#[tokio::test]
async fn a_device_that_nobody_linked_is_refused() {
    let keys = Keys::made(1);
    let mock = mock().await;
    let mut hand = Hand::begins(&mock.whatsapp().socket_url(), &keys, keys.login(1)).await;

    let failure = hand.next().await;
    assert_eq!(
        (&*failure.tag, attribute(&failure, "reason")),
        ("failure", "401".to_owned())
    );
    assert!(hand.ends().await);
    mock.join().await.unwrap();
}

#[tokio::test]
async fn a_refusal_names_its_reason_and_ends() {
    let keys = Keys::made(1);
    let mock = with_device(&keys).await;
    let refusal = Refusal {
        with: Reason::TemporaryBan,
        times: Some(1),
        expire: Some(60),
    };
    mock.whatsapp()
        .control(Control::Refuse(refusal))
        .await
        .unwrap();
    let url = mock.whatsapp().socket_url();

    let failure = Hand::begins(&url, &keys, keys.login(1)).await.next().await;
    let told = [attribute(&failure, "reason"), attribute(&failure, "expire")];
    assert_eq!(told, ["402", "60"]);
    let mut again = Hand::begins(&url, &keys, keys.login(1)).await;
    assert_eq!(again.next().await.tag, "success");
    mock.join().await.unwrap();
}

#[tokio::test]
async fn what_is_not_served_is_answered_501_and_told() {
    let keys = Keys::made(1);
    let mock = with_device(&keys).await;
    let mut hand = Hand::logged_in(&mock, &keys).await;

    hand.send(&ask("w:unheard", "of")).await;
    let answer = hand.next().await;
    let error = answer.get_optional_child("error").unwrap();
    assert_eq!(attribute(error, "code"), "501");
    hand.send(&NodeBuilder::new("call").attr("id", "2").build())
        .await;
    hand.send(&ask("usync", "nothing")).await;
    assert_eq!(attribute(&hand.next().await, "type"), "error");

    let reports: Vec<String> = mock
        .unexpected()
        .into_iter()
        .map(|one| one.report)
        .collect();
    assert!(
        reports[0].starts_with("a request that is not served: <iq "),
        "{reports:?}"
    );
    assert!(
        reports[1].starts_with("<call> is not served"),
        "{reports:?}"
    );
    assert!(reports[2].starts_with("<iq> has no <usync>"), "{reports:?}");
    mock.join().await.unwrap();
}

#[tokio::test]
async fn bytes_that_are_no_handshake_are_told_and_take_nothing_down() {
    let mock = mock().await;
    let url = mock.whatsapp().socket_url();
    for bytes in [&b"GET / HTTP/1.1"[..], b"WA\x06\x03\x00\x00\x02xx"] {
        let told = mock.journal().last();
        Hand::says_raw(&url, bytes).await;
        let reported = mock.journal().wait_for("a report", PATIENCE, |entry| {
            (entry.seq > told && entry.event == "whatsapp.unexpected").then_some(())
        });
        reported.await.unwrap();
    }
    let keys = Keys::made(1);
    mock.whatsapp().link(keys.account(1)).await.unwrap();
    Hand::logged_in(&mock, &keys).await;
    mock.join().await.unwrap();
}

#[tokio::test]
async fn the_same_device_logging_in_again_replaces_the_first() {
    let keys = Keys::made(1);
    let mock = with_device(&keys).await;
    let mut first = Hand::logged_in(&mock, &keys).await;
    let _second = Hand::logged_in(&mock, &keys).await;

    let error = first.next().await;
    assert_eq!(error.tag, "stream:error");
    let conflict = error.get_optional_child("conflict").unwrap();
    assert_eq!(attribute(conflict, "type"), "replaced");
    assert!(first.ends().await);
    mock.join().await.unwrap();
}

fn saying_of(text: &str) -> Saying {
    Saying {
        chat: "ada".to_owned(),
        from: "ada".to_owned(),
        text: Some(text.to_owned()),
        ..Saying::default()
    }
}

fn saying_in(chat: &str, text: &str) -> Control {
    Control::Say(Saying {
        chat: chat.to_owned(),
        ..saying_of(text)
    })
}

async fn say(mock: &MockServer, text: &str) -> String {
    let control = Control::Say(saying_of(text));
    let done = mock.whatsapp().control(control).await.unwrap();
    done.message_id.unwrap()
}

fn taken(id: &str) -> Node {
    let receipt = NodeBuilder::new("receipt").attr("id", id.to_owned());
    let ada = super::phone::Person::named("ada").pn();
    receipt.attr("to", ada).build()
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_and_is_announced() {
    let keys = Keys::made(1);
    let mock = with_device(&keys).await;
    let mut hand = Hand::logged_in(&mock, &keys).await;
    hand.activates().await;
    let first = say(&mock, "one").await;
    let second = say(&mock, "two").await;
    assert_eq!(attribute(&hand.next().await, "id"), first);
    hand.send(&taken(&first)).await;
    assert_eq!(attribute(&hand.next().await, "id"), second);
    assert_eq!(hand.next().await.tag, "ack");
    drop(hand);

    let mut again = Hand::logged_in(&mock, &keys).await;
    let waiting = again.activates().await;
    let tags: Vec<&str> = waiting.iter().map(|node| &*node.tag).collect();
    assert_eq!(tags, ["ib", "message", "ib"]);
    assert_eq!(attribute(&waiting[1], "id"), second);
    assert_eq!(attribute(&waiting[1], "offline"), "0");
    mock.join().await.unwrap();
}

#[tokio::test]
async fn what_is_held_back_comes_when_it_is_let_go() {
    let keys = Keys::made(1);
    let mock = with_device(&keys).await;
    let mut hand = Hand::logged_in(&mock, &keys).await;
    hand.activates().await;
    let whatsapp = mock.whatsapp();
    whatsapp
        .control(Control::Hold {
            what: Traffic::Messages,
        })
        .await
        .unwrap();
    let id = say(&mock, "later").await;
    whatsapp.at_rest(PATIENCE).await.unwrap();
    whatsapp
        .control(Control::LetGo {
            what: Traffic::Messages,
        })
        .await
        .unwrap();

    assert_eq!(attribute(&hand.next().await, "id"), id);
    let left = whatsapp
        .at_rest(std::time::Duration::from_millis(20))
        .await
        .unwrap_err();
    assert!(left.to_string().contains(&id), "{left}");
    hand.send(&taken(&id)).await;
    whatsapp.at_rest(PATIENCE).await.unwrap();
    mock.join().await.unwrap();
}

/// All that a client is sent while Ada writes twice, in the seed's words and keys.
async fn sent(seed: u64) -> Vec<Node> {
    let keys = Keys::made(1);
    let options = MockOptions {
        seed,
        ..MockOptions::default()
    };
    let mock = MockServer::start(options).await.unwrap();
    mock.whatsapp().link(keys.account(1)).await.unwrap();
    let mut hand = Hand::logged_in(&mock, &keys).await;
    let mut sent = hand.activates().await;
    for text in ["one", "two"] {
        let control = Control::Say(Saying {
            at: Some("2026-01-05T09:00:00Z".parse().unwrap()),
            ..saying_of(text)
        });
        mock.whatsapp().control(control).await.unwrap();
        sent.push(hand.next().await);
    }
    mock.join().await.unwrap();
    sent
}

#[tokio::test]
async fn two_runs_with_one_seed_send_the_same_to_the_last_byte() {
    let first = sent(1).await;
    assert_eq!(first[1].tag, "message", "{first:?}");
    assert_eq!(first, sent(1).await);
    let other = sent(2).await;
    assert_ne!(attribute(&first[1], "id"), attribute(&other[1], "id"));
}

#[tokio::test]
async fn a_linked_account_is_given_to_another_mock_as_it_was() {
    let keys = Keys::made(1);
    let mock = with_device(&keys).await;
    let accounts = mock.whatsapp().linked().await;
    let text = serde_json::to_string(&accounts).unwrap();
    let read: Vec<LinkedAccount> = serde_json::from_str(&text).unwrap();
    assert_eq!(read, [keys.account(1)]);
    let again = mock.whatsapp().link(keys.account(1)).await.unwrap_err();
    assert!(matches!(again, ControlError::Unfit { .. }), "{again}");
    mock.join().await.unwrap();
}

#[tokio::test]
async fn nobody_writes_to_a_chat_that_is_not_there_or_not_theirs() {
    let keys = Keys::made(1);
    let mock = with_device(&keys).await;
    let whatsapp = mock.whatsapp();
    let refused = async |chat: &str, from: &str| {
        let saying = Saying {
            chat: chat.to_owned(),
            from: from.to_owned(),
            text: Some("hello".to_owned()),
            ..Saying::default()
        };
        whatsapp
            .control(Control::Say(saying))
            .await
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused("famly", "ada").await,
        "no chat is called `famly`; known are: ada, owner"
    );
    let bob = whatsapp.stage_direct("bob's", "bob").await.unwrap();
    assert_eq!(
        refused("bob's", "ada").await,
        format!("`ada` is not in {bob}")
    );
    mock.join().await.unwrap();
}

#[tokio::test]
async fn a_refusal_by_a_phones_keys_says_why() {
    let mock = mock().await;
    let keys = Keys::made(1);
    let mut account = keys.account(1);
    account.signed_prekey.signature.0.fill(0);
    mock.whatsapp().link(account).await.unwrap();
    let fault = mock
        .whatsapp()
        .control(Control::Say(saying_of("hello")))
        .await;
    let fault = fault.unwrap_err().to_string();
    let (what, why) = fault.split_once(" cannot be encrypted").unwrap();
    assert!(what.starts_with("a message for `"), "{fault}");
    assert!(why.starts_with(": ") && why.len() > 2, "{fault}");
    mock.join().await.unwrap();
}
