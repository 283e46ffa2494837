//! What is composed is read again as it was meant, also by the client's own eyes.

use jiff::Timestamp;
use wacore_binary::Jid;
use waproto::whatsapp as wa;

use super::compose::UnfitMessage;
use super::{Composed, Context, Heard, HeardKind, Quote, Target};
use super::{compose, device_sent, edit, react, read, revoke};
use crate::whatsapp::controls::Saying;
use crate::whatsapp::media::SealedFile;

fn saying(yaml: &str) -> Saying {
    let text = format!("{{chat: family, from: ada, {yaml}}}");
    serde_yaml::from_str(&text).unwrap()
}

fn file() -> SealedFile {
    SealedFile {
        url: "https://127.0.0.1:1/v/1.enc".to_owned(),
        direct_path: "/v/1.enc".to_owned(),
        media_key: [1; 32],
        sha256: [2; 32],
        sealed_sha256: [3; 32],
        length: 9,
    }
}

fn context() -> Context {
    Context {
        file: Some(file()),
        destination: "g@g.us".to_owned(),
        ..Context::default()
    }
}

fn composed(yaml: &str) -> Composed {
    compose(&saying(yaml), context()).unwrap()
}

/// A saying is heard as that kind, with those words, and its stanza is labelled so.
fn check(yaml: &str, kind: &str, text: Option<&str>, label: (&str, Option<&str>)) {
    let composed = composed(yaml);
    let heard = read(&composed.message);
    assert_eq!(
        (heard.kind.word(), heard.text.as_deref()),
        (kind, text),
        "{yaml}"
    );
    assert_eq!(
        (composed.label.class, composed.label.media),
        label,
        "{yaml}"
    );
}

#[test]
fn every_form_is_heard_as_it_was_said() {
    check("text: hi", "text", Some("hi"), ("text", None));
    check(
        "text: hi, form: extended",
        "text",
        Some("hi"),
        ("text", None),
    );
    check(
        "media: {kind: image}, text: see",
        "image",
        Some("see"),
        ("media", Some("image")),
    );
    check(
        "media: {kind: video, caption: see}",
        "video",
        Some("see"),
        ("media", Some("video")),
    );
    check(
        "media: {kind: document, name: a.pdf}",
        "document",
        None,
        ("media", Some("document")),
    );
    check(
        "media: {kind: audio}",
        "audio",
        None,
        ("media", Some("audio")),
    );
    check(
        "media: {kind: voice}",
        "voice",
        None,
        ("media", Some("ptt")),
    );
    check(
        "media: {kind: sticker}",
        "sticker",
        None,
        ("media", Some("sticker")),
    );
    let location = "content: {location: {latitude: 1.5, longitude: 2.5, name: here}}";
    check(
        location,
        "location",
        Some("here"),
        ("media", Some("location")),
    );
    let contact = "content: {contact: {name: Bob, vcard: 'BEGIN:VCARD'}}";
    check(contact, "contact", Some("Bob"), ("media", Some("vcard")));
    let poll = "content: {poll: {question: when, options: [now, later]}}";
    check(poll, "poll", Some("when"), ("poll", None));
}

#[test]
fn every_wrapper_is_looked_into() {
    for wrapper in [
        "ephemeral",
        "view_once",
        "view_once_v2",
        "view_once_v2_extension",
        "document_with_caption",
        "device_sent",
    ] {
        check(
            &format!("text: hi, wrapper: {wrapper}"),
            "text",
            Some("hi"),
            ("text", None),
        );
    }
    let sent = read(&composed("text: hi, wrapper: device_sent").message);
    assert_eq!(sent.destination.unwrap().to_string(), "g@g.us");
}

#[test]
fn a_plain_text_is_plain_and_anything_around_it_makes_it_extended() {
    assert!(composed("text: hi").message.conversation.is_some());
    assert!(
        composed("text: hi, form: extended")
            .message
            .extended_text_message
            .is_set()
    );
    let mentions = vec![Jid::pn("1")];
    let mentioning = compose(
        &saying("text: hi"),
        Context {
            mentions,
            ..context()
        },
    )
    .unwrap();
    assert_eq!(read(&mentioning.message).mentions, ["1@s.whatsapp.net"]);
}

