//! The plain stanzas that the server sends.
//!
//! Format: WhatsApp Web, as Baileys 7.0.0-rc14 and whatsapp-rust 0.7.0 read it.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::{Iq, Receipt, Sent, server};
use crate::whatsapp::controls::{Composing, Presence};
use crate::whatsapp::phone::KeyBundle;

pub(super) fn result(ask: &Iq, children: Vec<Node>) -> Node {
    let answer = answer(ask, "result");
    let answer = if children.is_empty() {
        answer
    } else {
        answer.children(children)
    };
    answer.build()
}

pub(super) fn refused(ask: &Iq, code: u16, text: &str) -> Node {
    let error = NodeBuilder::new("error").attr("code", code.to_string());
    let error = error.attr("text", text.to_owned()).build();
    answer(ask, "error").children([error]).build()
}

fn answer(ask: &Iq, kind: &'static str) -> NodeBuilder {
    let answer = NodeBuilder::new("iq");
    let answer = match ask.to.as_deref() {
        Some(to) if to != server().to_string() => answer.attr("from", to.to_owned()),
        Some(_) | None => answer.attr("from", server()),
    };
    answer.attr("id", ask.id.clone()).attr("type", kind)
}

/// The server took a message; with `phash`, its sender does not know all whom it is for.
pub(in crate::whatsapp) fn ack_message(sent: &Sent, phash: Option<String>, t: u64) -> Node {
    with(about_message(sent, t), "phash", phash).build()
}

/// The server did not take a message.
pub(in crate::whatsapp) fn nack_message(sent: &Sent, code: u16, t: u64) -> Node {
    let nack = about_message(sent, t);
    nack.attr("error", code.to_string()).build()
}

fn about_message(sent: &Sent, t: u64) -> NodeBuilder {
    let ack = NodeBuilder::new("ack")
        .attr("class", "message")
        .attr("id", sent.id.clone());
    ack.attr("from", sent.to.clone()).attr("t", t.to_string())
}

/// The server took a receipt.
pub(in crate::whatsapp) fn ack_receipt(receipt: &Receipt, id: &str) -> Node {
    let kind = receipt
        .node
        .attrs
        .get("type")
        .map(|kind| kind.as_str().into_owned());
    let ack = NodeBuilder::new("ack")
        .attr("class", "receipt")
        .attr("id", id.to_owned());
    let ack = ack.attr("from", receipt.to.clone());
    let participant = receipt.participant.as_ref().map(Jid::to_string);
    with(with(ack, "type", kind), "participant", participant).build()
}

/// A person's phone received a message, or more: `kind` is e.g. `read`.
pub(in crate::whatsapp) fn receipt(from: &Jid, id: &str, t: u64, kind: Option<&str>) -> Node {
    let receipt = NodeBuilder::new("receipt").attr("from", from.clone());
    let receipt = receipt.attr("id", id.to_owned()).attr("t", t.to_string());
    with(receipt, "type", kind.map(str::to_owned)).build()
}

/// The same in a group.
pub(in crate::whatsapp) fn group_receipt(
    group: &Jid,
    person: &Jid,
    id: &str,
    t: u64,
    kind: Option<&str>,
) -> Node {
    let mut node = receipt(group, id, t, kind);
    node.attrs.insert("participant", person.clone());
    node
}

/// A person's phone cannot decrypt a message and asks for it again, under new keys, for the
/// `count`th time.
pub(in crate::whatsapp) fn retry_receipt(
    mut receipt: Node,
    (id, count): (&str, u32),
    keys: &KeyBundle,
) -> Node {
    let t = receipt
        .attrs
        .get("t")
        .map_or_else(String::new, |t| t.as_str().into_owned());
    let retry = NodeBuilder::new("retry").attr("v", "1");
    let retry = retry.attr("count", count.to_string());
    let retry = retry.attr("id", id.to_owned()).attr("t", t).build();
    let registration = keys.registration_id.to_be_bytes();
    let registration = NodeBuilder::new("registration").bytes(registration).build();
    receipt.attrs.insert("type", "retry");
    let children = vec![retry, registration, keys.retry_node()];
    receipt.content = Some(wacore_binary::NodeContent::Nodes(children));
    receipt
}

