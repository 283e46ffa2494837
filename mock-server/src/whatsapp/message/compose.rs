//! A message as its author's phone makes it: text, a file, or something else, with what it
//! quotes and whom it mentions.

use buffa::MessageField;
use wacore_binary::Jid;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::poll_creation_message::Option as PollOption;
use waproto::whatsapp::message::{
    AudioMessage, ContactMessage, DocumentMessage, ExtendedTextMessage, ImageMessage,
    LocationMessage, PollCreationMessage, StickerMessage, VideoMessage,
};

use super::wrap::wrap;
use super::{Composed, Label};
use crate::whatsapp::controls::{Attachment, MediaKind, OtherContent, Saying, TextForm, Wrapper};
use crate::whatsapp::media::SealedFile;

/// A day: what people choose for messages that disappear.
const EPHEMERAL_SECONDS: u32 = 86_400;

/// What a saying refers to, looked up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    pub(crate) quote: Option<Quote>,
    pub(crate) mentions: Vec<Jid>,
    /// The attachment, as it lies on the media host.
    pub(crate) file: Option<SealedFile>,
    /// The chat, for a message that one device tells another about.
    pub(crate) destination: String,
}

/// A message that is quoted.
#[derive(Clone, Debug)]
pub(crate) struct Quote {
    pub(crate) id: String,
    pub(crate) author: Jid,
    pub(crate) message: wa::Message,
}

/// A saying that makes no message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum UnfitMessage {
    #[error("the message is empty: give it `text`, `media` or `content`")]
    Empty,
    #[error("a message has one content: either `media` or `content`")]
    TwoContents,
    #[error("a {0} carries no text: send it as a message of its own")]
    NoCaption(&'static str),
    #[error("the caption stands twice: as `text` and as `caption` of the media")]
    TwoCaptions,
    #[error("the file was not stored")]
    NoFile,
}

/// Makes the message that is said.
///
/// # Errors
/// What is said fits into no message.
pub(crate) fn compose(saying: &Saying, context: Context) -> Result<Composed, UnfitMessage> {
    let around = context_info(saying, &context);
    let (message, label) = match (&saying.media, &saying.content) {
        (Some(_), Some(_)) => return Err(UnfitMessage::TwoContents),
        (Some(attachment), None) => {
            let file = context.file.ok_or(UnfitMessage::NoFile)?;
            attached(attachment, saying.text.as_deref(), file, around)?
        }
        (None, Some(content)) => other(content, saying.text.as_deref(), around)?,
        (None, None) => {
            let text = saying.text.as_deref().ok_or(UnfitMessage::Empty)?;
            let text = numbered(text, saying, &context.mentions);
            (worded(text, saying.form, around), Label::TEXT)
        }
    };
    let message = match saying.wrapper {
        Some(wrapper) => wrap(wrapper, message, context.destination),
        None => message,
    };
    Ok(Composed { message, label })
}

/// The text as phones write it: who is mentioned stands there by number, and every phone that
/// shows it puts the name back.
fn numbered(text: &str, saying: &Saying, mentions: &[Jid]) -> String {
    let mut text = text.to_owned();
    for (name, jid) in saying.mentions.iter().zip(mentions) {
        text = text.replace(&format!("@{name}"), &format!("@{}", jid.user));
    }
    text
}

fn context_info(saying: &Saying, context: &Context) -> Option<wa::ContextInfo> {
    let expiration =
        matches!(saying.wrapper, Some(Wrapper::Ephemeral)).then_some(EPHEMERAL_SECONDS);
    let mut around = wa::ContextInfo {
        mentioned_jid: context.mentions.iter().map(ToString::to_string).collect(),
        expiration,
        ..Default::default()
    };
    if let Some(quote) = &context.quote {
        around.stanza_id = Some(quote.id.clone());
        around.participant = Some(quote.author.to_string());
        around.quoted_message = MessageField::some(quote.message.clone());
    }
    let says_something =
        context.quote.is_some() || !context.mentions.is_empty() || expiration.is_some();
    says_something.then_some(around)
}

/// Plain, unless something needs more or it is asked for.
fn worded(text: String, form: Option<TextForm>, around: Option<wa::ContextInfo>) -> wa::Message {
    let plain = around.is_none() && form != Some(TextForm::Extended);
    if plain {
        return wa::Message {
            conversation: Some(text),
            ..Default::default()
        };
    }
    let extended = ExtendedTextMessage {
        text: Some(text),
        context_info: around.into(),
        ..Default::default()
    };
    wa::Message {
        extended_text_message: MessageField::some(extended),
        ..Default::default()
    }
}

