//! `w:sync:app:state`: collections of small facts that all devices of the owner share, such as
//! the push name and which chats are archived. Each has a version, and patches lead to it.
//!
//! Format: WhatsApp Web ("syncd"), as Baileys 7.0.0-rc14 and whatsapp-rust 0.7.0 speak it.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use crate::whatsapp::stanza::{Malformed, Reader, fault};

/// One collection that a device wants to be up to date with, or changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::whatsapp) struct CollectionAsk {
    pub(in crate::whatsapp) name: String,
    /// What it has; none of a device that has nothing yet.
    pub(in crate::whatsapp) version: Option<u64>,
    /// A patch of its own, as `SyncdPatch`.
    pub(in crate::whatsapp) patch: Option<Vec<u8>>,
}

pub(super) fn read(sync: Reader<'_>) -> Result<Vec<CollectionAsk>, Malformed> {
    sync.children("collection").map(collection).collect()
}

fn collection(collection: Reader<'_>) -> Result<CollectionAsk, Malformed> {
    let version = collection.maybe("version").map(|version| {
        version
            .parse()
            .map_err(|_not_a_number| collection.wrong("version"))
    });
    let patch = collection.maybe_child("patch");
    Ok(CollectionAsk {
        name: collection.text("name")?,
        version: version.transpose()?,
        patch: patch.map(|patch| patch.bytes().to_vec()),
    })
}

/// What a device lacks of a collection: the patches after what it has.
pub(in crate::whatsapp) fn collection_node(
    name: &str,
    version: u64,
    patches: Vec<Vec<u8>>,
) -> Node {
    let collection = NodeBuilder::new("collection").attr("name", name.to_owned());
    let collection = collection
        .attr("version", version.to_string())
        .attr("type", "result");
    if patches.is_empty() {
        return collection.build();
    }
    let patches = patches
        .into_iter()
        .map(|patch| NodeBuilder::new("patch").bytes(patch).build());
    let patches = NodeBuilder::new("patches").children(patches).build();
    collection.children([patches]).build()
}

/// Another device changed the collection since.
pub(in crate::whatsapp) fn conflict_node(name: &str, patches: Vec<Vec<u8>>, version: u64) -> Node {
    let mut node = collection_node(name, version, patches);
    node.attrs.insert("type", "error");
    let error = NodeBuilder::new("error")
        .attr("code", "409")
        .attr("text", "conflict")
        .build();
    if let Some(wacore_binary::NodeContent::Nodes(children)) = &mut node.content {
        children.push(error);
    } else {
        node.content = Some(wacore_binary::NodeContent::Nodes(vec![error]));
    }
    node
}

/// The patch of a device is not taken.
pub(in crate::whatsapp) fn refused_node(name: &str, code: u16, text: &str) -> Node {
    let collection = NodeBuilder::new("collection").attr("name", name.to_owned());
    let collection = collection.attr("type", "error");
    collection.children([fault(code, text)]).build()
}

pub(in crate::whatsapp) fn sync(collections: Vec<Node>) -> Node {
    NodeBuilder::new("sync").children(collections).build()
}
