//! The public keys that others need to begin a session with a device: as servers hand them
//! out and as retry receipts carry them.
//!
//! Wire format: WhatsApp Web, as Baileys 7.0.0-rc14 and whatsapp-rust 0.7.0 speak it. Numbers
//! are big-endian, key ids three bytes, keys 32 bytes without their type.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, NodeContent};
use wacore_libsignal::protocol::{IdentityKey, PreKeyBundle, PublicKey, SignalProtocolError};

/// The byte that says Curve25519.
const KEY_TYPE: u8 = 5;

/// One device's public keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyBundle {
    pub(crate) registration_id: u32,
    pub(crate) identity: [u8; 32],
    pub(crate) signed: SignedKey,
    /// None: the server has run out of them.
    pub(crate) one_time: Option<OneTimeKey>,
    /// An encoded `ADVSignedDeviceIdentity`; companion devices only.
    pub(crate) device_identity: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignedKey {
    pub(crate) id: u32,
    pub(crate) key: [u8; 32],
    pub(crate) signature: [u8; 64],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OneTimeKey {
    pub(crate) id: u32,
    pub(crate) key: [u8; 32],
}

/// A bundle that does not say what it must.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum InvalidBundle {
    #[error("the key bundle has no <{0}>")]
    Missing(&'static str),
    #[error("the key bundle's <{element}> has {length} bytes, not {expected}")]
    Length {
        element: &'static str,
        length: usize,
        expected: usize,
    },
}

impl KeyBundle {
    /// The children of a `<user>` in the answer to `<iq xmlns="encrypt"><key>`:
    /// registration, type, identity, key, skey and, for a companion, device-identity.
    pub(crate) fn nodes(&self) -> Vec<Node> {
        let registration = self.registration_id.to_be_bytes();
        let mut nodes = vec![NodeBuilder::new("registration").bytes(registration).build()];
        nodes.extend(self.key_nodes());
        nodes
    }

    /// The `<keys>` of a retry receipt; the registration id stands beside it.
    pub(crate) fn retry_node(&self) -> Node {
        NodeBuilder::new("keys").children(self.key_nodes()).build()
    }

    fn key_nodes(&self) -> Vec<Node> {
        let element = |name, bytes: &[u8]| NodeBuilder::new(name).bytes(bytes).build();
        let mut nodes = vec![
            element("type", &[KEY_TYPE]),
            element("identity", &self.identity),
        ];
        if let Some(one_time) = &self.one_time {
            let parts = [key_id(one_time.id), element("value", &one_time.key)];
            nodes.push(NodeBuilder::new("key").children(parts).build());
        }
        let signed = [
            key_id(self.signed.id),
            element("value", &self.signed.key),
            element("signature", &self.signed.signature),
        ];
        nodes.push(NodeBuilder::new("skey").children(signed).build());
        if let Some(identity) = &self.device_identity {
            nodes.push(element("device-identity", identity));
        }
        nodes
    }

    /// Reads what a retry receipt brings: `<registration>` and `<keys>` beside each other.
    /// None: the receipt brings no keys.
    ///
    /// # Errors
    /// There are keys, but not all, or of a wrong length.
    pub(crate) fn of_retry(receipt: &Node) -> Result<Option<Self>, InvalidBundle> {
        let Some(keys) = receipt.get_optional_child("keys") else {
            return Ok(None);
        };
        let signed = child(keys, "skey")?;
        Ok(Some(Self {
            registration_id: u32::from_be_bytes(fixed(receipt, "registration")?),
            identity: fixed(keys, "identity")?,
            signed: SignedKey {
                id: number(signed)?,
                key: fixed(signed, "value")?,
                signature: fixed(signed, "signature")?,
            },
            one_time: keys.get_optional_child("key").map(one_time).transpose()?,
            device_identity: keys
                .get_optional_child("device-identity")
                .map(content)
                .map(<[u8]>::to_vec),
        }))
    }

    /// As the Signal library takes it.
    ///
    /// # Errors
    /// A key is no point of the curve.
    pub(crate) fn to_signal(&self) -> Result<PreKeyBundle, SignalProtocolError> {
        let one_time = match &self.one_time {
            Some(one) => Some((
                one.id.into(),
                PublicKey::from_djb_public_key_bytes(&one.key)?,
            )),
            None => None,
        };
        PreKeyBundle::new(
            self.registration_id,
            0.into(),
            one_time,
            self.signed.id.into(),
            PublicKey::from_djb_public_key_bytes(&self.signed.key)?,
            self.signed.signature.to_vec(),
            IdentityKey::new(PublicKey::from_djb_public_key_bytes(&self.identity)?),
        )
    }
}

fn key_id(id: u32) -> Node {
    let [_, bytes @ ..] = id.to_be_bytes();
    NodeBuilder::new("id").bytes(bytes).build()
}

fn one_time(key: &Node) -> Result<OneTimeKey, InvalidBundle> {
    Ok(OneTimeKey {
        id: number(key)?,
        key: fixed(key, "value")?,
    })
}

fn number(key: &Node) -> Result<u32, InvalidBundle> {
    let [high, middle, low] = fixed(key, "id")?;
    Ok(u32::from_be_bytes([0, high, middle, low]))
}

fn child<'a>(node: &'a Node, element: &'static str) -> Result<&'a Node, InvalidBundle> {
    node.get_optional_child(element)
        .ok_or(InvalidBundle::Missing(element))
}

fn fixed<const LENGTH: usize>(
    node: &Node,
    element: &'static str,
) -> Result<[u8; LENGTH], InvalidBundle> {
    let bytes = content(child(node, element)?);
    let wrong = |_| InvalidBundle::Length {
        element,
        length: bytes.len(),
        expected: LENGTH,
    };
    bytes.try_into().map_err(wrong)
}

fn content(node: &Node) -> &[u8] {
    match &node.content {
        Some(NodeContent::Bytes(bytes)) => bytes,
        Some(NodeContent::String(text)) => text.as_bytes(),
        Some(NodeContent::Nodes(_)) | None => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> KeyBundle {
        KeyBundle {
            registration_id: 0x1234,
            identity: [1; 32],
            signed: SignedKey {
                id: 1,
                key: [2; 32],
                signature: [3; 64],
            },
            one_time: Some(OneTimeKey {
                id: 0x0001_0203,
                key: [4; 32],
            }),
            device_identity: Some(vec![5; 9]),
        }
    }

    fn receipt(bundle: &KeyBundle) -> Node {
        let registration = bundle.registration_id.to_be_bytes();
        let registration = NodeBuilder::new("registration").bytes(registration).build();
        NodeBuilder::new("receipt")
            .children([registration, bundle.retry_node()])
            .build()
    }

    #[test]
    fn a_retry_receipt_brings_the_keys_it_was_given() {
        assert_eq!(KeyBundle::of_retry(&receipt(&bundle())), Ok(Some(bundle())));
        let first_try = NodeBuilder::new("receipt").build();
        assert_eq!(KeyBundle::of_retry(&first_try), Ok(None));
    }

    #[test]
    fn a_key_of_a_wrong_length_is_refused() {
        let mut receipt = receipt(&bundle());
        let Some(NodeContent::Nodes(children)) = &mut receipt.content else {
            unreachable!()
        };
        children.remove(0);
        let short = NodeBuilder::new("registration").bytes([1, 2, 3]).build();
        children.push(short);
        let expected = InvalidBundle::Length {
            element: "registration",
            length: 3,
            expected: 4,
        };
        assert_eq!(KeyBundle::of_retry(&receipt), Err(expected));
    }
}
