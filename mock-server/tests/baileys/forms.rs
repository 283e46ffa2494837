//! The forms a message may have: packed plainly or in envelopes, with or without text, and
//! from which of several devices.

use mock_server::whatsapp::{Attachment, MediaKind, OtherContent, Saying, TextForm, Wrapper};
use serde_json::json;

use super::client::Baileys;
use super::stage::{Stage, saying};

fn worded() -> Saying {
    saying("ada", "ada", "look")
}

fn wrapped(wrapper: Wrapper, kind: MediaKind) -> Saying {
    let media = Attachment {
        kind,
        text: Some("content".to_owned()),
        bytes: None,
        path: None,
        base64: None,
        name: None,
        mime: None,
        caption: None,
        fault: None,
    };
    Saying {
        media: Some(media),
        wrapper: Some(wrapper),
        ..worded()
    }
}

fn wordless(content: OtherContent) -> Saying {
    Saying {
        text: None,
        content: Some(content),
        ..worded()
    }
}

/// Says it; Baileys shows it as `kind`, with its text.
async fn check(stage: &Stage, baileys: &mut Baileys, written: Saying, kind: &str) {
    let text = written.text.clone();
    let id = stage.says(written).await;
    let message = baileys.message(&id).await;
    assert_eq!((message.kind.as_deref(), message.text), (Some(kind), text));
}

#[tokio::test]
async fn it_reads_every_form() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let mut baileys = stage.linked().await;
    let extended = Saying {
        form: Some(TextForm::Extended),
        ..worded()
    };
    let ephemeral = Saying {
        wrapper: Some(Wrapper::Ephemeral),
        ..worded()
    };
    let place = OtherContent::Location {
        latitude: 52.5,
        longitude: 13.4,
        name: None,
    };
    let card = OtherContent::Contact {
        name: "Bob".to_owned(),
        vcard: "BEGIN:VCARD".to_owned(),
    };
    let poll = OtherContent::Poll {
        question: "tea?".to_owned(),
        options: ["yes", "no"].map(str::to_owned).to_vec(),
    };
    let forms = [
        (worded(), "conversation"),
        (extended, "extendedTextMessage"),
        (ephemeral, "extendedTextMessage"),
        (wrapped(Wrapper::ViewOnce, MediaKind::Image), "imageMessage"),
        (
            wrapped(Wrapper::ViewOnceV2, MediaKind::Image),
            "imageMessage",
        ),
        (
            wrapped(Wrapper::ViewOnceV2Extension, MediaKind::Image),
            "imageMessage",
        ),
        (
            wrapped(Wrapper::DocumentWithCaption, MediaKind::Document),
            "documentMessage",
        ),
        (wordless(place), "locationMessage"),
        (wordless(card), "contactMessage"),
        (wordless(poll), "pollCreationMessageV3"),
    ];
    for (written, kind) in forms {
        check(&stage, &mut baileys, written, kind).await;
    }
    stage.ends(baileys).await;
}

#[tokio::test]
async fn a_person_writes_from_two_devices_and_hears_it_on_both() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let mut baileys = stage.linked().await;
    check(&stage, &mut baileys, worded(), "conversation").await;
    let written = Saying {
        device: 1,
        ..worded()
    };
    let id = stage.says(written).await;
    let chat = baileys.message(&id).await.chat;

    let id = baileys
        .sends("send", json!({ "to": chat, "text": "seen" }))
        .await;
    assert_eq!(stage.heard(&id).await["heard_by"], json!(["ada"]));
    stage.ends(baileys).await;
}

#[tokio::test]
async fn it_sees_what_its_owner_writes_on_the_phone() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let jid = stage
        .whatsapp()
        .stage_direct("friend", "ada")
        .await
        .unwrap();
    let mut baileys = stage.linked().await;
    let id = stage
        .says(saying("friend", "owner", "I wrote this myself"))
        .await;

    let message = baileys.message(&id).await;
    assert!(message.own);
    assert_eq!(
        (message.chat, message.text.as_deref()),
        (jid, Some("I wrote this myself"))
    );
    stage.ends(baileys).await;
}
