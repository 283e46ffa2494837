//! What a person may do with their phone, and what may go wrong on the way: the words of
//! the control API (`POST /_mock/whatsapp`) and of scenario steps alike.
//!
//! Words only; who acts on them is the exchange.

mod files;
mod linking;

use std::path::PathBuf;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bytes::Base64;

pub use files::{FileFault, UploadRefusal};
pub use linking::{CodeReason, CodeRefusal, LinkOffer};

/// One thing to do. A `chat` is the name of a chat, the name of a person (the chat with
/// them alone) or a JID; a person is a name, and exists from its first mention; a `message` is
/// what it was called `as`, or an id on the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, and it is moved twice"
)]
pub enum Control {
    /// A person writes.
    Say(Saying),
    /// A person changes the text of their message.
    Edit(Editing),
    /// A person deletes their message for everyone.
    Revoke(Revoking),
    /// A person puts an emoji on a message; an empty one takes it away.
    React(Reacting),
    /// A person begins or ends to write.
    Typing(TypingState),
    /// A person opens a chat and so has read what the assistant wrote there.
    Read(Reading),
    /// A person comes online or goes.
    Presence(PresenceState),
    /// The server hands out a message once more, under its old id.
    Redeliver {
        message: String,
    },
    /// A person's phone loses the keys it shares with nanokimi, as one that was restored from an
    /// old backup: what nanokimi sends next it cannot decrypt, and asks for again.
    LoseKeys {
        person: String,
    },

    /// The owner makes a group.
    CreateGroup(GroupCast),
    Add(Membership),
    Remove(Membership),
    Promote(Membership),
    Demote(Membership),
    Rename {
        chat: String,
        subject: String,
    },

    /// The owner's phone scans what nanokimi shows.
    ScanQr {
        code: String,
    },
    /// The owner types the pairing code that nanokimi shows; a hyphen in it may be left out.
    EnterCode {
        code: String,
    },
    /// What whoever wants to be linked is offered from now on; `{}` is what WhatsApp offers.
    Offer(LinkOffer),
    /// What the next requests for a code to be typed in get.
    RefuseCode(CodeRefusal),
    /// Whether linking asks for a passkey from now on, which nanokimi has none of; if so, a device
    /// that is linked is asked at once.
    Passkey {
        demanded: bool,
    },
    /// The owner removes nanokimi from the linked devices.
    Unlink {},
    /// Somebody logs in with nanokimi's keys elsewhere.
    Replace {},

    /// The connection is cut.
    Drop {},
    /// The connection stays open, but nothing comes or goes any more.
    HalfOpen {},
    /// Bytes that are no frame arrive.
    Garbage {},
    /// The server ends the stream, e.g. 515 (restart) or 503.
    StreamError {
        code: u16,
    },
    /// The network is away: connections are cut and new ones refused, until `back`.
    Offline {},
    Back {},
    /// What the next logins get.
    Refuse(Refusal),
    /// What the next messages get that nanokimi sends: an error, and nobody gets them.
    Nack(Nacking),
    /// What the next uploads to the media host get.
    RefuseUploads(UploadRefusal),
    /// Every stanza to nanokimi comes so much later; `0s` ends it.
    Delay {
        #[schemars(with = "String")]
        by: jiff::SignedDuration,
    },
    /// The server no longer acknowledges what nanokimi sends, until `resume_acks`.
    PauseAcks {},
    ResumeAcks {},
    /// Something no longer arrives, until `let_go`.
    Hold {
        what: Traffic,
    },
    LetGo {
        what: Traffic,
    },

    /// The server says that so few one-time prekeys are left.
    LowPrekeys {
        left: u32,
    },
    /// Another device of the owner changes the state that all share.
    Mutate(Mutation),
}

/// A message as its author writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Saying {
    pub chat: String,
    pub from: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What later steps call this message.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub called: Option<String>,
    /// Its id on the wire. Default: made from the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The message it quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<Attachment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrapper: Option<Wrapper>,
    /// When the server says it was sent. Default: the virtual time, or else the real one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<TextForm>,
    /// From which of the person's devices; 0 is the phone.
    #[serde(default)]
    pub device: u16,
    /// Encrypted so that nanokimi cannot read it; its retry receipt is answered properly.
    #[serde(default)]
    pub undecryptable: bool,
    /// Handed out twice, under one id.
    #[serde(default)]
    pub duplicate: bool,
    /// Other fields of the message: for forms that carry no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<OtherContent>,
}