#[test]
fn a_quote_names_the_message_and_its_author() {
    let message = wa::Message {
        conversation: Some("before".to_owned()),
        ..Default::default()
    };
    let quote = Some(Quote {
        id: "A1".to_owned(),
        author: Jid::pn("1"),
        message,
    });
    let image = saying("media: {kind: image}");
    let quoting = compose(&image, Context { quote, ..context() }).unwrap();
    let heard = read(&quoting.message);
    assert_eq!(heard.quoted.as_deref(), Some("A1"));
    let around = &quoting.message.image_message.context_info;
    assert_eq!(around.participant.as_deref(), Some("1@s.whatsapp.net"));
    assert_eq!(
        around.quoted_message.conversation.as_deref(),
        Some("before")
    );
}

#[test]
fn a_file_is_found_again_with_all_its_fields() {
    let heard = read(&composed("media: {kind: document, name: a.pdf, mime: text/plain}").message);
    let document = heard.file.unwrap();
    assert_eq!(document.sealed, Some(file()));
    assert_eq!(document.name.as_deref(), Some("a.pdf"));
    assert_eq!(document.mime.as_deref(), Some("text/plain"));
}

#[test]
fn what_fits_into_no_message_is_refused() {
    let refused = |yaml: &str, context: Context| compose(&saying(yaml), context).unwrap_err();
    assert_eq!(refused("id: x", context()), UnfitMessage::Empty);
    let twice = "text: a, media: {kind: image, caption: b}";
    assert_eq!(refused(twice, context()), UnfitMessage::TwoCaptions);
    let spoken = "text: a, media: {kind: voice}";
    assert_eq!(
        refused(spoken, context()),
        UnfitMessage::NoCaption("voice message")
    );
    let both = "media: {kind: image}, content: {poll: {question: a, options: []}}";
    assert_eq!(refused(both, context()), UnfitMessage::TwoContents);
    assert_eq!(
        refused("media: {kind: image}", Context::default()),
        UnfitMessage::NoFile
    );
}

fn target(own: bool) -> Target {
    Target {
        id: "A1".to_owned(),
        chat: Jid::group("1"),
        own,
        author: Some(Jid::pn("2")),
    }
}

fn heard(change: &Composed) -> (&'static str, Option<String>, Option<String>) {
    let Heard {
        kind, text, target, ..
    } = read(&change.message);
    (kind.word(), text, target)
}

#[test]
fn changes_say_which_message_they_mean() {
    let id = Some("A1".to_owned());
    let edited = edit(&target(true), "new", Timestamp::UNIX_EPOCH);
    assert_eq!(heard(&edited), ("edit", Some("new".to_owned()), id.clone()));
    assert_eq!(edited.label.edit, Some("1"));
    let revoked = revoke(&target(true));
    assert_eq!(heard(&revoked), ("revoke", None, id.clone()));
    assert_eq!(revoked.label.edit, Some("7"));
    assert_eq!(revoke(&target(false)).label.edit, Some("8"));
    let reacted = react(&target(false), "👍", Timestamp::UNIX_EPOCH);
    assert_eq!(heard(&reacted), ("reaction", Some("👍".to_owned()), id));
    assert_eq!(reacted.label.class, "reaction");
}

#[test]
fn what_devices_tell_each_other_is_no_text() {
    let peer = wa::message::ProtocolMessage {
        r#type: Some(wa::message::protocol_message::Type::APP_STATE_SYNC_KEY_REQUEST),
        ..Default::default()
    };
    let message = wa::Message {
        protocol_message: buffa::MessageField::some(peer),
        ..Default::default()
    };
    assert_eq!(read(&message).kind, HeardKind::Peer);
    assert_eq!(read(&wa::Message::default()).kind, HeardKind::Unknown);
}

#[test]
fn a_message_wrapped_without_end_is_not_looked_into_without_end() {
    let mut message = composed("text: hi").message;
    for _ in 0..40 {
        message = device_sent(message, "g@g.us".to_owned());
    }
    assert_eq!(read(&message).kind, HeardKind::Unknown);
}
