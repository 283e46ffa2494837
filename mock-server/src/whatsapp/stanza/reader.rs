//! Reads attributes and children of an element, and says plainly what is missing.

use wacore_binary::{Jid, Node, NodeContent};

/// An element that does not say what it must.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::whatsapp) enum Malformed {
    #[error("<{0}> is not served")]
    Unknown(String),
    #[error("<{element}> has no attribute `{attribute}`")]
    NoAttribute {
        element: String,
        attribute: &'static str,
    },
    #[error("<{element}> has a wrong `{attribute}`")]
    Wrong {
        element: String,
        attribute: &'static str,
    },
    #[error("<{element}> has no <{child}>")]
    NoChild {
        element: String,
        child: &'static str,
    },
    #[error("<{element}> has {length} bytes, not {expected}")]
    Length {
        element: String,
        length: usize,
        expected: usize,
    },
}

/// One element.
#[derive(Clone, Copy, Debug)]
pub(in crate::whatsapp) struct Reader<'a> {
    node: &'a Node,
}

impl<'a> Reader<'a> {
    pub(in crate::whatsapp) fn new(node: &'a Node) -> Self {
        Self { node }
    }

    pub(in crate::whatsapp) fn node(self) -> &'a Node {
        self.node
    }

    pub(in crate::whatsapp) fn tag(self) -> &'a str {
        &self.node.tag
    }

    /// An attribute; an empty one is none.
    pub(in crate::whatsapp) fn maybe(self, attribute: &str) -> Option<String> {
        let value = self.node.attrs.get(attribute)?.as_str().into_owned();
        Some(value).filter(|value| !value.is_empty())
    }

    pub(in crate::whatsapp) fn text(self, attribute: &'static str) -> Result<String, Malformed> {
        self.maybe(attribute).ok_or_else(|| Malformed::NoAttribute {
            element: self.tag().to_owned(),
            attribute,
        })
    }

    pub(in crate::whatsapp) fn maybe_jid(
        self,
        attribute: &'static str,
    ) -> Result<Option<Jid>, Malformed> {
        let text = self.maybe(attribute);
        let jid = text.map(|text| text.parse().map_err(|_fault| self.wrong(attribute)));
        jid.transpose()
    }

    pub(in crate::whatsapp) fn jid(self, attribute: &'static str) -> Result<Jid, Malformed> {
        let text = self.text(attribute)?;
        text.parse().map_err(|_fault| self.wrong(attribute))
    }

    pub(in crate::whatsapp) fn all(self) -> impl Iterator<Item = Reader<'a>> {
        let children = self.node.children().unwrap_or(&[]);
        children.iter().map(Reader::new)
    }

    pub(in crate::whatsapp) fn children(self, tag: &str) -> impl Iterator<Item = Reader<'a>> {
        self.all().filter(move |child| child.tag() == tag)
    }

    pub(in crate::whatsapp) fn maybe_child(self, tag: &str) -> Option<Self> {
        self.all().find(|child| child.tag() == tag)
    }

    pub(in crate::whatsapp) fn child(self, child: &'static str) -> Result<Self, Malformed> {
        self.maybe_child(child).ok_or_else(|| Malformed::NoChild {
            element: self.tag().to_owned(),
            child,
        })
    }

    /// What stands in the element; nothing, if that is more elements.
    pub(in crate::whatsapp) fn bytes(self) -> &'a [u8] {
        match &self.node.content {
            Some(NodeContent::Bytes(bytes)) => bytes,
            Some(NodeContent::String(text)) => text.as_bytes(),
            Some(NodeContent::Nodes(_)) | None => &[],
        }
    }

    pub(in crate::whatsapp) fn array<const LENGTH: usize>(self) -> Result<[u8; LENGTH], Malformed> {
        let bytes = self.bytes();
        bytes.try_into().map_err(|_fault| Malformed::Length {
            element: self.tag().to_owned(),
            length: bytes.len(),
            expected: LENGTH,
        })
    }

    pub(in crate::whatsapp) fn wrong(self, attribute: &'static str) -> Malformed {
        Malformed::Wrong {
            element: self.tag().to_owned(),
            attribute,
        }
    }

    pub(in crate::whatsapp) fn unknown(self) -> Malformed {
        Malformed::Unknown(self.tag().to_owned())
    }
}
