//! Clients that want to be linked, driven by hand: what they are offered, and why they are not.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use buffa::Message as _;
use jiff::SignedDuration;
use tokio::task::yield_now;
use wacore::pair_code::PairCodeUtils;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wacore_libsignal::protocol::KeyPair;
use waproto::whatsapp::{ADVSignedDeviceIdentity, ADVSignedDeviceIdentityHMAC};

use super::hand::{Hand, Keys};
use super::{attribute, entry, mock};
use crate::MockServer;
use crate::whatsapp::certificate::raw;
use crate::whatsapp::phone::Seed;
use crate::whatsapp::{CodeReason, CodeRefusal, Control, ControlError, LinkOffer};

/// What the owner reads on the client.
const CODE: &str = "ABCD2345";

async fn does(mock: &MockServer, control: Control) {
    mock.whatsapp().control(control).await.unwrap();
}

async fn guest(mock: &MockServer, keys: &Keys) -> (Hand, Node) {
    let url = mock.whatsapp().socket_url();
    let mut hand = Hand::begins(&url, keys, keys.registration()).await;
    let offer = hand.next().await;
    (hand, offer)
}

/// Asks for a code to be typed in.
fn companion_hello() -> Node {
    link_stage("companion_hello", vec![wrapped_key(vec![0; 80])])
}

fn wrapped_key(bytes: Vec<u8>) -> Node {
    let wrapped = NodeBuilder::new("link_code_pairing_wrapped_companion_ephemeral_pub");
    wrapped.bytes(bytes).build()
}

fn link_stage(stage: &'static str, children: Vec<Node>) -> Node {
    let stage = NodeBuilder::new("link_code_companion_reg")
        .attr("stage", stage)
        .attr("jid", "4915100000001@s.whatsapp.net")
        .children(children);
    link_request(stage.build())
}

fn link_request(stage: Node) -> Node {
    NodeBuilder::new("iq")
        .attr("id", "link")
        .attr("type", "set")
        .attr("to", "s.whatsapp.net")
        .attr("xmlns", "md")
        .children([stage])
        .build()
}

#[tokio::test]
async fn who_shows_codes_that_nobody_scans_is_sent_away() {
    let mock = mock().await;
    let offer = LinkOffer {
        codes: Some(2),
        last: Some(SignedDuration::from_millis(20)),
    };
    does(&mock, Control::Offer(offer)).await;
    let (mut hand, offer) = guest(&mock, &Keys::made(1)).await;

    let codes = offer.get_optional_child("pair-device").unwrap();
    assert_eq!(codes.get_children_by_tag("ref").count(), 2);
    assert!(hand.ends().await);
    drop(hand);
    assert_eq!(
        entry(&mock, "whatsapp.closed", "why").await,
        "nobody scanned its code, or typed it in, in time"
    );
    mock.join().await.unwrap();
}

#[tokio::test]
async fn a_code_to_be_typed_in_is_refused_as_often_as_it_is_said() {
    let mock = mock().await;
    let refusal = CodeRefusal {
        with: CodeReason::RateLimited,
        times: Some(1),
    };
    does(&mock, Control::RefuseCode(refusal)).await;
    let (mut hand, _) = guest(&mock, &Keys::made(1)).await;

    hand.send(&companion_hello()).await;
    let answer = hand.next().await;
    let error = answer.get_optional_child("error").unwrap();
    let told = [attribute(error, "code"), attribute(error, "text")];
    assert_eq!(told, ["429", "rate-overlimit"]);
    hand.send(&companion_hello()).await;
    assert_eq!(attribute(&hand.next().await, "type"), "result");
    mock.join().await.unwrap();
}

/// The QR code of a client with these keys.
fn qr(offer: &Node, noise: [u8; 32], identity: &KeyPair) -> String {
    let codes = offer.get_optional_child("pair-device").unwrap();
    let reference = codes.get_optional_child("ref").unwrap();
    let reference = String::from_utf8(content(reference)).unwrap();
    let [noise, identity, secret] = [noise, raw(identity), [9; 32]].map(|key| STANDARD.encode(key));
    format!("{reference},{noise},{identity},{secret}")
}

