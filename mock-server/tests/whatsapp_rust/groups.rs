//! Groups: messages with sender keys both ways, in both addressings, and changes to them.

use mock_server::whatsapp::{Addressing, Control, Membership};
use serde_json::json;
use wacore::iq::groups::GroupCreateOptions;
use whatsapp_rust::Jid;
use whatsapp_rust::features::{GroupParticipantOptions, GroupSubject};
use whatsapp_rust::types::events::Event;

use super::client::Running;
use super::stage::{GROUP, Stage, saying};

fn group() -> Jid {
    GROUP.parse().unwrap()
}

async fn both_ways(addressing: Addressing) {
    let (stage, mut client) = Stage::with_group(addressing).await;
    for turn in ["first", "second"] {
        let id = stage
            .says(saying("family", "ada", &format!("{turn} question")))
            .await;
        let question = client.message(&id).await;
        assert_eq!(
            question.message.conversation,
            Some(format!("{turn} question"))
        );
        assert_eq!(question.info.source.chat, group());
        assert_eq!(
            question.info.source.sender.is_lid(),
            addressing == Addressing::Lid
        );
        stage.delivered(&id).await;
        let id = client.sends(GROUP, &format!("{turn} answer")).await;
        let heard = stage.heard(&id).await;
        assert_eq!(heard["text"], format!("{turn} answer"));
        assert_eq!(heard["heard_by"], json!(["ada", "bob"]), "{heard}");
    }
    // Who writes for the first time hands a key out.
    let id = stage.says(saying("family", "bob", "me too")).await;
    assert_eq!(
        client.message(&id).await.message.conversation.as_deref(),
        Some("me too")
    );
    stage.ends(client).await;
}

#[tokio::test]
async fn a_group_and_it_talk() {
    both_ways(Addressing::Pn).await;
}

#[tokio::test]
async fn a_group_that_hides_its_numbers_and_it_talk() {
    both_ways(Addressing::Lid).await;
}

fn about(people: &[&str]) -> Membership {
    Membership {
        chat: "family".to_owned(),
        people: people.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// Waits for the client to say that the group changed in this way.
async fn told(client: &mut Running, word: &str) {
    client
        .says(&format!("that the group changed: {word}"), |event| {
            let Event::GroupUpdate(update) = event else {
                return None;
            };
            let action = serde_json::to_value(&update.action).unwrap();
            (action["type"] == word).then_some(())
        })
        .await;
}

#[tokio::test]
async fn it_sees_who_comes_and_goes_and_writes_to_who_is_there() {
    let (stage, mut client) = Stage::with_group(Addressing::Pn).await;
    let id = client.sends(GROUP, "three of you").await;
    stage.heard(&id).await;

    stage.does(Control::Add(about(&["cleo"]))).await;
    told(&mut client, "add").await;
    let id = client.sends(GROUP, "four of you").await;
    assert_eq!(
        stage.heard(&id).await["heard_by"],
        json!(["ada", "bob", "cleo"])
    );

    stage.does(Control::Remove(about(&["bob"]))).await;
    told(&mut client, "remove").await;
    let id = client.sends(GROUP, "without Bob").await;
    assert_eq!(stage.heard(&id).await["heard_by"], json!(["ada", "cleo"]));
    let id = stage.says(saying("family", "ada", "a new key")).await;
    assert_eq!(
        client.message(&id).await.message.conversation.as_deref(),
        Some("a new key")
    );

    stage.does(Control::Promote(about(&["ada"]))).await;
    told(&mut client, "promote").await;
    let subject = "We".to_owned();
    stage
        .does(Control::Rename {
            chat: "family".to_owned(),
            subject,
        })
        .await;
    told(&mut client, "subject").await;
    let metadata = client
        .client()
        .groups()
        .get_metadata(&group())
        .await
        .unwrap();
    assert_eq!(metadata.subject, "We");
    assert_eq!(metadata.participants.len(), 3);
    stage.ends(client).await;
}

#[tokio::test]
async fn it_makes_a_group_and_changes_it() {
    let (stage, client) = Stage::connected().await;
    stage.whatsapp().stage_direct("ada", "ada").await.unwrap();
    stage.whatsapp().stage_direct("bob", "bob").await.unwrap();
    let jid = |name: &str| stage.jid(name).parse::<Jid>().unwrap();
    let options =
        GroupCreateOptions::new("Plans").with_participant(GroupParticipantOptions::new(jid("ada")));
    let api = client.client();
    let made = api.groups().create_group(options).await.unwrap().metadata;
    assert_eq!(
        (made.subject.as_str(), made.participants.len()),
        ("Plans", 2)
    );

    let added = api
        .groups()
        .add_participants(made.id.clone(), &[jid("bob")])
        .await
        .unwrap();
    assert!(added[0].is_ok(), "{added:?}");
    let subject = GroupSubject::new("Better plans").unwrap();
    api.groups()
        .set_subject(made.id.clone(), subject)
        .await
        .unwrap();
    let all = api.groups().get_participating().await.unwrap();
    assert_eq!(all[&made.id].subject, "Better plans");
    let id = client.sends(&made.id.to_string(), "welcome").await;
    assert_eq!(stage.heard(&id).await["heard_by"], json!(["ada", "bob"]));

    api.groups().leave(made.id.clone()).await.unwrap();
    assert!(api.groups().get_participating().await.unwrap().is_empty());
    stage.ends(client).await;
}
