//! Stanzas as clients send them, read at the edge into types; and the plain ones that the
//! server sends.
//!
//! What an `<iq>` asks for is read in `iq`; here stands only how it is framed.

mod reader;
mod server;
mod xml;

use wacore_binary::{Jid, Node};

pub(super) use reader::{Malformed, Reader};
pub(super) use server::{
    ack_message, ack_receipt, chatstate, failure, fault, group_receipt, nack_message,
    offline_count, offline_preview, prekeys_are_low, presence, receipt, replaced, retry_receipt,
    stream_error, success, unlinked,
};
pub(super) use xml::xml;

/// The server itself, as sender: a JID without a user. As text it would read the same, and
/// clients that compare JIDs would not know it.
pub(super) fn server() -> Jid {
    Jid::pn("")
}

/// What may stand in an `<ib>`.
const NOTES: [&str; 2] = ["unified_session", "offline_batch"];

/// What a client may say of its owner.
const PRESENCES: [&str; 2] = ["available", "unavailable"];

/// Anything a client sends.
#[derive(Clone, Debug)]
pub(super) enum Stanza {
    Ask(Iq),
    /// The answer to something the server asked.
    Answer(Answer),
    Message(Sent),
    Receipt(Receipt),
    Ack(Ack),
    Presence(PresenceNote),
    Chatstate(Chatstate),
    /// `<ib>`: when its owner began to use the client, and that it takes a backlog. Neither wants
    /// an answer.
    Note,
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Iq {
    pub(super) id: String,
    /// None: the server.
    pub(super) to: Option<String>,
    pub(super) set: bool,
    pub(super) namespace: String,
    pub(super) node: Node,
}

#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) id: String,
    pub(super) accepted: bool,
    pub(super) node: Node,
}

/// A message on its way to others.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) id: String,
    pub(super) to: Jid,
    /// Whom it is for alone, where it is sent again to one device in a group.
    pub(super) participant: Option<Jid>,
    pub(super) phash: Option<String>,
    /// `text`, `media` …
    pub(super) class: String,
    /// What it changes of an earlier message, as a number.
    pub(super) edit: Option<String>,
    /// To the owner's own phone, about what the devices share.
    pub(super) peer: bool,
    pub(super) letters: Vec<Sealed>,
    /// `<device-identity>`, by which a reader who does not know the device can check whose it is.
    pub(super) proof: Option<Node>,
}

/// One ciphertext and whom it is for.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    /// None: whomever the message is for.
    pub(super) to: Option<Jid>,
    pub(super) content: super::phone::Sealed,
}

#[derive(Clone, Debug)]
pub(super) struct Receipt {
    pub(super) ids: Vec<String>,
    pub(super) to: Jid,
    pub(super) participant: Option<Jid>,
    pub(super) kind: ReceiptKind,
    pub(super) node: Node,
}

/// What a receipt says of its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ReceiptKind {
    /// They came: `inactive` to a device that nobody looks at, `sender` to one of the same owner.
    Delivered,
    /// They cannot be decrypted: send them again.
    Retry,
    Read,
    /// What one device of the owner tells another has come.
    PeerMessage,
    /// A part of the history has come.
    HistorySync,
    Unknown(String),
}

