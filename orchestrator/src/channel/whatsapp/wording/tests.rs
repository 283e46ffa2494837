//! What is read from each of WhatsApp's forms, and that none of them can bring the reader down.

use wa::message::{
    ContactMessage, DeviceSentMessage, ExtendedTextMessage, FutureProofMessage, ImageMessage,
    LocationMessage, PollCreationMessage, ProtocolMessage, ReactionMessage, poll_creation_message,
};
use waproto::buffa::MessageField;

use super::*;

fn text(text: &str) -> wa::Message {
    wa::Message {
        conversation: Some(text.to_owned()),
        ..wa::Message::default()
    }
}

fn wrapped(inner: wa::Message) -> MessageField<FutureProofMessage> {
    MessageField::some(FutureProofMessage {
        message: MessageField::some(inner),
    })
}

#[track_caller]
fn check(message: &wa::Message, wanted: &str) {
    let Said::Message(wording) = read(message) else {
        panic!("{message:?}");
    };
    assert_eq!(wording.text, wanted);
}

#[test]
fn words_are_found_in_every_wrapping() {
    check(&text("hello"), "hello");
    let mut message = text("hello");
    for _ in 0..3 {
        message = wa::Message {
            ephemeral_message: wrapped(message),
            ..wa::Message::default()
        };
    }
    let once = wa::Message {
        view_once_message_v2: wrapped(message),
        ..wa::Message::default()
    };
    let own = wa::Message {
        device_sent_message: MessageField::some(DeviceSentMessage {
            message: MessageField::some(once),
            ..DeviceSentMessage::default()
        }),
        ..wa::Message::default()
    };
    check(&own, "hello");
}

#[test]
fn wrapping_without_end_is_given_up() {
    let mut message = text("hello");
    for _ in 0..100 {
        message = wa::Message {
            ephemeral_message: wrapped(message),
            ..wa::Message::default()
        };
    }
    assert!(matches!(read(&message), Said::Nothing));
}

#[test]
fn a_caption_is_what_is_said_and_the_picture_is_attached() {
    let message = wa::Message {
        image_message: MessageField::some(ImageMessage {
            caption: Some("@Kai look".to_owned()),
            mimetype: Some("image/png".to_owned()),
            direct_path: Some("/v/1".to_owned()),
            ..ImageMessage::default()
        }),
        ..wa::Message::default()
    };
    let Said::Message(wording) = read(&message) else {
        panic!("{message:?}");
    };
    assert_eq!(wording.text, "@Kai look");
    let attachment = wording.attachment.unwrap();
    let at = "2026-01-05T09:00:00Z".parse().unwrap();
    let name = attachment.file_name("3EB0../../AB", at);
    assert_eq!(name, "2026-01-05-3EB0AB.png");
}

#[test]
fn what_is_more_than_words_becomes_a_note() {
    let place = LocationMessage {
        degrees_latitude: Some(52.5),
        degrees_longitude: Some(13.4),
        name: Some("Cafe".to_owned()),
        ..LocationMessage::default()
    };
    let message = wa::Message {
        location_message: MessageField::some(place),
        ..wa::Message::default()
    };
    check(&message, "[location: 52.5, 13.4, Cafe]");

    let contact = ContactMessage {
        display_name: Some("Ada".to_owned()),
        vcard: Some("BEGIN:VCARD\nTEL;waid=1:+49 1\nEND:VCARD".to_owned()),
        ..ContactMessage::default()
    };
    let message = wa::Message {
        contact_message: MessageField::some(contact),
        ..wa::Message::default()
    };
    check(&message, "[contact: Ada, +49 1]");

    let option = |name: &str| poll_creation_message::Option {
        option_name: Some(name.to_owned()),
        ..poll_creation_message::Option::default()
    };
    let poll = PollCreationMessage {
        name: Some("When?".to_owned()),
        options: vec![option("today"), option("never")],
        ..PollCreationMessage::default()
    };
    let message = wa::Message {
        poll_creation_message_v3: MessageField::some(poll),
        ..wa::Message::default()
    };
    check(&message, "[poll: When?, today / never]");
}

#[test]
fn what_nobody_wrote_is_nothing() {
    let reaction = ReactionMessage {
        text: Some("👍".to_owned()),
        ..ReactionMessage::default()
    };
    let reaction = wa::Message {
        reaction_message: MessageField::some(reaction),
        ..wa::Message::default()
    };
    for message in [wa::Message::default(), text("  "), reaction] {
        assert!(matches!(read(&message), Said::Nothing), "{message:?}");
    }
}

#[test]
fn an_edit_and_a_revocation_name_the_message_they_change() {
    let protocol = |id: &str, r#type, edited: Option<wa::Message>| wa::Message {
        protocol_message: MessageField::some(ProtocolMessage {
            key: MessageField::some(wa::MessageKey {
                id: Some(id.to_owned()),
                from_me: Some(true),
                ..wa::MessageKey::default()
            }),
            r#type: Some(r#type),
            edited_message: edited.map_or_else(MessageField::none, MessageField::some),
            ..ProtocolMessage::default()
        }),
        ..wa::Message::default()
    };
    let edit = wa::Message {
        edited_message: wrapped(protocol(
            "A1",
            ProtocolType::MESSAGE_EDIT,
            Some(text("new")),
        )),
        ..wa::Message::default()
    };
    let said = format!("{:?}", read(&edit));
    assert_eq!(said, "Edited { id: \"A1\", text: \"new\", mentions: [] }");

    let revocation = protocol("A2", ProtocolType::REVOKE, None);
    let said = format!("{:?}", read(&revocation));
    assert_eq!(said, "Revoked { id: \"A2\", of_another: false }");
}

#[test]
fn a_reply_tells_what_it_replies_to() {
    let reply = ExtendedTextMessage {
        text: Some("yes".to_owned()),
        context_info: MessageField::some(wa::ContextInfo {
            stanza_id: Some("Q1".to_owned()),
            participant: Some("1@s.whatsapp.net".to_owned()),
            quoted_message: MessageField::some(text(&"long ".repeat(200))),
            ..wa::ContextInfo::default()
        }),
        ..ExtendedTextMessage::default()
    };
    let message = wa::Message {
        extended_text_message: MessageField::some(reply),
        ..wa::Message::default()
    };
    let Said::Message(wording) = read(&message) else {
        panic!("{message:?}");
    };
    let quote = wording.quote.unwrap();
    assert_eq!(
        (quote.id.as_str(), quote.from.as_deref()),
        ("Q1", Some("1@s.whatsapp.net"))
    );
    assert_eq!(quote.text.chars().count(), LONGEST_QUOTE + 1);
}

#[test]
fn a_mention_is_told_by_name_where_one_is_known() {
    let jids = [
        "491@s.whatsapp.net".to_owned(),
        "900@lid".to_owned(),
        "@x".to_owned(),
    ];
    let name = |jid: &str| (jid == "491@s.whatsapp.net").then(|| "Ada".to_owned());
    assert_eq!(with_names("@491 and @900", &jids, name), "@Ada and @900");
}
