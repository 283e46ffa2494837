//! Two phones write to each other, as a phone and a client do.

use tokio::task::JoinSet;
use wacore::adv::{AdvValidation, validate_adv_with_identity_key};
use wacore_binary::Jid;
use waproto::whatsapp as wa;

use super::device::GroupSealed;
use super::{
    Cipher, DeviceAddress, DeviceKeys, Envelope, GroupLetter, KeyBundle, Letter, OpenError, Person,
    PhoneHandle, Sealed, Seed,
};

/// Ada writes, the owner reads and answers.
struct Pair {
    ada: PhoneHandle,
    owner: PhoneHandle,
    _tasks: JoinSet<()>,
}

impl Pair {
    fn new() -> Self {
        let mut tasks = JoinSet::new();
        let seed = Seed::of_scenario(3);
        let mut phone =
            |name| PhoneHandle::switch_on(Person::named(name), &seed, &[0, 1], &mut tasks).unwrap();
        Self {
            ada: phone("ada"),
            owner: phone("owner"),
            _tasks: tasks,
        }
    }

    async fn seal(&self, text: &str, bundle: Option<KeyBundle>) -> Sealed {
        let letter = Letter {
            reader: address("owner"),
            bundle,
            group: None,
            message: says(text),
        };
        self.ada.seal(0, letter).await.unwrap()
    }

    async fn open(&self, sealed: Sealed, group: Option<Jid>) -> Result<String, OpenError> {
        let envelope = Envelope {
            sender: address("ada"),
            group,
            sealed,
        };
        let opened = self.owner.open(0, envelope).await?;
        Ok(opened.conversation.unwrap_or_default())
    }

    /// Both ends know each other and the owner has answered.
    async fn acquainted() -> Self {
        let pair = Self::new();
        let bundle = pair.owner.bundle(0).await.unwrap();
        let first = pair.seal("hello", Some(bundle)).await;
        assert_eq!(first.cipher, Cipher::Prekey);
        assert_eq!(pair.open(first, None).await.unwrap(), "hello");
        let letter = Letter {
            reader: address("ada"),
            bundle: None,
            group: None,
            message: says("hi"),
        };
        let answer = pair.owner.seal(0, letter).await.unwrap();
        let envelope = Envelope {
            sender: address("owner"),
            group: None,
            sealed: answer,
        };
        assert_eq!(pair.ada.open(0, envelope).await.unwrap(), says("hi"));
        pair
    }

    async fn to_group(&self, text: &str, bundle: Option<KeyBundle>) -> GroupSealed {
        let readers = vec![(address("owner"), bundle)];
        let letter = GroupLetter {
            group: group(),
            readers,
            message: says(text),
        };
        self.ada.seal_for_group(0, letter).await.unwrap()
    }
}

fn address(name: &str) -> DeviceAddress {
    DeviceAddress::of(&Person::named(name).pn(), 0)
}

fn group() -> Jid {
    Jid::group("120363000000000001")
}