/// A client took what it was sent; or did not, if there is an error.
#[derive(Clone, Debug)]
pub(super) struct Ack {
    pub(super) id: String,
    pub(super) class: String,
    pub(super) participant: Option<Jid>,
    pub(super) error: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct PresenceNote {
    /// `available` or `unavailable`.
    pub(super) kind: String,
    pub(super) to: Option<Jid>,
    pub(super) name: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Chatstate {
    pub(super) to: Jid,
    /// `composing`, `recording` or `paused`.
    pub(super) state: &'static str,
}

impl Stanza {
    /// # Errors
    /// An element that is none of these, or one that lacks what it must have.
    pub(super) fn read(node: &Node) -> Result<Self, Malformed> {
        let reader = Reader::new(node);
        match &*node.tag {
            "iq" => Self::iq(reader),
            "message" => Ok(Self::Message(Sent::read(reader)?)),
            "receipt" => Ok(Self::Receipt(Receipt::read(reader)?)),
            "ack" => Ok(Self::Ack(Ack {
                id: reader.text("id")?,
                class: reader.text("class")?,
                participant: reader.maybe_jid("participant")?,
                error: reader.maybe("error"),
            })),
            "presence" => Ok(Self::Presence(PresenceNote::read(reader)?)),
            "chatstate" => Ok(Self::Chatstate(Chatstate::read(reader)?)),
            "ib" => match reader.all().find(|note| !NOTES.contains(&note.tag())) {
                Some(unknown) => Err(unknown.unknown()),
                None => Ok(Self::Note),
            },
            _ => Err(reader.unknown()),
        }
    }

    fn iq(reader: Reader<'_>) -> Result<Self, Malformed> {
        let kind = reader.text("type")?;
        let set = match kind.as_str() {
            "get" => false,
            "set" => true,
            "result" | "error" => {
                return Ok(Self::Answer(Answer {
                    id: reader.text("id")?,
                    accepted: kind == "result",
                    node: reader.node().clone(),
                }));
            }
            _ => return Err(reader.wrong("type")),
        };
        Ok(Self::Ask(Iq {
            id: reader.text("id")?,
            to: reader.maybe("to"),
            set,
            namespace: reader.maybe("xmlns").unwrap_or_default(),
            node: reader.node().clone(),
        }))
    }
}

impl Sent {
    fn read(reader: Reader<'_>) -> Result<Self, Malformed> {
        let mut letters = Vec::new();
        if let Some(participants) = reader.maybe_child("participants") {
            for to in participants.children("to") {
                let jid = to.jid("jid")?;
                for enc in to.children("enc") {
                    letters.push(Sealed::read(Some(jid.clone()), enc)?);
                }
            }
        }
        for enc in reader.children("enc") {
            letters.push(Sealed::read(None, enc)?);
        }
        Ok(Self {
            id: reader.text("id")?,
            to: reader.jid("to")?,
            participant: reader.maybe_jid("participant")?,
            phash: reader.maybe("phash"),
            class: reader.text("type")?,
            edit: reader.maybe("edit"),
            peer: reader.maybe("category").as_deref() == Some("peer"),
            letters,
            proof: reader
                .maybe_child("device-identity")
                .map(|proof| proof.node().clone()),
        })
    }
}

impl Sealed {
    fn read(to: Option<Jid>, enc: Reader<'_>) -> Result<Self, Malformed> {
        let cipher = super::phone::Cipher::read(&enc.text("type")?);
        let content = super::phone::Sealed {
            cipher: cipher.ok_or_else(|| enc.wrong("type"))?,
            bytes: enc.bytes().to_vec(),
        };
        Ok(Self { to, content })
    }
}

impl Receipt {
    fn read(reader: Reader<'_>) -> Result<Self, Malformed> {
        let mut ids = vec![reader.text("id")?];
        if let Some(list) = reader.maybe_child("list") {
            for item in list.children("item") {
                ids.push(item.text("id")?);
            }
        }
        Ok(Self {
            ids,
            // Of what the owner wrote elsewhere Baileys names only the chat.
            to: match reader.maybe_jid("to")? {
                Some(to) => to,
                None => reader.jid("recipient")?,
            },
            participant: reader.maybe_jid("participant")?,
            kind: ReceiptKind::read(reader.maybe("type").as_deref()),
            node: reader.node().clone(),
        })
    }
}

impl ReceiptKind {
    fn read(word: Option<&str>) -> Self {
        match word {
            None | Some("inactive" | "sender") => Self::Delivered,
            Some("retry") => Self::Retry,
            Some("read") => Self::Read,
            Some("peer_msg") => Self::PeerMessage,
            Some("hist_sync") => Self::HistorySync,
            Some(other) => Self::Unknown(other.to_owned()),
        }
    }

    /// As the journal calls it.
    pub(super) fn word(&self) -> &str {
        match self {
            Self::Delivered => "delivered",
            Self::Retry => "retry",
            Self::Read => "read",
            Self::PeerMessage => "peer_msg",
            Self::HistorySync => "hist_sync",
            Self::Unknown(word) => word,
        }
    }
}

impl PresenceNote {
    fn read(reader: Reader<'_>) -> Result<Self, Malformed> {
        let kind = reader.maybe("type");
        let kind = kind.unwrap_or_else(|| "available".to_owned());
        if !PRESENCES.contains(&kind.as_str()) {
            return Err(reader.wrong("type"));
        }
        Ok(Self {
            kind,
            to: reader.maybe_jid("to")?,
            name: reader.maybe("name"),
        })
    }
}

impl Chatstate {
    fn read(reader: Reader<'_>) -> Result<Self, Malformed> {
        let to = reader.jid("to")?;
        if reader.maybe_child("paused").is_some() {
            return Ok(Self {
                to,
                state: "paused",
            });
        }
        let composing = reader.child("composing")?;
        let voice = composing.maybe("media").as_deref() == Some("audio");
        let state = if voice { "recording" } else { "composing" };
        Ok(Self { to, state })
    }
}

impl Iq {
    /// The answer that it is done, with what was asked for.
    pub(super) fn result(&self, children: Vec<Node>) -> Node {
        server::result(self, children)
    }

    /// The answer that it is not done, as HTTP would number it.
    pub(super) fn refused(&self, code: u16, text: &str) -> Node {
        server::refused(self, code, text)
    }
}
