//! What the devices of the owner share: the app state and its signatures, and the keys that
//! the server keeps for whoever writes first.

use mock_server::whatsapp::{Control, Mutation};

use super::client::Baileys;
use super::event::Event;
use super::stage::Stage;

/// Waits until the state of a chat changed in one of three ways: archived, pinned, muted.
async fn changed(baileys: &mut Baileys, jid: &str) -> (Option<bool>, Option<bool>, Option<bool>) {
    let of_chat = |event: &Event| {
        let Event::Chat {
            id,
            archived,
            pinned,
            muted,
        } = event
        else {
            return None;
        };
        (id == jid).then_some((*archived, *pinned, *muted))
    };
    baileys.says("that the chat changed", of_chat).await
}

/// The owner's phone keeps Ada under this name.
fn named(name: &str) -> Control {
    let (person, name) = ("ada".to_owned(), name.to_owned());
    Control::Mutate(Mutation::Contact { person, name })
}

/// Waits until Baileys knows under which name somebody is kept.
async fn name(baileys: &mut Baileys, jid: &str) -> String {
    let kept = |event: &Event| {
        let Event::Contact { id, name } = event else {
            return None;
        };
        if id == jid { name.clone() } else { None }
    };
    baileys.says("a name that is kept", kept).await
}

#[tokio::test]
async fn it_takes_over_what_another_device_changes_in_a_chat() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let jid = stage
        .whatsapp()
        .stage_direct("friend", "ada")
        .await
        .unwrap();
    let mut baileys = stage.linked().await;
    let chat = || "friend".to_owned();

    stage
        .does(Control::Mutate(Mutation::Archive {
            chat: chat(),
            archived: true,
        }))
        .await;
    assert_eq!(changed(&mut baileys, &jid).await, (Some(true), None, None));
    // The second of a collection follows from the hash of the first.
    stage
        .does(Control::Mutate(Mutation::Pin {
            chat: chat(),
            pinned: true,
        }))
        .await;
    assert_eq!(changed(&mut baileys, &jid).await, (None, Some(true), None));
    stage
        .does(Control::Mutate(Mutation::Archive {
            chat: chat(),
            archived: false,
        }))
        .await;
    assert_eq!(changed(&mut baileys, &jid).await, (Some(false), None, None));
    stage
        .does(Control::Mutate(Mutation::Mute {
            chat: chat(),
            muted: true,
        }))
        .await;
    assert_eq!(changed(&mut baileys, &jid).await, (None, None, Some(true)));
    stage.ends(baileys).await;
}

#[tokio::test]
async fn it_takes_over_names() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let jid = stage
        .whatsapp()
        .stage_direct("friend", "ada")
        .await
        .unwrap();
    let mut baileys = stage.linked().await;

    stage.does(named("Ada from next door")).await;
    assert_eq!(name(&mut baileys, &jid).await, "Ada from next door");
    let name = "The new owner".to_owned();
    stage
        .does(Control::Mutate(Mutation::PushName { name: name.clone() }))
        .await;
    let named = baileys.says("the owner's new name", |event| {
        let Event::Named { name: new } = event else {
            return None;
        };
        (*new == name).then_some(())
    });
    named.await;
    stage.ends(baileys).await;
}

#[tokio::test]
async fn it_finds_what_changed_before_it_was_linked() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let jid = stage
        .whatsapp()
        .stage_direct("friend", "ada")
        .await
        .unwrap();
    stage.does(named("Ada of old")).await;
    stage.does(named("Ada from next door")).await;

    let mut baileys = stage.linked().await;
    assert_eq!(name(&mut baileys, &jid).await, "Ada from next door");
    stage.ends(baileys).await;
}

#[tokio::test]
async fn it_uploads_keys_when_few_are_left() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let baileys = stage.linked().await;
    let begun = stage.whatsapp().linked().await;
    assert!(begun[0].prekeys.len() > 100, "{}", begun[0].prekeys.len());

    let told = stage.does(Control::LowPrekeys { left: 2 }).await.seq;
    let uploaded = stage.sees("whatsapp.stanza", |entry| {
        let late = entry.seq > told && entry.text("way") == Some("in");
        let xml = entry.text("xml").filter(|_| late)?;
        (xml.contains("<skey>") && xml.contains("type=\"set\"")).then_some(())
    });
    uploaded.await;
    stage.rests().await;
    let left = stage.whatsapp().linked().await[0].prekeys.len();
    assert!(left > 2, "{left} are there");
    stage.ends(baileys).await;
}
