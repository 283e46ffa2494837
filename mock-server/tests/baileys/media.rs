//! Files: encrypted, over the mock's HTTPS host, both ways.

use mock_server::whatsapp::{Attachment, MediaKind, Saying};
use serde_json::json;

use super::stage::{Stage, saying};

/// What is in the files; its kind is what the message says, not what it is.
const CONTENT: &str = "not really a picture, but nobody looks";

fn attachment(kind: MediaKind) -> Attachment {
    Attachment {
        kind,
        text: Some(CONTENT.to_owned()),
        bytes: None,
        path: None,
        base64: None,
        name: (kind == MediaKind::Document).then(|| "notes.txt".to_owned()),
        mime: None,
        caption: None,
        fault: None,
    }
}

#[tokio::test]
async fn it_downloads_what_a_person_sends() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let mut baileys = stage.linked().await;
    let kinds = [
        (MediaKind::Image, "imageMessage"),
        (MediaKind::Video, "videoMessage"),
        (MediaKind::Document, "documentMessage"),
        (MediaKind::Audio, "audioMessage"),
        (MediaKind::Voice, "audioMessage"),
        (MediaKind::Sticker, "stickerMessage"),
    ];
    for (kind, field) in kinds {
        let caption = (kind == MediaKind::Image).then(|| "look".to_owned());
        let media = Some(Attachment {
            caption: caption.clone(),
            ..attachment(kind)
        });
        let id = stage
            .says(Saying {
                text: None,
                media,
                ..saying("ada", "ada", "")
            })
            .await;
        let message = baileys.message(&id).await;
        assert_eq!(message.kind.as_deref(), Some(field));
        assert_eq!(message.text, caption);

        let results = baileys.does("download", json!({ "message": id })).await;
        assert_eq!(results["text"], CONTENT, "{kind:?}");
    }
    stage.ends(baileys).await;
}

#[tokio::test]
async fn a_person_receives_what_it_uploads() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let jid = stage
        .whatsapp()
        .stage_direct("friend", "ada")
        .await
        .unwrap();
    let mut baileys = stage.linked().await;
    baileys.holds("picture.jpg", CONTENT);
    for kind in ["image", "document", "audio"] {
        let order = json!({
            "to": jid, "kind": kind, "path": "picture.jpg", "mimetype": "image/jpeg",
            "fileName": "picture.jpg", "caption": "look", "seconds": 1, "jpegThumbnail": "",
        });
        let id = baileys.sends("send_file", order).await;
        let heard = stage.heard(&id).await;
        assert_eq!(heard["kind"], kind, "{heard}");
        assert_eq!(heard["media"]["text"], CONTENT, "{heard}");
    }
    stage.ends(baileys).await;
}