fn attached(
    attachment: &Attachment,
    text: Option<&str>,
    file: SealedFile,
    around: Option<wa::ContextInfo>,
) -> Result<(wa::Message, Label), UnfitMessage> {
    let caption = match (&attachment.caption, text) {
        (Some(_), Some(_)) => return Err(UnfitMessage::TwoCaptions),
        (Some(caption), None) => Some(caption.clone()),
        (None, text) => text.map(str::to_owned),
    };
    let kind = attachment.kind;
    if caption.is_some() && !takes_caption(kind) {
        return Err(UnfitMessage::NoCaption(word(kind)));
    }
    let mime = attachment
        .mime
        .clone()
        .unwrap_or_else(|| usual_mime(kind).to_owned());
    let words = Words {
        mime,
        caption,
        name: attachment.name.clone(),
    };
    let message = packed(kind, words, file, around);
    Ok((
        message,
        Label {
            class: "media",
            media: Some(media_type(kind)),
            ..Label::TEXT
        },
    ))
}

struct Words {
    mime: String,
    caption: Option<String>,
    name: Option<String>,
}

/// Every kind of file has a message of its own, with the same fields under the same names.
macro_rules! file_message {
    ($message:ident, $file:ident, $around:ident, $mime:expr, { $($field:ident: $value:expr),* }) => {
        MessageField::some($message {
            url: Some($file.url),
            direct_path: Some($file.direct_path),
            media_key: Some($file.media_key.to_vec()),
            file_sha256: Some($file.sha256.to_vec()),
            file_enc_sha256: Some($file.sealed_sha256.to_vec()),
            file_length: Some($file.length),
            mimetype: Some($mime),
            context_info: $around.into(),
            $($field: $value,)*
            ..Default::default()
        })
    };
}

fn packed(
    kind: MediaKind,
    words: Words,
    file: SealedFile,
    around: Option<wa::ContextInfo>,
) -> wa::Message {
    let Words {
        mime,
        caption,
        name,
    } = words;
    let mut message = wa::Message::default();
    match kind {
        MediaKind::Image => {
            message.image_message =
                file_message!(ImageMessage, file, around, mime, { caption: caption });
        }
        MediaKind::Video => {
            message.video_message =
                file_message!(VideoMessage, file, around, mime, { caption: caption });
        }
        MediaKind::Document => {
            message.document_message = file_message!(DocumentMessage, file, around, mime, {
                caption: caption, title: name.clone(), file_name: name
            });
        }
        MediaKind::Audio => {
            message.audio_message =
                file_message!(AudioMessage, file, around, mime, { ptt: Some(false) });
        }
        MediaKind::Voice => {
            message.audio_message =
                file_message!(AudioMessage, file, around, mime, { ptt: Some(true) });
        }
        MediaKind::Sticker => {
            message.sticker_message = file_message!(StickerMessage, file, around, mime, {});
        }
    }
    message
}

fn takes_caption(kind: MediaKind) -> bool {
    match kind {
        MediaKind::Image | MediaKind::Video | MediaKind::Document => true,
        MediaKind::Audio | MediaKind::Voice | MediaKind::Sticker => false,
    }
}

/// What a phone says about a file that its owner said nothing about.
fn usual_mime(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image/jpeg",
        MediaKind::Video => "video/mp4",
        MediaKind::Document => "application/octet-stream",
        MediaKind::Audio => "audio/mpeg",
        MediaKind::Voice => "audio/ogg; codecs=opus",
        MediaKind::Sticker => "image/webp",
    }
}

/// The `mediatype` of an `<enc>`.
fn media_type(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Voice => "ptt",
        MediaKind::Image
        | MediaKind::Video
        | MediaKind::Document
        | MediaKind::Audio
        | MediaKind::Sticker => word(kind),
    }
}

fn word(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image",
        MediaKind::Video => "video",
        MediaKind::Document => "document",
        MediaKind::Audio => "audio",
        MediaKind::Voice => "voice message",
        MediaKind::Sticker => "sticker",
    }
}

fn other(
    content: &OtherContent,
    text: Option<&str>,
    around: Option<wa::ContextInfo>,
) -> Result<(wa::Message, Label), UnfitMessage> {
    if text.is_some() {
        return Err(UnfitMessage::NoCaption("location, contact or poll"));
    }
    let mut message = wa::Message::default();
    let media = Label {
        class: "media",
        ..Label::TEXT
    };
    let label = match content.clone() {
        OtherContent::Location {
            latitude,
            longitude,
            name,
        } => {
            message.location_message = MessageField::some(LocationMessage {
                degrees_latitude: Some(latitude),
                degrees_longitude: Some(longitude),
                name,
                context_info: around.into(),
                ..Default::default()
            });
            Label {
                media: Some("location"),
                ..media
            }
        }
        OtherContent::Contact { name, vcard } => {
            message.contact_message = MessageField::some(ContactMessage {
                display_name: Some(name),
                vcard: Some(vcard),
                context_info: around.into(),
                ..Default::default()
            });
            Label {
                media: Some("vcard"),
                ..media
            }
        }
        OtherContent::Poll { question, options } => {
            let option = |name| PollOption {
                option_name: Some(name),
                ..Default::default()
            };
            message.poll_creation_message_v3 = MessageField::some(PollCreationMessage {
                name: Some(question),
                options: options.into_iter().map(option).collect(),
                selectable_options_count: Some(1),
                context_info: around.into(),
                ..Default::default()
            });
            Label {
                class: "poll",
                ..Label::TEXT
            }
        }
    };
    Ok((message, label))
}
