//! Pictures, sounds and documents in a message: what they are, where they lie, and what to call
//! the file. Nothing here fetches them; the sender wrote all of it, so none of it is trusted.

use jiff::Timestamp;
use waproto::whatsapp as wa;
use whatsapp_rust::download::{DownloadParams, Downloadable};

/// Something that came with a message.
pub(super) struct Attachment {
    pub kind: Kind,
    pub mime: String,
    /// As the sender called it, without what could be taken for more than a name.
    pub file_name: Option<String>,
    /// In bytes, as the sender says.
    pub length: u64,
    /// None if the message does not say where it lies, or not on WhatsApp's media hosts.
    pub source: Option<DownloadParams>,
}

impl std::fmt::Debug for Attachment {
    /// Without the source, which holds the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attachment")
            .field("kind", &self.kind)
            .field("mime", &self.mime)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// The kinds that WhatsApp tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Image,
    Video,
    Voice,
    Audio,
    Document,
    Sticker,
}

impl Kind {
    /// What people call it, and the agent reads.
    #[must_use]
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Voice => "voice message",
            Self::Audio => "audio",
            Self::Document => "document",
            Self::Sticker => "sticker",
        }
    }

    /// The usual ending of a file of this kind.
    fn ending(self) -> &'static str {
        match self {
            Self::Image => "jpg",
            Self::Video => "mp4",
            Self::Voice | Self::Audio => "ogg",
            Self::Document => "bin",
            Self::Sticker => "webp",
        }
    }
}

impl Attachment {
    fn new(kind: Kind, mime: Option<&str>, from: &dyn Downloadable) -> Self {
        let path = from.direct_path().filter(|path| is_path(path));
        let source = path.map(|path| DownloadParams {
            direct_path: path.to_owned(),
            media_key: from.media_key().map(<[u8]>::to_vec),
            file_sha256: from.file_sha256().map(<[u8]>::to_vec).unwrap_or_default(),
            file_enc_sha256: from.file_enc_sha256().map(<[u8]>::to_vec),
            file_length: from.file_length().unwrap_or(0),
            media_type: from.app_info(),
        });
        Self {
            kind,
            mime: mime.unwrap_or_default().to_owned(),
            file_name: None,
            length: from.file_length().unwrap_or(0),
            source,
        }
    }

    /// A file name of our own making: date, message id, ending. Only letters, digits and `-`
    /// come from outside, so it leads nowhere else.
    #[must_use]
    pub(super) fn file_name(&self, id: &str, sent_at: Timestamp) -> String {
        let id: String = id
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(64)
            .collect();
        let date = sent_at.strftime("%Y-%m-%d");
        format!("{date}-{id}.{}", self.ending())
    }

    fn ending(&self) -> String {
        let named = self
            .file_name
            .as_deref()
            .and_then(|name| name.rsplit_once('.'));
        if let Some((_, ending)) = named
            && is_ending(ending)
        {
            return ending.to_ascii_lowercase();
        }
        let mime = self.mime.split(';').next().unwrap_or_default().trim();
        match mime {
            "image/png" => "png",
            "image/webp" => "webp",
            "image/gif" => "gif",
            "video/3gpp" => "3gp",
            "audio/mpeg" => "mp3",
            "audio/mp4" | "audio/aac" => "m4a",
            "audio/wav" | "audio/x-wav" => "wav",
            "application/pdf" => "pdf",
            "text/plain" => "txt",
            "text/csv" => "csv",
            "application/json" => "json",
            "application/zip" => "zip",
            _other => self.kind.ending(),
        }
        .to_owned()
    }
}

/// Whether it is a path and nothing else. The library puts it behind the name of a host, and
/// our token behind it: `@elsewhere.example/` would carry that to a host of the sender's choice.
fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && path
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"\\#@".contains(&b))
}