fn says(text: &str) -> wa::Message {
    wa::Message {
        conversation: Some(text.to_owned()),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_conversation_needs_a_bundle_only_once() {
    let pair = Pair::acquainted().await;
    let second = pair.seal("again", None).await;
    assert_eq!(second.cipher, Cipher::Session);
    assert_eq!(pair.open(second, None).await.unwrap(), "again");
    assert!(
        pair.ada
            .strangers(0, vec![address("owner")])
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn without_a_session_and_a_bundle_nothing_is_sealed() {
    let pair = Pair::new();
    assert_eq!(
        pair.ada.strangers(0, vec![address("owner")]).await.unwrap(),
        [address("owner")]
    );
    let letter = Letter {
        reader: address("owner"),
        bundle: None,
        group: None,
        message: says("hello"),
    };
    let refused = pair.ada.seal(0, letter).await.unwrap_err().to_string();
    assert_eq!(
        refused,
        "there is no session with `4915100000001@s.whatsapp.net` yet: hand its key bundle in"
    );
}

#[tokio::test]
async fn a_spoiled_message_does_not_open_and_opens_when_it_is_sealed_again() {
    let pair = Pair::acquainted().await;
    let spoiled = pair.seal("secret", None).await.spoiled();
    assert!(matches!(
        pair.open(spoiled, None).await,
        Err(OpenError::Undecryptable(_))
    ));
    let bundle = pair.owner.bundle(0).await.unwrap();
    let again = pair.seal("secret", Some(bundle)).await;
    assert_eq!(pair.open(again, None).await.unwrap(), "secret");
    let after = pair.seal("and on", None).await;
    assert_eq!(pair.open(after, None).await.unwrap(), "and on");
}

#[tokio::test]
async fn a_one_time_prekey_begins_one_session_only() {
    let pair = Pair::new();
    let bundle = pair.owner.bundle(0).await.unwrap();
    let first = pair.seal("first", Some(bundle.clone())).await;
    pair.open(first, None).await.unwrap();
    let second = pair.seal("second", Some(bundle)).await;
    assert!(pair.open(second, None).await.is_err());
}

#[tokio::test]
async fn a_first_message_is_spoiled_also_for_who_knows_its_session() {
    let pair = Pair::new();
    let bundle = pair.owner.bundle(0).await.unwrap();
    let first = pair.seal("hello", Some(bundle)).await;
    pair.open(first, None).await.unwrap();
    let second = pair.seal("hello?", None).await;
    assert_eq!(second.cipher, Cipher::Prekey);
    assert!(pair.open(second.spoiled(), None).await.is_err());
}

#[tokio::test]
async fn a_phone_that_forgot_cannot_read_until_a_session_is_begun_anew() {
    let pair = Pair::acquainted().await;
    pair.owner.forget(0, address("ada")).await.unwrap();
    let sealed = pair.seal("lost", None).await;
    assert!(pair.open(sealed, None).await.is_err());
    let bundle = pair.owner.bundle(0).await.unwrap();
    let again = pair.seal("lost", Some(bundle)).await;
    assert_eq!(pair.open(again, None).await.unwrap(), "lost");
}

#[tokio::test]
async fn a_restored_phone_goes_on_with_its_sessions() {
    let pair = Pair::acquainted().await;
    let sessions = pair.owner.sessions(0).await.unwrap();
    pair.owner.forget(0, address("ada")).await.unwrap();
    let sessions = sessions.into_iter().map(|(other, record)| {
        let other = DeviceAddress::read(other.as_str()).unwrap();
        (other, record)
    });
    pair.owner.restore(0, sessions.collect()).await.unwrap();
    let sealed = pair.seal("still here", None).await;
    assert_eq!(pair.open(sealed, None).await.unwrap(), "still here");
}

#[tokio::test]
async fn of_sessions_of_which_one_is_broken_none_is_restored() {
    let pair = Pair::acquainted().await;
    let mut sessions = pair.owner.sessions(0).await.unwrap();
    pair.owner.forget(0, address("ada")).await.unwrap();
    sessions.push((address("bob"), vec![1]));
    pair.owner.restore(0, sessions).await.unwrap_err();
    assert_eq!(pair.owner.sessions(0).await.unwrap(), []);
}

#[tokio::test]
async fn a_group_gets_the_key_once_and_anew_after_it_was_rotated() {
    let pair = Pair::acquainted().await;
    let first = pair.to_group("all", None).await;
    for (_reader, key) in first.keys {
        pair.open(key, Some(group())).await.unwrap();
    }
    assert_eq!(
        pair.open(first.message, Some(group())).await.unwrap(),
        "all"
    );
    let second = pair.to_group("again", None).await;
    assert!(second.keys.is_empty());
    assert_eq!(
        pair.open(second.message, Some(group())).await.unwrap(),
        "again"
    );

    pair.ada.rotate_sender_key(0, group()).await.unwrap();
    let third = pair.to_group("without bob", None).await;
    assert_eq!(third.keys.len(), 1);
    assert!(pair.open(third.message, Some(group())).await.is_err());
}

#[tokio::test]
async fn a_group_message_that_is_sent_again_brings_its_key() {
    let pair = Pair::acquainted().await;
    let lost = pair.to_group("all", None).await;
    drop(lost);
    let letter = Letter {
        reader: address("owner"),
        bundle: None,
        group: Some(group()),
        message: says("all"),
    };
    let again = pair.ada.seal(0, letter).await.unwrap();
    assert_eq!(pair.open(again, Some(group())).await.unwrap(), "all");
    let next = pair.to_group("next", None).await;
    assert_eq!(
        pair.open(next.message, Some(group())).await.unwrap(),
        "next"
    );
}

#[tokio::test]
async fn two_runs_seal_the_same_bytes() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let pair = Pair::acquainted().await;
        let keys = pair.to_group("all", None).await;
        runs.push((pair.seal("x", None).await, keys.message, keys.keys));
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test]
async fn a_second_device_proves_that_its_phone_vouches_for_it() {
    let pair = Pair::new();
    let bundle = pair.ada.bundle(1).await.unwrap();
    let phone = DeviceKeys::of(&Person::named("ada").seed(&Seed::of_scenario(3)), 0).unwrap();
    let account = phone.public_identity().unwrap();
    let proof = bundle.device_identity.unwrap();
    let verdict = validate_adv_with_identity_key(&proof, &bundle.identity, Some(&account));
    assert_eq!(verdict, AdvValidation::Valid);
    assert_eq!(pair.ada.bundle(0).await.unwrap().device_identity, None);
}

#[tokio::test]
async fn a_device_that_is_not_there_is_said_so() {
    let missing = Pair::new().ada.bundle(7).await.unwrap_err().to_string();
    assert_eq!(missing, "`ada`'s phone has no device 7: give it one first");
}
