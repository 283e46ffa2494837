//! The envelopes that a message may stand in, on and off.

use buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::{DeviceSentMessage, FutureProofMessage};

use crate::whatsapp::controls::Wrapper;

/// More envelopes than any client nests; what is deeper is not looked into.
const DEEPEST: usize = 8;

/// What the author's phone sends to the author's other devices: the message, and to whom it went.
pub(crate) fn device_sent(message: wa::Message, destination: String) -> wa::Message {
    let sent = DeviceSentMessage {
        destination_jid: Some(destination),
        message: MessageField::some(message),
        ..Default::default()
    };
    wa::Message {
        device_sent_message: MessageField::some(sent),
        ..Default::default()
    }
}

/// Puts the message into that envelope; `destination` is for [`Wrapper::DeviceSent`].
pub(super) fn wrap(wrapper: Wrapper, message: wa::Message, destination: String) -> wa::Message {
    let inner = |message| {
        MessageField::some(FutureProofMessage {
            message: MessageField::some(message),
        })
    };
    match wrapper {
        Wrapper::Ephemeral => wa::Message {
            ephemeral_message: inner(message),
            ..Default::default()
        },
        Wrapper::ViewOnce => wa::Message {
            view_once_message: inner(message),
            ..Default::default()
        },
        Wrapper::ViewOnceV2 => wa::Message {
            view_once_message_v2: inner(message),
            ..Default::default()
        },
        Wrapper::ViewOnceV2Extension => wa::Message {
            view_once_message_v2_extension: inner(message),
            ..Default::default()
        },
        Wrapper::DocumentWithCaption => wa::Message {
            document_with_caption_message: inner(message),
            ..Default::default()
        },
        Wrapper::DeviceSent => device_sent(message, destination),
    }
}

/// The message within all envelopes.
pub(super) fn unwrap(message: &wa::Message) -> &wa::Message {
    let mut within = message;
    for _ in 0..DEEPEST {
        match envelope(within) {
            Some(inner) => within = inner,
            None => break,
        }
    }
    within
}

fn envelope(message: &wa::Message) -> Option<&wa::Message> {
    let sent = message
        .device_sent_message
        .as_option()
        .map(|sent| &sent.message);
    let wrapped = [
        &message.ephemeral_message,
        &message.view_once_message,
        &message.view_once_message_v2,
        &message.view_once_message_v2_extension,
        &message.document_with_caption_message,
        &message.edited_message,
    ];
    let wrapped = wrapped
        .into_iter()
        .filter_map(|wrapper| wrapper.as_option());
    sent.into_iter()
        .chain(wrapped.map(|wrapper| &wrapper.message))
        .find_map(|inner| inner.as_option())
}
