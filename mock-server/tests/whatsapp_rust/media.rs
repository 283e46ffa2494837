//! Files: what people send is fetched and opened, what it sends is stored and read.

use mock_server::whatsapp::{Attachment, MediaKind, Saying};
use wacore::download::{Downloadable, MediaType};
use whatsapp_rust::UploadOptions;
use whatsapp_rust::waproto::whatsapp as wa;

use super::client::Running;
use super::stage::{Stage, saying};

fn attachment(kind: MediaKind) -> Attachment {
    Attachment {
        kind,
        text: Some("the content".to_owned()),
        bytes: None,
        path: None,
        base64: None,
        name: None,
        mime: None,
        caption: None,
        fault: None,
    }
}

fn file_in(message: &wa::Message) -> &dyn Downloadable {
    if let Some(image) = message.image_message.as_option() {
        return image;
    }
    if let Some(video) = message.video_message.as_option() {
        return video;
    }
    if let Some(document) = message.document_message.as_option() {
        return document;
    }
    if let Some(sticker) = message.sticker_message.as_option() {
        return sticker;
    }
    message.audio_message.as_option().expect("a file")
}

#[tokio::test]
async fn every_kind_of_file_is_fetched_and_opened() {
    let (stage, mut client) = Stage::connected().await;
    for kind in [
        MediaKind::Image,
        MediaKind::Video,
        MediaKind::Document,
        MediaKind::Audio,
        MediaKind::Voice,
        MediaKind::Sticker,
    ] {
        let media = Some(attachment(kind));
        let id = stage
            .says(Saying {
                media,
                text: None,
                ..saying("ada", "ada", "")
            })
            .await;
        let message = client.message(&id).await.message;
        let content = client.client().download(file_in(&message)).await.unwrap();
        assert_eq!(content, b"the content", "{kind:?}");
    }
    stage.ends(client).await;
}

#[tokio::test]
async fn a_caption_comes_with_its_picture() {
    let (stage, mut client) = Stage::connected().await;
    let media = Some(attachment(MediaKind::Image));
    let id = stage
        .says(Saying {
            media,
            ..saying("ada", "ada", "look")
        })
        .await;
    let message = client.message(&id).await.message;
    assert_eq!(message.image_message.caption.as_deref(), Some("look"));
    assert_eq!(
        message.image_message.mimetype.as_deref(),
        Some("image/jpeg")
    );
    stage.ends(client).await;
}

async fn upload(client: &Running, content: &[u8]) -> wa::Message {
    let options = UploadOptions::new();
    let up = client
        .client()
        .upload(content.to_vec(), MediaType::Image, options)
        .await
        .unwrap();
    let image = wa::message::ImageMessage {
        url: Some(up.url),
        direct_path: Some(up.direct_path),
        media_key: Some(up.media_key.to_vec()),
        file_enc_sha256: Some(up.file_enc_sha256.to_vec()),
        file_sha256: Some(up.file_sha256.to_vec()),
        file_length: Some(up.file_length),
        caption: Some("a chart".to_owned()),
        mimetype: Some("image/png".to_owned()),
        ..Default::default()
    };
    wa::Message {
        image_message: buffa::MessageField::some(image),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_picture_that_it_sends_is_seen() {
    let (stage, client) = Stage::connected().await;
    stage.whatsapp().stage_direct("ada", "ada").await.unwrap();
    let image = upload(&client, b"a chart of bytes").await;
    let id = client.sends_message(&stage.jid("ada"), image).await;
    let heard = stage.heard(&id).await;
    assert_eq!(heard["kind"], "image", "{heard}");
    assert_eq!(heard["text"], "a chart", "{heard}");
    assert_eq!(heard["media"]["bytes"], 16, "{heard}");
    stage.ends(client).await;
}

#[tokio::test]
async fn a_large_file_is_looked_for_before_it_is_uploaded() {
    let (stage, client) = Stage::connected().await;
    // Above the size from which the client asks whether the host has it already.
    let content = vec![7; 5 << 20];
    upload(&client, &content).await;
    assert_eq!(stage.count("whatsapp.uploaded"), 1);
    stage.ends(client).await;
}
