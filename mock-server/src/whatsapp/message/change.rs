//! What is said about an earlier message: its text is changed, it is taken back, somebody
//! puts an emoji on it.

use buffa::MessageField;
use jiff::Timestamp;
use wacore_binary::Jid;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{ProtocolMessage, ReactionMessage};

use super::{Composed, Label};

/// The message that is meant, as the one who speaks about it knows it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) id: String,
    /// The chat: the group, or the other person of the two.
    pub(crate) chat: Jid,
    /// Who speaks wrote it.
    pub(crate) own: bool,
    /// Who wrote it; groups only.
    pub(crate) author: Option<Jid>,
}

impl Target {
    fn key(&self) -> MessageField<wa::MessageKey> {
        MessageField::some(wa::MessageKey {
            remote_jid: Some(self.chat.to_string()),
            from_me: Some(self.own),
            id: Some(self.id.clone()),
            participant: self.author.as_ref().map(ToString::to_string),
        })
    }
}

/// The message has another text now.
pub(crate) fn edit(target: &Target, text: &str, at: Timestamp) -> Composed {
    let edited = wa::Message {
        conversation: Some(text.to_owned()),
        ..Default::default()
    };
    let change = ProtocolMessage {
        key: target.key(),
        r#type: Some(Type::MESSAGE_EDIT),
        edited_message: MessageField::some(edited),
        timestamp_ms: Some(at.as_millisecond()),
        ..Default::default()
    };
    Composed {
        message: protocol(change),
        label: Label {
            edit: Some("1"),
            hidden: true,
            ..Label::TEXT
        },
    }
}

/// The message is deleted for everyone; by an admin, where the target is not one's own.
pub(crate) fn revoke(target: &Target) -> Composed {
    let change = ProtocolMessage {
        key: target.key(),
        r#type: Some(Type::REVOKE),
        ..Default::default()
    };
    let edit = Some(if target.own { "7" } else { "8" });
    Composed {
        message: protocol(change),
        label: Label {
            edit,
            hidden: true,
            ..Label::TEXT
        },
    }
}

/// The emoji stands on the message now; an empty one takes it away again.
pub(crate) fn react(target: &Target, emoji: &str, at: Timestamp) -> Composed {
    let reaction = ReactionMessage {
        key: target.key(),
        text: Some(emoji.to_owned()),
        sender_timestamp_ms: Some(at.as_millisecond()),
        ..Default::default()
    };
    let message = wa::Message {
        reaction_message: MessageField::some(reaction),
        ..Default::default()
    };
    Composed {
        message,
        label: Label {
            class: "reaction",
            hidden: true,
            ..Label::TEXT
        },
    }
}

fn protocol(change: ProtocolMessage) -> wa::Message {
    wa::Message {
        protocol_message: MessageField::some(change),
        ..Default::default()
    }
}
