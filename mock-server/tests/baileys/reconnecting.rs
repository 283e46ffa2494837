//! A connection that is lost, and what had waited meanwhile.

use mock_server::whatsapp::{Addressing, Control, GroupCast};
use serde_json::json;

use super::client::Baileys;
use super::stage::{Stage, saying};

/// What Baileys says of a connection that just ended.
const CONNECTION_LOST: u16 = 428;

async fn is_cut_off(stage: &Stage, baileys: &mut Baileys) {
    stage.does(Control::Drop {}).await;
    assert_eq!(baileys.closed().await, CONNECTION_LOST);
}

#[tokio::test]
async fn what_came_while_it_was_away_waits_in_order() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let group = GroupCast {
        name: "family".to_owned(),
        id: "120363000000000042".to_owned(),
        subject: None,
        members: ["ada", "bob"].map(str::to_owned).to_vec(),
        addressing: Addressing::Pn,
    };
    stage.group(group).await;
    let mut baileys = stage.linked().await;
    is_cut_off(&stage, &mut baileys).await;
    let written = [
        ("ada", "ada"),
        ("family", "bob"),
        ("ada", "ada"),
        ("family", "ada"),
        ("family", "bob"),
    ];
    let mut expected = Vec::new();
    for (n, (chat, from)) in written.into_iter().enumerate() {
        let text = format!("{n} of {from} in {chat}");
        stage.says(saying(chat, from, &text)).await;
        expected.push(text);
    }

    stage.comes_back(&mut baileys).await;
    let mut texts = Vec::new();
    for _ in &expected {
        texts.push(baileys.next_text().await);
    }
    assert_eq!(texts, expected);
    stage.ends(baileys).await;
}

#[tokio::test]
async fn a_message_that_waited_is_marked_as_such_and_can_be_answered() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let mut baileys = stage.linked().await;
    let before = stage.says(saying("ada", "ada", "before")).await;
    assert!(!baileys.message(&before).await.offline);
    is_cut_off(&stage, &mut baileys).await;
    let meanwhile = stage.says(saying("ada", "ada", "meanwhile")).await;

    stage.comes_back(&mut baileys).await;
    let message = baileys.message(&meanwhile).await;
    assert!(message.offline);
    let id = baileys
        .sends("send", json!({ "to": message.chat, "text": "back again" }))
        .await;
    assert_eq!(stage.heard(&id).await["text"], "back again");
    stage.ends(baileys).await;
}

#[tokio::test]
async fn a_receipt_waits_as_well() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let jid = stage
        .whatsapp()
        .stage_direct("friend", "bob")
        .await
        .unwrap();
    let mut baileys = stage.linked().await;
    let id = baileys
        .sends("send", json!({ "to": jid, "text": "are you there?" }))
        .await;
    baileys.receipt(&id, 3).await;
    is_cut_off(&stage, &mut baileys).await;
    let reading = mock_server::whatsapp::Reading {
        chat: "friend".to_owned(),
        from: "bob".to_owned(),
    };
    stage.does(Control::Read(reading)).await;

    stage.comes_back(&mut baileys).await;
    baileys.receipt(&id, 4).await;
    stage.ends(baileys).await;
}

#[tokio::test]
async fn it_comes_through_a_restart_of_the_server_s_side() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let mut baileys = stage.linked().await;
    for code in [515, 503] {
        stage.does(Control::StreamError { code }).await;
        assert_eq!(baileys.closed().await, code);
        stage.comes_back(&mut baileys).await;
    }
    stage.ends(baileys).await;
}