fn content(node: &Node) -> Vec<u8> {
    match &node.content {
        Some(wacore_binary::NodeContent::Bytes(bytes)) => bytes.clone(),
        Some(wacore_binary::NodeContent::String(text)) => text.as_bytes().to_vec(),
        other => panic!("{other:?}"),
    }
}

/// The client's answer to what the phone vouched for, signed under this prefix.
fn device_sign(success: &Node, keys: &Keys, prefix: [u8; 2]) -> Node {
    let paired = success.get_optional_child("pair-success").unwrap();
    let container = content(paired.get_optional_child("device-identity").unwrap());
    let container = ADVSignedDeviceIdentityHMAC::decode_from_slice(&container).unwrap();
    let details = container.details.unwrap();
    let mut signed = ADVSignedDeviceIdentity::decode_from_slice(&details).unwrap();
    let account = signed.account_signature_key.take().unwrap();
    let details = signed.details.clone().unwrap();
    let message = [&prefix[..], &details, &raw(keys.identity()), &account].concat();
    let mut randomness = Seed::constant().randomness();
    let signature = keys
        .identity()
        .calculate_signature(&message, &mut randomness);
    signed.device_signature = Some(signature.unwrap().to_vec());
    let identity = NodeBuilder::new("device-identity").attr("key-index", "1");
    let identity = identity.bytes(signed.encode_to_vec()).build();
    let sign = NodeBuilder::new("pair-device-sign").children([identity]);
    NodeBuilder::new("iq")
        .attr("to", "s.whatsapp.net")
        .attr("type", "result")
        .attr("id", attribute(success, "id"))
        .children([sign.build()])
        .build()
}

/// Scans, signs under the prefix, and returns what the server makes of it.
async fn signed_under(prefix: [u8; 2]) -> (MockServer, Option<Node>) {
    let (mock, keys) = (mock().await, Keys::made(1));
    let (mut hand, offer) = guest(&mock, &keys).await;
    let code = qr(&offer, keys.noise_public(), keys.identity());
    does(&mock, Control::ScanQr { code }).await;
    let success = hand.next().await;
    hand.send(&device_sign(&success, &keys, prefix)).await;
    let answer = hand.maybe().await;
    (mock, answer)
}

#[tokio::test]
async fn who_signs_what_the_phone_vouched_for_is_linked() {
    let (mock, answer) = signed_under([6, 1]).await;
    assert_eq!(attribute(&answer.unwrap(), "code"), "515");
    assert_eq!(entry(&mock, "whatsapp.paired", "by").await, "qr");
    mock.join().await.unwrap();
}

#[tokio::test]
async fn who_signs_something_else_is_sent_away() {
    let (mock, answer) = signed_under([6, 2]).await;
    assert_eq!(answer, None);
    assert!(mock.whatsapp().linked().await.is_empty());
    let why = "the client's signature under what the phone vouched for is wrong";
    assert_eq!(entry(&mock, "whatsapp.link_failed", "why").await, why);
    assert_eq!(mock.unexpected()[0].report, why);
    mock.join().await.unwrap();
}

#[tokio::test]
async fn a_code_must_show_the_keys_of_who_shows_it() {
    let (mock, keys) = (mock().await, Keys::made(1));
    let (_hand, offer) = guest(&mock, &keys).await;
    let others = Keys::made(2);
    for code in [
        qr(&offer, others.noise_public(), keys.identity()),
        qr(&offer, keys.noise_public(), others.identity()),
    ] {
        let scanned = mock.whatsapp().control(Control::ScanQr { code }).await;
        assert!(matches!(scanned, Err(ControlError::UnknownCode)));
    }
    assert_eq!(mock.unexpected().len(), 2);
    mock.join().await.unwrap();
}

/// A client that is to be linked by a code, after the phone's hello.
struct ByCode {
    mock: MockServer,
    keys: Keys,
    hand: Hand,
    ephemeral: KeyPair,
    /// The phone's.
    hello: Node,
    /// How long typing the code in took, and others had no turn meanwhile at most.
    took: Duration,
    held_up: Duration,
}

