//! `encrypt`: the public keys that devices leave with the server for others.
//!
//! Format: WhatsApp Web, as Baileys 7.0.0-rc14 and whatsapp-rust 0.7.0 speak it.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::Ask;
use crate::whatsapp::phone::{KeyBundle, OneTimeKey, SignedKey};
use crate::whatsapp::stanza::{Malformed, Reader, fault};

/// The byte that says Curve25519.
const KEY_TYPE: u8 = 5;

/// What a device leaves with the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::whatsapp) struct KeyUpload {
    pub(in crate::whatsapp) registration_id: u32,
    pub(in crate::whatsapp) identity: [u8; 32],
    pub(in crate::whatsapp) signed: SignedKey,
    pub(in crate::whatsapp) one_time: Vec<OneTimeKey>,
}

/// One device whose keys are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::whatsapp) struct KeyWish {
    pub(in crate::whatsapp) jid: Jid,
}

pub(super) fn read(set: bool, what: &str, reader: Reader<'_>) -> Result<Option<Ask>, Malformed> {
    let ask = match (set, what) {
        (false, "count") => Ask::CountKeys,
        (false, "digest") => Ask::DigestKeys,
        (false, "key" | "key_fetch") => Ask::FetchKeys(wishes(reader)?),
        (true, "rotate") => Ask::RotateKey(signed(reader.child("rotate")?.child("skey")?)?),
        (true, _) => Ask::UploadKeys(Box::new(upload(reader)?)),
        (false, _) => return Ok(None),
    };
    Ok(Some(ask))
}

fn wishes(reader: Reader<'_>) -> Result<Vec<KeyWish>, Malformed> {
    let wanted = reader.all().next().map_or(reader, |wanted| wanted);
    let wishes = wanted.children("user").map(|user| {
        Ok(KeyWish {
            jid: user.jid("jid")?,
        })
    });
    wishes.collect()
}

fn upload(reader: Reader<'_>) -> Result<KeyUpload, Malformed> {
    let one_time = reader.child("list")?.children("key").map(one_time);
    Ok(KeyUpload {
        registration_id: u32::from_be_bytes(reader.child("registration")?.array()?),
        identity: reader.child("identity")?.array()?,
        signed: signed(reader.child("skey")?)?,
        one_time: one_time.collect::<Result<_, _>>()?,
    })
}

fn one_time(key: Reader<'_>) -> Result<OneTimeKey, Malformed> {
    Ok(OneTimeKey {
        id: id(key)?,
        key: key.child("value")?.array()?,
    })
}

fn signed(key: Reader<'_>) -> Result<SignedKey, Malformed> {
    Ok(SignedKey {
        id: id(key)?,
        key: key.child("value")?.array()?,
        signature: key.child("signature")?.array()?,
    })
}

fn id(key: Reader<'_>) -> Result<u32, Malformed> {
    let [high, middle, low] = key.child("id")?.array()?;
    Ok(u32::from_be_bytes([0, high, middle, low]))
}

pub(in crate::whatsapp) fn count(left: usize) -> Node {
    NodeBuilder::new("count")
        .attr("value", left.to_string())
        .build()
}

/// What the server has of a device's keys, and the hash over it.
pub(in crate::whatsapp) fn digest(
    registration_id: u32,
    identity: &[u8; 32],
    signed: &SignedKey,
    (one_time, hash): (impl Iterator<Item = u32>, Vec<u8>),
) -> Node {
    let element = |name, bytes: &[u8]| NodeBuilder::new(name).bytes(bytes).build();
    let signed = [
        key_id(signed.id),
        element("value", &signed.key),
        element("signature", &signed.signature),
    ];
    let children = [
        element("registration", &registration_id.to_be_bytes()),
        element("type", &[KEY_TYPE]),
        element("identity", identity),
        NodeBuilder::new("skey").children(signed).build(),
        NodeBuilder::new("list")
            .children(one_time.map(key_id))
            .build(),
        element("hash", &hash),
    ];
    NodeBuilder::new("digest").children(children).build()
}

fn key_id(id: u32) -> Node {
    let [_, bytes @ ..] = id.to_be_bytes();
    NodeBuilder::new("id").bytes(bytes).build()
}

/// The answer for one wish; without a bundle there is no such device.
pub(in crate::whatsapp) fn user(jid: &Jid, bundle: Option<&KeyBundle>, t: u64) -> Node {
    let user = NodeBuilder::new("user").attr("jid", jid.clone());
    match bundle {
        Some(bundle) => user
            .attr("t", t.to_string())
            .children(bundle.nodes())
            .build(),
        None => user.children([fault(404, "item-not-found")]).build(),
    }
}

pub(in crate::whatsapp) fn users(users: Vec<Node>) -> Node {
    NodeBuilder::new("list").children(users).build()
}
