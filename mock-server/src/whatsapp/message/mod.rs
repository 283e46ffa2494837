//! What is inside a message: made from what a control says, and read from what the assistant
//! sent. How it is encrypted and who gets it is decided elsewhere.

mod change;
mod compose;
mod read;
mod wrap;
#[cfg(test)]
mod tests;

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp as wa;

pub(crate) use change::{Target, edit, react, revoke};
pub(crate) use compose::{Context, Quote, compose};
pub(crate) use read::{Heard, HeardFile, HeardKind, read};
pub(crate) use wrap::device_sent;

use crate::whatsapp::phone::Sealed;

/// A message, and what its stanza says about it in the open.
#[derive(Clone, Debug)]
pub(crate) struct Composed {
    pub(crate) message: wa::Message,
    pub(crate) label: Label,
}

/// The attributes by which servers and clients sort a message without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    /// `type` of `<message>`: `text`, `media`, `reaction` or `poll`.
    pub(crate) class: &'static str,
    /// `mediatype` of `<enc>`.
    pub(crate) media: Option<&'static str>,
    /// `edit` of `<message>`: `1` edits, `7` revokes, `8` revokes as an admin.
    pub(crate) edit: Option<&'static str>,
    /// `decrypt-fail="hide"` of `<enc>`: who cannot read it shows nothing in its place.
    pub(crate) hidden: bool,
}

impl Label {
    pub(crate) const TEXT: Self = Self {
        class: "text",
        media: None,
        edit: None,
        hidden: false,
    };

    /// The `<enc>` of a sealed message with this label.
    pub(crate) fn enc(&self, sealed: &Sealed) -> Node {
        let mut node = NodeBuilder::new("enc")
            .attr("v", "2")
            .attr("type", sealed.cipher.word());
        if let Some(media) = self.media {
            node = node.attr("mediatype", media);
        }
        if self.hidden {
            node = node.attr("decrypt-fail", "hide");
        }
        node.bytes(sealed.bytes.clone()).build()
    }
}