impl ByCode {
    async fn typed(code: &str) -> Self {
        let (mock, keys) = (mock().await, Keys::made(1));
        let (mut hand, _) = guest(&mock, &keys).await;
        let ephemeral = KeyPair::generate(&mut Seed::constant().randomness());
        let wrapped = PairCodeUtils::encrypt_ephemeral_pub(&raw(&ephemeral), CODE);
        let hello = vec![wrapped_key(wrapped.to_vec())];
        hand.send(&link_stage("companion_hello", hello)).await;
        assert_eq!(attribute(&hand.next().await, "type"), "result");
        let code = code.to_owned();
        let whatsapp = mock.whatsapp().clone();
        let mut entering = Box::pin(whatsapp.control(Control::EnterCode { code }));
        let begun = Instant::now();
        let (mut last, mut held_up) = (begun, Duration::ZERO);
        loop {
            let done = tokio::select! {
                biased;
                done = &mut entering => Some(done.unwrap()),
                () = yield_now() => None,
            };
            held_up = held_up.max(last.elapsed());
            last = Instant::now();
            if done.is_some() {
                break;
            }
        }
        let took = begun.elapsed();
        let hello = hand.next().await;
        let hello = hello.get_optional_child("link_code_companion_reg").unwrap();
        let hello = hello.clone();
        Self {
            mock,
            keys,
            hand,
            ephemeral,
            hello,
            took,
            held_up,
        }
    }

    /// Finishes with what the phone said, or with another reference; returns the answer.
    async fn finishes(&mut self, reference: Option<&[u8]>) -> Node {
        let said = |name| content(self.hello.get_optional_child(name).unwrap());
        let wrapped = said("link_code_pairing_wrapped_primary_ephemeral_pub");
        let fresh = PairCodeUtils::decrypt_primary_ephemeral_pub(&wrapped, CODE).unwrap();
        let phone = said("primary_identity_pub").try_into().unwrap();
        let own = self.keys.identity();
        let bundle = PairCodeUtils::prepare_key_bundle(&self.ephemeral, &fresh, &phone, own);
        let reference = reference.map_or_else(|| said("link_code_pairing_ref"), <[u8]>::to_vec);
        let child = |name, bytes: Vec<u8>| NodeBuilder::new(name).bytes(bytes).build();
        let finish = vec![
            child("link_code_pairing_wrapped_key_bundle", bundle.unwrap().0),
            child("companion_identity_public", raw(own).to_vec()),
            child("link_code_pairing_ref", reference),
        ];
        self.hand
            .send(&link_stage("companion_finish", finish))
            .await;
        self.hand.next().await
    }
}

#[tokio::test]
async fn a_typed_code_links_and_holds_up_nobody_while_it_is_hashed() {
    let mut client = ByCode::typed("abcd-2345").await;
    let (took, held_up) = (client.took, client.held_up);
    assert!(held_up < took / 2, "{held_up:?} of {took:?}");
    assert_eq!(attribute(&client.finishes(None).await, "type"), "result");
    let success = client.hand.next().await;
    assert!(success.get_optional_child("pair-success").is_some());
    assert!(client.mock.unexpected().is_empty());
    client.mock.join().await.unwrap();
}

#[tokio::test]
async fn a_mistyped_code_fails_the_linking_and_is_nobodys_fault() {
    let mut client = ByCode::typed("ABCD2346").await;
    assert_eq!(attribute(&client.finishes(None).await, "type"), "error");
    assert_eq!(
        entry(&client.mock, "whatsapp.link_failed", "why").await,
        "the client's bundle cannot be decrypted with what the code gives"
    );
    assert!(client.mock.unexpected().is_empty());
    client.mock.join().await.unwrap();
}

#[tokio::test]
async fn a_linking_is_finished_as_it_began() {
    let mut client = ByCode::typed(CODE).await;
    let other = client.finishes(Some(b"link-9")).await;
    assert_eq!(attribute(&other, "type"), "error");
    assert_eq!(
        client.mock.unexpected()[0].report,
        "the client's reference is not the one that it began with"
    );
    client.mock.join().await.unwrap();
}
