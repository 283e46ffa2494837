//! What Baileys says happens: the lines of `client.mjs`, as types.
//!
//! JIDs and ids are text here, as Baileys hands them out: it is not for us to mend them.

use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    Qr {
        code: String,
    },
    Paired {},
    Open {
        jid: String,
    },
    CaughtUp {},
    Closed {
        status: Option<u16>,
    },
    Message(Message),
    Edited {
        id: String,
        text: Option<String>,
    },
    Revoked {
        id: String,
    },
    Receipt(Receipt),
    Reaction {
        id: String,
        emoji: String,
    },
    Presence {
        chat: String,
        person: String,
        state: String,
    },
    /// The state of a chat changed; what did not change is none.
    Chat {
        id: String,
        archived: Option<bool>,
        pinned: Option<bool>,
        muted: Option<bool>,
    },
    Contact {
        id: String,
        name: Option<String>,
    },
    /// The owner's name is this.
    Named {
        name: String,
    },
    Group {
        id: String,
        subject: Option<String>,
    },
    Members {
        id: String,
        action: String,
        people: Vec<String>,
    },
    Done(Done),
    Failed {
        of: String,
        why: String,
    },
}

/// A message that came in, or that Baileys sent itself.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Message {
    pub(crate) id: String,
    /// The JID of the group or person.
    pub(crate) chat: String,
    /// The JID of its author.
    pub(crate) from: String,
    pub(crate) own: bool,
    /// It had waited at the server.
    pub(crate) offline: bool,
    pub(crate) name: Option<String>,
    /// The field of the protobuf, e.g. `imageMessage`.
    pub(crate) kind: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) quoted: Option<Quoted>,
    pub(crate) mentions: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Quoted {
    pub(crate) id: String,
    pub(crate) from: Option<String>,
    pub(crate) text: Option<String>,
}

/// A phone has a message of Baileys, or was opened at it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) id: String,
    pub(crate) by: String,
    /// 3: delivered. 4: read.
    pub(crate) status: u8,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Done {
    pub(crate) of: String,
    #[serde(flatten)]
    pub(crate) results: Map<String, Value>,
}
