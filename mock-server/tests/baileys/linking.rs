//! Linking a device: by the QR code it shows, or by a code that the owner types.

use mock_server::whatsapp::Control;
use serde_json::json;

use super::client::Baileys;
use super::stage::{OWNER, RESTART, Stage};

/// Follows a client from what its owner did to the login, and sees how it was linked.
async fn gets_in(stage: &Stage, baileys: &mut Baileys, by: &str) {
    assert_eq!(baileys.closed().await, RESTART);
    baileys.connects(&stage.url()).await;
    let jid = baileys.open().await;
    assert!(jid.starts_with(&format!("{OWNER}:")), "{jid}");

    let paired = stage.sees("whatsapp.paired", |entry| Some(entry.fields.clone()));
    let paired = paired.await;
    assert_eq!(paired["by"], by);
    assert_eq!(paired["jid"], jid.as_str());
    stage.sees("whatsapp.logged_in", |_| Some(())).await;
}

#[tokio::test]
async fn a_scanned_qr_code_links_it() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let mut baileys = stage.client("by-qr");
    baileys.connects(&stage.url()).await;
    let code = baileys.qr().await;
    stage.does(Control::ScanQr { code }).await;

    gets_in(&stage, &mut baileys, "qr").await;
    stage.ends(baileys).await;
}

#[tokio::test]
async fn a_typed_code_links_it() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let mut baileys = stage.client("by-code");
    baileys.connects(&stage.url()).await;
    // It may ask for a code as soon as it could show a QR code.
    baileys.qr().await;
    let results = baileys
        .does("request_code", json!({ "phone": OWNER }))
        .await;
    let code = results["code"].as_str().unwrap().to_owned();
    stage.does(Control::EnterCode { code }).await;

    gets_in(&stage, &mut baileys, "code").await;
    stage.ends(baileys).await;
}

#[tokio::test]
async fn the_owner_removes_it_at_its_own_wish() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let mut baileys = stage.linked().await;
    baileys.does("log_out", json!({})).await;
    assert_eq!(baileys.closed().await, 401);

    baileys.connects(&stage.url()).await;
    assert_eq!(baileys.closed().await, 401, "nobody knows it any more");
    stage.ends(baileys).await;
}