pub(in crate::whatsapp) fn chatstate(chat: &Jid, person: &Jid, state: Composing) -> Node {
    let state = match state {
        Composing::Composing => NodeBuilder::new("composing"),
        Composing::Recording => NodeBuilder::new("composing").attr("media", "audio"),
        Composing::Paused => NodeBuilder::new("paused"),
    };
    let node = NodeBuilder::new("chatstate").attr("from", chat.clone());
    let node = if chat == person {
        node
    } else {
        node.attr("participant", person.clone())
    };
    node.children([state.build()]).build()
}

pub(in crate::whatsapp) fn presence(person: &Jid, state: Presence, t: u64) -> Node {
    let node = NodeBuilder::new("presence").attr("from", person.clone());
    match state {
        Presence::Available => node.build(),
        Presence::Unavailable => node
            .attr("type", "unavailable")
            .attr("last", t.to_string())
            .build(),
    }
}

/// The login is accepted.
pub(in crate::whatsapp) fn success(lid: &Jid, t: u64) -> Node {
    let node = NodeBuilder::new("success")
        .attr("t", t.to_string())
        .attr("props", "27");
    let node = node
        .attr("companion_enc_static", "mock")
        .attr("creation", "1577836800");
    node.attr("lid", lid.clone())
        .attr("location", "mock")
        .build()
}

/// The login is refused.
pub(in crate::whatsapp) fn failure(reason: u16, expire: Option<u64>) -> Node {
    let node = NodeBuilder::new("failure").attr("reason", reason.to_string());
    let node = node.attr("location", "mock");
    // A temporary ban says what for, and for how long.
    let node = if reason == 402 {
        node.attr("code", "101")
    } else {
        node
    };
    with(node, "expire", expire.map(|expire| expire.to_string())).build()
}

pub(in crate::whatsapp) fn stream_error(code: u16) -> Node {
    NodeBuilder::new("stream:error")
        .attr("code", code.to_string())
        .build()
}

/// Somebody else logged in with the same keys.
pub(in crate::whatsapp) fn replaced() -> Node {
    NodeBuilder::new("stream:error")
        .children([conflict("replaced")])
        .build()
}

/// The owner removed the device.
pub(in crate::whatsapp) fn unlinked() -> Node {
    let node = NodeBuilder::new("stream:error").attr("code", "401");
    node.children([conflict("device_removed")]).build()
}

fn conflict(kind: &'static str) -> Node {
    NodeBuilder::new("conflict").attr("type", kind).build()
}

/// What waits for the device, before it comes.
pub(in crate::whatsapp) fn offline_preview(
    messages: usize,
    receipts: usize,
    others: usize,
) -> Node {
    let all = messages + receipts + others;
    let preview = NodeBuilder::new("offline_preview").attr("count", all.to_string());
    let preview = preview.attr("message", messages.to_string());
    let preview = preview.attr("receipt", receipts.to_string());
    let preview = preview.attr("notification", others.to_string());
    note(preview.attr("appdata", "0").attr("call", "0").build())
}

/// What waited has come.
pub(in crate::whatsapp) fn offline_count(count: usize) -> Node {
    note(
        NodeBuilder::new("offline")
            .attr("count", count.to_string())
            .build(),
    )
}

fn note(child: Node) -> Node {
    NodeBuilder::new("ib")
        .attr("from", server())
        .children([child])
        .build()
}

/// Few one-time prekeys are left; the client is to upload more.
pub(in crate::whatsapp) fn prekeys_are_low(id: &str, left: u32, t: u64) -> Node {
    let count = NodeBuilder::new("count")
        .attr("value", left.to_string())
        .build();
    let node = NodeBuilder::new("notification")
        .attr("from", server())
        .attr("type", "encrypt");
    node.attr("id", id.to_owned())
        .attr("t", t.to_string())
        .children([count])
        .build()
}

/// A child with an error code, as in lists of which each item may fail alone.
pub(in crate::whatsapp) fn fault(code: u16, text: &str) -> Node {
    let error = NodeBuilder::new("error").attr("code", code.to_string());
    error.attr("text", text.to_owned()).build()
}

fn with(node: NodeBuilder, attribute: &'static str, value: Option<String>) -> NodeBuilder {
    match value {
        Some(value) => node.attr(attribute, value),
        None => node,
    }
}
