//! How a client becomes a linked device of the owner: it shows a QR code that the phone scans,
//! or a code that its owner types in; then the phone vouches for it.
//!
//! Format: WhatsApp Web, as Baileys 7.0.0-rc14 and whatsapp-rust 0.7.0 speak it.

mod code;
mod offer;
mod qr;

use buffa::Message as _;
use tokio::sync::mpsc;
use tokio::time::Instant;
use wacore::adv::{AdvValidation, validate_adv_with_identity_key};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use wacore_libsignal::crypto::hmac_sha256;
use wacore_libsignal::protocol::SignalProtocolError;
use waproto::whatsapp::ADVSignedDeviceIdentityHMAC;

use super::connection::{Opened, Order};
use super::introduction::Registration;
use super::phone::{DeviceKeys, vouch_for};
use super::stanza::{Answer, Malformed, Reader, server};

pub(super) use code::{Finish, LinkAsk, LinkCode, LinkFault};
pub(super) use offer::{Reference, Terms, is_good};
pub(super) use qr::QrCode;

/// A connection that wants to be linked.
pub(super) struct Guest {
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) noise_key: [u8; 32],
    pub(super) keys: Registration,
    /// What its QR codes begin with.
    pub(super) references: Vec<Reference>,
    /// Linking by a code that is typed in has begun, and until when it can be.
    pub(super) code: Option<(LinkCode, Instant)>,
    /// The phone has vouched for it; its signature is awaited.
    pub(super) vouched: Option<Vouched>,
    /// Nothing comes or goes any more.
    pub(super) frozen: bool,
}

/// What a client is to sign.
#[derive(Clone, Debug)]
pub(super) struct Vouched {
    /// The id of the request that brought it.
    pub(super) request: String,
    pub(super) device: u16,
    pub(super) by: Means,
}

/// How a device was linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Means {
    Qr,
    Code,
}

impl Guest {
    pub(super) fn new(opened: Opened, keys: Registration, references: Vec<Reference>) -> Self {
        Self {
            orders: opened.orders,
            noise_key: opened.client_key,
            keys,
            references,
            code: None,
            vouched: None,
            frozen: false,
        }
    }

    /// When nothing that it can show is good any more. None: the phone has vouched for it.
    pub(super) fn ends(&self) -> Option<Instant> {
        if self.vouched.is_some() {
            return None;
        }
        let typed = self.code.as_ref().map(|(_, until)| *until);
        self.references
            .last()
            .map(|last| last.until)
            .into_iter()
            .chain(typed)
            .max()
    }
}

/// What the client is to show: the beginnings of its QR codes.
pub(super) fn offer(id: &str, references: &[Reference]) -> Node {
    let references = references.iter().map(|reference| {
        let text = reference.text.as_bytes();
        NodeBuilder::new("ref").bytes(text).build()
    });
    let offer = NodeBuilder::new("pair-device").children(references).build();
    request(id, offer)
}

fn request(id: &str, child: Node) -> Node {
    let request = NodeBuilder::new("iq")
        .attr("from", server())
        .attr("type", "set");
    request
        .attr("id", id.to_owned())
        .attr("xmlns", "md")
        .children([child])
        .build()
}

/// The device that a guest becomes.
#[derive(Clone, Debug)]
pub(super) struct NewDevice {
    pub(super) pn: Jid,
    pub(super) lid: Jid,
    pub(super) number: u16,
}

/// The phone vouches for a client: signed with its identity, and sealed with the secret that
/// only the QR code or the typed code gave it.
///
/// # Errors
/// The curve refuses, which seeded keys do not make it.
pub(super) fn success(
    id: &str,
    (phone, secret): (&DeviceKeys, &[u8; 32]),
    client: &Registration,
    device: &NewDevice,
    t: u64,
) -> Result<Node, SignalProtocolError> {
    let signed = vouch_for(phone, &client.identity, device.number, t)?.encode_to_vec();
    let container = ADVSignedDeviceIdentityHMAC {
        hmac: Some(hmac_sha256(secret, &signed).to_vec()),
        details: Some(signed),
        ..ADVSignedDeviceIdentityHMAC::default()
    };
    let container = container.encode_to_vec();
    let jids = NodeBuilder::new("device").attr("jid", device.pn.with_device(device.number));
    let jids = jids
        .attr("lid", device.lid.with_device(device.number))
        .build();
    let success = NodeBuilder::new("pair-success").children([
        NodeBuilder::new("device-identity").bytes(container).build(),
        NodeBuilder::new("biz").attr("name", "").build(),
        jids,
        NodeBuilder::new("platform").attr("name", "android").build(),
    ]);
    let mut node = request(id, success.build());
    node.attrs.insert("t", t.to_string());
    Ok(node)
}

/// A client that signs something else than what the phone vouched for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum InvalidSignature {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the client signs as device `{said}`, and it was given {given}")]
    Device { said: String, given: u16 },
    #[error("the client's signature under what the phone vouched for is wrong")]
    Wrong,
}

/// The client's own signature under what the phone vouched for: an `ADVSignedDeviceIdentity`,
/// as everybody who writes to the device will check it.
///
/// # Errors
/// Nobody would take it for the owner's device.
pub(super) fn signature(
    answer: &Answer,
    given: u16,
    client: &[u8; 32],
    phone: &[u8; 32],
) -> Result<Vec<u8>, InvalidSignature> {
    let signed = Reader::new(&answer.node).child("pair-device-sign")?;
    let signed = signed.child("device-identity")?;
    let said = signed.text("key-index")?;
    if said != given.to_string() {
        return Err(InvalidSignature::Device { said, given });
    }
    let identity = signed.bytes().to_vec();
    match validate_adv_with_identity_key(&identity, client, Some(phone)) {
        AdvValidation::Valid => Ok(identity),
        AdvValidation::Invalid | AdvValidation::NoAccountKey => Err(InvalidSignature::Wrong),
    }
}

/// Linking wants a passkey, which only a browser has.
pub(super) fn passkey_demand(id: &str, t: u64) -> Node {
    let options = r#"{"challenge":"bW9jaw","rpId":"whatsapp.com","timeout":60000,"allowCredentials":[],"userVerification":"required"}"#;
    let options = NodeBuilder::new("passkey_request_options")
        .bytes(options.as_bytes())
        .build();
    let node = NodeBuilder::new("notification").attr("from", server());
    let node = node
        .attr("type", "passkey_prologue_request")
        .attr("id", id.to_owned());
    node.attr("t", t.to_string()).children([options]).build()
}