/// How a text without attachment is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextForm {
    /// `conversation`: plain text; the default where there is no quote and no mention.
    Conversation,
    /// `extendedTextMessage`: text with a context.
    Extended,
}

/// Forms besides text and media.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OtherContent {
    Location {
        latitude: f64,
        longitude: f64,
        #[serde(default)]
        name: Option<String>,
    },
    Contact {
        name: String,
        vcard: String,
    },
    Poll {
        question: String,
        options: Vec<String>,
    },
}

/// What a message may be wrapped in; nanokimi must look inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wrapper {
    Ephemeral,
    ViewOnce,
    ViewOnceV2,
    ViewOnceV2Extension,
    DocumentWithCaption,
    DeviceSent,
}

/// A file that comes with a message. Its content is one of `text`, `bytes`, `path` and `base64`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    pub kind: MediaKind,
    /// The content as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// So many bytes made from the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
    /// The content of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The content itself, as base64: for a mock that cannot read the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub base64: Option<Base64>,
    /// The file's name; documents only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Default: the usual one of its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// What goes wrong when nanokimi fetches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<FileFault>,
}

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    Image,
    Video,
    Document,
    Audio,
    Sticker,
    Voice,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Editing {
    pub message: String,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revoking {
    pub message: String,
    /// Who deletes it, where that is not its author but an admin of the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reacting {
    pub message: String,
    pub from: String,
    pub emoji: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TypingState {
    pub chat: String,
    pub from: String,
    pub state: Composing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "so the protocol calls it")]
pub enum Composing {
    Composing,
    Recording,
    Paused,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    pub chat: String,
    pub from: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PresenceState {
    pub from: String,
    pub state: Presence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    Available,
    Unavailable,
}

/// A group as it begins; the owner is always in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupCast {
    /// What steps call it.
    #[serde(alias = "chat")]
    pub name: String,
    /// `<digits>` or `<digits>@g.us`.
    pub id: String,
    /// Default: the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(default)]
    pub members: Vec<String>,
    #[serde(default)]
    pub addressing: Addressing,
}

/// By what the members of a group know each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Addressing {
    /// Phone numbers.
    #[default]
    Pn,
    /// Numbers that hide the phone's: `…@lid`.
    Lid,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    pub chat: String,
    pub people: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    pub with: Reason,
    /// Default: every login from now on, until `refuse` with `times: 0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// For how many seconds a temporary ban holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nacking {
    /// E.g. 463 (a stranger), 403 (not in the group), 421 (the group has changed), 429 (too
    /// many), 503.
    pub code: u16,
    /// Default: every message from now on, until `nack` with `times: 0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

/// Why a login is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// 401: the device was unlinked.
    LoggedOut,
    /// 402, with the seconds it lasts.
    TemporaryBan,
    /// 403.
    Locked,
    /// 405: the client is too old.
    Outdated,
    /// 500.
    Internal,
    /// 503.
    Unavailable,
}

/// What can be held back on its way to nanokimi, or from it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Traffic {
    /// Messages of people.
    Messages,
    /// Receipts of people's phones for what nanokimi sent.
    Receipts,
    /// The server's acknowledgements of what nanokimi sent.
    Acks,
    /// nanokimi's receipts for what people wrote, the other way: they are lost, and what was
    /// written comes again with the next connection.
    Deliveries,
}

/// A change of the state that the owner's devices share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Mutation {
    /// The name the owner goes by.
    PushName {
        name: String,
    },
    Archive {
        chat: String,
        archived: bool,
    },
    Pin {
        chat: String,
        pinned: bool,
    },
    Mute {
        chat: String,
        muted: bool,
    },
    /// The name under which the owner keeps a person.
    Contact {
        person: String,
        name: String,
    },
}

/// What came of a control.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The id of the message that was sent, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The journal's entry about it, or else its last.
    pub seq: u64,
    /// It was said in a group that the owner is not in, so that nanokimi gets nothing of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outside: bool,
}
