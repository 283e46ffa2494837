//! What a person sees of a message: its kind and its words, whatever it is wrapped in.

use wacore_binary::Jid;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::ProtocolMessage;
use waproto::whatsapp::message::protocol_message::Type;

use super::wrap::unwrap;
use crate::whatsapp::controls::MediaKind;
use crate::whatsapp::media::SealedFile;

/// A message as it is heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) kind: HeardKind,
    /// The text, the caption, the emoji of a reaction, the text after an edit.
    pub(crate) text: Option<String>,
    /// The id of the message it quotes.
    pub(crate) quoted: Option<String>,
    /// The JIDs it mentions.
    pub(crate) mentions: Vec<String>,
    pub(crate) file: Option<HeardFile>,
    /// The id of the message that it edits, takes back or reacts to.
    pub(crate) target: Option<String>,
    /// To whom it went, where this is what one device tells another of the same account.
    pub(crate) destination: Option<Jid>,
}

/// What a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum HeardKind {
    Text,
    Media(MediaKind),
    Location,
    Contact,
    Poll,
    Reaction,
    Edit,
    Revoke,
    /// It only hands a sender key out.
    Keys,
    /// Between the devices of one account: history, app state and the like.
    Peer,
    /// Nothing that phones show.
    #[default]
    Unknown,
}

impl HeardKind {
    /// As the journal calls it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Media(MediaKind::Image) => "image",
            Self::Media(MediaKind::Video) => "video",
            Self::Media(MediaKind::Document) => "document",
            Self::Media(MediaKind::Audio) => "audio",
            Self::Media(MediaKind::Voice) => "voice",
            Self::Media(MediaKind::Sticker) => "sticker",
            Self::Location => "location",
            Self::Contact => "contact",
            Self::Poll => "poll",
            Self::Reaction => "reaction",
            Self::Edit => "edit",
            Self::Revoke => "revoke",
            Self::Keys => "keys",
            Self::Peer => "peer",
            Self::Unknown => "unknown",
        }
    }
}

/// A file that came with a message, to be fetched and opened with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeardFile {
    pub(crate) kind: MediaKind,
    pub(crate) mime: Option<String>,
    pub(crate) name: Option<String>,
    /// None: a field of it is missing or has a wrong length.
    pub(crate) sealed: Option<SealedFile>,
}

/// Reads a message.
pub(crate) fn read(message: &wa::Message) -> Heard {
    let within = unwrap(message);
    let mut heard = content(within);
    heard.destination = destination(message);
    heard
}

fn destination(message: &wa::Message) -> Option<Jid> {
    let sent = message.device_sent_message.as_option()?;
    match sent.destination_jid.as_deref()?.parse() {
        Ok(jid) => Some(jid),
        // A mock does not judge; without a destination it is not heard in any chat.
        Err(_not_a_jid) => None,
    }
}

fn content(message: &wa::Message) -> Heard {
    if let Some(text) = &message.conversation {
        return Heard {
            kind: HeardKind::Text,
            text: Some(text.clone()),
            ..Heard::default()
        };
    }
    if let Some(extended) = message.extended_text_message.as_option() {
        let text = extended.text.clone();
        return around(
            Heard {
                kind: HeardKind::Text,
                text,
                ..Heard::default()
            },
            &extended.context_info,
        );
    }
    if let Some(change) = message.protocol_message.as_option() {
        return changed(change);
    }
    if let Some(reaction) = message.reaction_message.as_option() {
        let target = reaction.key.as_option().and_then(|key| key.id.clone());
        let text = reaction.text.clone();
        return Heard {
            kind: HeardKind::Reaction,
            text,
            target,
            ..Heard::default()
        };
    }
    file(message).unwrap_or_else(|| rest(message))
}

fn changed(change: &ProtocolMessage) -> Heard {
    let target = change.key.as_option().and_then(|key| key.id.clone());
    match change.r#type {
        Some(Type::REVOKE) => Heard {
            kind: HeardKind::Revoke,
            target,
            ..Heard::default()
        },
        Some(Type::MESSAGE_EDIT) => {
            let edited = change
                .edited_message
                .as_option()
                .map(|edited| content(unwrap(edited)));
            Heard {
                kind: HeardKind::Edit,
                target,
                ..edited.unwrap_or_default()
            }
        }
        Some(_) | None => Heard {
            kind: HeardKind::Peer,
            ..Heard::default()
        },
    }
}

fn around(mut heard: Heard, context: &buffa::MessageField<wa::ContextInfo>) -> Heard {
    if let Some(context) = context.as_option() {
        heard.quoted.clone_from(&context.stanza_id);
        heard.mentions.clone_from(&context.mentioned_jid);
    }
    heard
}

/// Reads the fields that all messages with files share.
macro_rules! heard_file {
    ($message:expr, $kind:expr, $caption:expr, $name:expr) => {{
        let message = $message;
        let file = HeardFile {
            kind: $kind,
            mime: message.mimetype.clone(),
            name: $name,
            sealed: SealedFile::read(
                [
                    &message.media_key,
                    &message.file_sha256,
                    &message.file_enc_sha256,
                ],
                [&message.url, &message.direct_path],
                message.file_length,
            ),
        };
        let kind = HeardKind::Media($kind);
        let heard = Heard {
            kind,
            text: $caption,
            file: Some(file),
            ..Heard::default()
        };
        Some(around(heard, &message.context_info))
    }};
}

fn file(message: &wa::Message) -> Option<Heard> {
    if let Some(image) = message.image_message.as_option() {
        return heard_file!(image, MediaKind::Image, image.caption.clone(), None);
    }
    if let Some(video) = message.video_message.as_option() {
        return heard_file!(video, MediaKind::Video, video.caption.clone(), None);
    }
    if let Some(document) = message.document_message.as_option() {
        let name = document.file_name.clone();
        return heard_file!(
            document,
            MediaKind::Document,
            document.caption.clone(),
            name
        );
    }
    if let Some(audio) = message.audio_message.as_option() {
        let voice = audio.ptt == Some(true);
        let kind = if voice {
            MediaKind::Voice
        } else {
            MediaKind::Audio
        };
        return heard_file!(audio, kind, None, None);
    }
    let sticker = message.sticker_message.as_option()?;
    heard_file!(sticker, MediaKind::Sticker, None, None)
}

fn rest(message: &wa::Message) -> Heard {
    let of = |kind, text| Heard {
        kind,
        text,
        ..Heard::default()
    };
    if let Some(location) = message.location_message.as_option() {
        return of(HeardKind::Location, location.name.clone());
    }
    if let Some(contact) = message.contact_message.as_option() {
        return of(HeardKind::Contact, contact.display_name.clone());
    }
    let polls = [
        &message.poll_creation_message,
        &message.poll_creation_message_v2,
        &message.poll_creation_message_v3,
    ];
    if let Some(poll) = polls.into_iter().find_map(|poll| poll.as_option()) {
        return of(HeardKind::Poll, poll.name.clone());
    }
    let keys = message.sender_key_distribution_message.is_set();
    of(
        if keys {
            HeardKind::Keys
        } else {
            HeardKind::Unknown
        },
        None,
    )
}