/// The last step of what a sender calls a file, short enough to read.
fn plain_name(called: &str) -> String {
    let last = called.rsplit(['/', '\\']).next().unwrap_or_default();
    let odd = |c: char| c.is_control() || "`[]".contains(c);
    last.chars().filter(|c| !odd(*c)).take(100).collect()
}

fn is_ending(text: &str) -> bool {
    (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// What is attached to an unwrapped message, and its caption.
#[must_use]
pub(super) fn attachment(message: &wa::Message) -> Option<(Attachment, String)> {
    if let Some(image) = message.image_message.as_option() {
        let found = Attachment::new(Kind::Image, image.mimetype.as_deref(), image);
        return Some((found, image.caption.clone().unwrap_or_default()));
    }
    let video = message.video_message.as_option();
    if let Some(video) = video.or(message.ptv_message.as_option()) {
        let found = Attachment::new(Kind::Video, video.mimetype.as_deref(), video);
        return Some((found, video.caption.clone().unwrap_or_default()));
    }
    if let Some(audio) = message.audio_message.as_option() {
        let kind = if audio.ptt == Some(true) {
            Kind::Voice
        } else {
            Kind::Audio
        };
        let found = Attachment::new(kind, audio.mimetype.as_deref(), audio);
        return Some((found, String::new()));
    }
    if let Some(document) = message.document_message.as_option() {
        let mut found = Attachment::new(Kind::Document, document.mimetype.as_deref(), document);
        let called = document.file_name.as_deref().or(document.title.as_deref());
        found.file_name = called.map(plain_name);
        return Some((found, document.caption.clone().unwrap_or_default()));
    }
    let sticker = message.sticker_message.as_option()?;
    let found = Attachment::new(Kind::Sticker, sticker.mimetype.as_deref(), sticker);
    Some((found, String::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(called: &str, mime: &str, shown: &str, kept: &str) {
        let document = wa::message::DocumentMessage {
            file_name: Some(called.to_owned()),
            mimetype: Some(mime.to_owned()),
            direct_path: Some("/v/1".to_owned()),
            ..wa::message::DocumentMessage::default()
        };
        let message = wa::Message {
            document_message: waproto::buffa::MessageField::some(document),
            ..wa::Message::default()
        };
        let (found, _caption) = attachment(&message).unwrap();
        assert_eq!(found.file_name.as_deref(), Some(shown));
        let at = "2026-01-05T09:00:00Z".parse().unwrap();
        assert_eq!(
            found.file_name("3EB0", at),
            format!("2026-01-05-3EB0.{kept}")
        );
    }

    #[track_caller]
    fn check_source(path: &str, is_one: bool) {
        let image = wa::message::ImageMessage {
            direct_path: Some(path.to_owned()),
            ..wa::message::ImageMessage::default()
        };
        let message = wa::Message {
            image_message: waproto::buffa::MessageField::some(image),
            ..wa::Message::default()
        };
        let (found, _caption) = attachment(&message).unwrap();
        assert_eq!(found.source.is_some(), is_one, "{path:?}");
    }

    #[test]
    fn a_sender_does_not_choose_the_host_we_fetch_from() {
        check_source(
            "/v/t62.7118-24/1_n.enc?ccb=11-4&oh=01_Q5&oe=68&_nc_sid=5e",
            true,
        );
        for elsewhere in [
            "@elsewhere.example/v/1",
            ".elsewhere.example/v/1",
            ":443@elsewhere.example/v/1",
            "//elsewhere.example/v/1",
            "/v/1#",
            "/v/1\nforged",
            "v/1",
            "",
        ] {
            check_source(elsewhere, false);
        }
    }

    #[test]
    fn a_sender_chooses_no_more_of_a_name_than_its_ending() {
        check("plan.PDF", "", "plan.PDF", "pdf");
        check("plan", "application/pdf", "plan", "pdf");
        check("../../plan.tar.gz", "", "plan.tar.gz", "gz");
        check("a\\b.txt`]\n[image: x", "", "b.txtimage: x", "bin");
        check("x./../../etc/passwd", "", "passwd", "bin");
    }
}
