//! How it comes, how it is thrown out, and what it makes of it.

use std::time::Duration;

use mock_server::whatsapp::{Control, Reason, Refusal, Traffic};
use tokio::task::JoinSet;
use whatsapp_rust::types::events::Event;

use super::client::{PATIENCE, says};
use super::stage::{Stage, saying};

#[tokio::test]
async fn it_comes_by_the_short_handshake_and_asks_nothing_that_is_not_known() {
    let (stage, client) = Stage::connected().await;
    let pattern = stage.sees("whatsapp.connected", |entry| {
        entry.text("pattern").map(str::to_owned)
    });
    assert_eq!(pattern.await, "IK");
    assert!(stage.whatsapp().online().await);
    stage.ends(client).await;
}

#[tokio::test]
async fn it_comes_back_when_it_is_cut_off() {
    let (stage, mut client) = Stage::connected().await;
    stage.does(Control::Drop {}).await;
    let id = stage.says(saying("ada", "ada", "still there?")).await;
    client.message(&id).await;
    let answer = client.sends(&stage.jid("ada"), "yes").await;
    stage.heard(&answer).await;
    assert_eq!(stage.count("whatsapp.logged_in"), 2);
    stage.ends(client).await;
}

#[tokio::test]
async fn who_is_replaced_says_so_and_stays_away() {
    let (stage, mut client) = Stage::connected().await;
    stage.does(Control::Replace {}).await;
    client
        .says("that it was replaced", |event| {
            matches!(event, Event::StreamReplaced(_)).then_some(())
        })
        .await;
    assert_eq!(stage.count("whatsapp.logged_in"), 1);
    client.leaves().await;
    stage.closes().await;
}

#[tokio::test]
async fn who_is_unlinked_is_logged_out() {
    let (stage, mut client) = Stage::connected().await;
    stage.does(Control::Unlink {}).await;
    let at_login = client.says("that it is logged out", |event| {
        if let Event::LoggedOut(out) = event {
            Some(out.on_connect)
        } else {
            None
        }
    });
    assert!(!at_login.await);
    client.leaves().await;
    stage.closes().await;
}

/// A login that is refused for that reason makes the client say this.
async fn refused(with: Reason, what: &str, found: impl Fn(&Event) -> bool) {
    let stage = Stage::opened().await;
    let refusal = Refusal {
        with,
        times: Some(1),
        expire: Some(3600),
    };
    stage.does(Control::Refuse(refusal)).await;
    let mut client = stage.client().await;
    client.says(what, |event| found(event).then_some(())).await;
    client.leaves().await;
    stage.closes().await;
}

#[tokio::test]
async fn every_refusal_is_understood() {
    let logged_out = |event: &Event| {
        if let Event::LoggedOut(out) = event {
            out.on_connect
        } else {
            false
        }
    };
    refused(Reason::LoggedOut, "that it is logged out", logged_out).await;
    let banned = |event: &Event| matches!(event, Event::TemporaryBan(_));
    refused(
        Reason::TemporaryBan,
        "that it is banned for a while",
        banned,
    )
    .await;
    let outdated = |event: &Event| matches!(event, Event::ClientOutdated(_));
    refused(Reason::Outdated, "that it is too old", outdated).await;
    let connected = |event: &Event| matches!(event, Event::Connected(_));
    refused(
        Reason::Unavailable,
        "that it is connected in the end",
        connected,
    )
    .await;
}

#[tokio::test]
async fn bytes_that_are_no_frame_do_not_bring_it_down() {
    let (stage, mut client) = Stage::connected().await;
    stage.does(Control::Garbage {}).await;
    let id = stage.says(saying("ada", "ada", "all right?")).await;
    // It cannot decrypt this any more, so it cannot acknowledge it …
    let moment = Duration::from_secs(1);
    assert!(stage.whatsapp().at_rest(moment).await.is_err());
    // … and would notice by itself, when its next sign of life is not answered.
    stage.does(Control::Drop {}).await;
    client.message(&id).await;
    assert_eq!(stage.count("whatsapp.logged_in"), 2);
    stage.ends(client).await;
}

#[tokio::test]
async fn it_comes_back_with_the_network() {
    let (stage, mut client) = Stage::connected().await;
    stage.does(Control::Offline {}).await;
    let id = stage.says(saying("ada", "ada", "can you hear me?")).await;
    assert!(!stage.whatsapp().online().await);
    stage.does(Control::Back {}).await;
    client.message(&id).await;
    stage.ends(client).await;
}

#[tokio::test]
async fn it_notices_a_restart_and_comes_back() {
    let (stage, mut client) = Stage::connected().await;
    stage.does(Control::StreamError { code: 515 }).await;
    let id = stage.says(saying("ada", "ada", "after the restart")).await;
    client.message(&id).await;
    stage.ends(client).await;
}

#[tokio::test]
async fn it_uploads_prekeys_when_few_are_left() {
    let (stage, client) = Stage::connected().await;
    let before = stage.whatsapp().linked().await[0].prekeys.len();
    assert!(before > 0, "it uploaded some when it came");
    let told = stage.does(Control::LowPrekeys { left: 1 }).await.seq;
    stage
        .sees("whatsapp.stanza", |entry| {
            let xml = entry.text("xml")?;
            (entry.seq > told
                && entry.text("way") == Some("in")
                && xml.contains("type=\"set\"")
                && xml.contains("<registration>"))
            .then_some(())
        })
        .await;
    stage.ends(client).await;
}

#[tokio::test]
async fn what_is_held_back_comes_when_it_is_let_go() {
    let (stage, mut client) = Stage::connected().await;
    let what = Traffic::Messages;
    stage.does(Control::Hold { what }).await;
    let id = stage.says(saying("ada", "ada", "later")).await;
    stage.whatsapp().at_rest(PATIENCE).await.unwrap();
    assert!(client.messages().is_empty(), "{}", client.story());
    stage.does(Control::LetGo { what }).await;
    client.message(&id).await;
    stage.ends(client).await;
}

#[tokio::test]
async fn it_hears_of_the_acknowledgement_when_there_is_one() {
    let (stage, mut client) = Stage::connected().await;
    stage.whatsapp().stage_direct("ada", "ada").await.unwrap();
    stage.does(Control::PauseAcks {}).await;
    let (api, ada) = (client.client(), stage.jid("ada"));
    let mut sending = JoinSet::new();
    sending.spawn(async move {
        let ada: whatsapp_rust::Jid = ada.parse().unwrap();
        let sent = api.send_message(ada, says("well?")).await;
        sent.unwrap().message_id
    });
    let id = stage
        .sees("whatsapp.heard", |entry| {
            entry.text("id").map(str::to_owned)
        })
        .await;
    let acknowledged = |event: &Event| {
        let Event::ServerAck(ack) = event else {
            return None;
        };
        (ack.id == id).then_some(())
    };
    assert!(!client.has_said(acknowledged));
    stage.does(Control::ResumeAcks {}).await;
    client.says("that it is acknowledged", acknowledged).await;
    assert_eq!(sending.join_next().await.unwrap().unwrap(), id);
    stage.ends(client).await;
}
