//! Ends that are none of the network's: replaced, unlinked, refused.

use fs_err as fs;
use mock_server::whatsapp::{Control, Reason, Refusal};
use serde_json::json;

use super::stage::{Stage, saying};

const REPLACED: u16 = 440;
const LOGGED_OUT: u16 = 401;

#[tokio::test]
async fn who_logs_in_with_its_keys_takes_its_place() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    // Its account can be copied while nobody writes to it.
    let first = stage.linked().await;
    let (from, mut second) = (first.account(), stage.client("second"));
    first.leaves().await;
    fs::create_dir_all(second.account()).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), second.account().join(file.file_name())).unwrap();
    }
    let mut first = stage.client("linked");
    stage.comes_back(&mut first).await;
    stage.comes_back(&mut second).await;

    assert_eq!(first.closed().await, REPLACED);
    let id = stage.says(saying("ada", "ada", "who is there?")).await;
    assert_eq!(
        second.message(&id).await.text.as_deref(),
        Some("who is there?")
    );
    first.leaves().await;
    stage.ends(second).await;
}

#[tokio::test]
async fn it_is_told_that_somebody_took_its_place() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let mut baileys = stage.linked().await;
    stage.does(Control::Replace {}).await;
    assert_eq!(baileys.closed().await, REPLACED);
    stage.ends(baileys).await;
}

#[tokio::test]
async fn an_unlinked_device_is_logged_out_at_once_and_ever_after() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let mut baileys = stage.linked().await;
    stage.does(Control::Unlink {}).await;
    assert_eq!(baileys.closed().await, LOGGED_OUT, "while it was connected");

    baileys.connects(&stage.url()).await;
    assert_eq!(baileys.closed().await, LOGGED_OUT, "at its login");
    stage.ends(baileys).await;
}

#[tokio::test]
async fn a_refused_login_says_why() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let mut baileys = stage.linked().await;
    let reasons = [
        (Reason::TemporaryBan, 402),
        (Reason::Locked, 403),
        (Reason::Outdated, 405),
        (Reason::Internal, 500),
        (Reason::Unavailable, 503),
        (Reason::LoggedOut, 401),
    ];
    for (with, status) in reasons {
        let refusal = Refusal {
            with,
            times: Some(1),
            expire: None,
        };
        stage.does(Control::Refuse(refusal)).await;
        stage.does(Control::Drop {}).await;
        baileys.closed().await;
        baileys.connects(&stage.url()).await;
        assert_eq!(baileys.closed().await, status, "{with:?}");
        stage.comes_back(&mut baileys).await;
    }
    let id = stage.says(saying("ada", "ada", "still there?")).await;
    let chat = baileys.message(&id).await.chat;
    let id = baileys
        .sends("send", json!({ "to": chat, "text": "still here" }))
        .await;
    stage.heard(&id).await;
    stage.ends(baileys).await;
}
