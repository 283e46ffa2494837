//! Groups: sender keys both ways, both ways of addressing, and changes of who is in them.

use mock_server::whatsapp::{Addressing, Control, GroupCast, Membership, Saying};
use serde_json::json;

use super::event::Event;
use super::stage::{Stage, saying};

const FAMILY: &str = "120363000000000042@g.us";

fn family(addressing: Addressing) -> GroupCast {
    GroupCast {
        name: "family".to_owned(),
        id: FAMILY.to_owned(),
        subject: Some("The family".to_owned()),
        members: ["ada", "bob"].map(str::to_owned).to_vec(),
        addressing,
    }
}

/// Both members write twice, are answered each time, and everybody hears it.
async fn check_talk(addressing: Addressing) {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    stage.group(family(addressing)).await;
    let mut baileys = stage.linked().await;
    // The first message of each brings a sender key, the second uses it.
    for (from, text) in [
        ("ada", "one"),
        ("bob", "two"),
        ("ada", "three"),
        ("bob", "four"),
    ] {
        let id = stage.says(saying("family", from, text)).await;
        let message = baileys.message(&id).await;
        assert_eq!(
            (message.chat.as_str(), message.text.as_deref()),
            (FAMILY, Some(text))
        );
        let domain = match addressing {
            Addressing::Pn => "@s.whatsapp.net",
            Addressing::Lid => "@lid",
        };
        assert!(message.from.ends_with(domain), "{message:?}");

        let order = json!({ "to": FAMILY, "text": format!("{text}, too"), "quoted": id });
        let answer = baileys.sends("send", order).await;
        let heard = stage.heard(&answer).await;
        assert_eq!(heard["text"], format!("{text}, too"));
        assert_eq!(heard["heard_by"], json!(["ada", "bob"]));
        baileys.receipt(&answer, 3).await;
    }
    stage.ends(baileys).await;
}

#[tokio::test]
async fn all_talk_in_a_group_of_phone_numbers() {
    check_talk(Addressing::Pn).await;
}

#[tokio::test]
async fn all_talk_in_a_group_of_hidden_numbers() {
    check_talk(Addressing::Lid).await;
}

#[tokio::test]
async fn a_mention_names_it() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    stage.group(family(Addressing::Pn)).await;
    let mut baileys = stage.linked().await;
    let mention = Saying {
        mentions: vec!["owner".to_owned()],
        ..saying("family", "ada", "@4915100000001 hello")
    };
    let id = stage.says(mention).await;

    let mentions = baileys.message(&id).await.mentions;
    assert_eq!(mentions, ["4915100000001@s.whatsapp.net"]);
    stage.ends(baileys).await;
}

#[tokio::test]
async fn it_knows_the_groups_it_is_in() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    stage.group(family(Addressing::Pn)).await;
    let mut baileys = stage.linked().await;

    let results = baileys.does("groups", json!({})).await;
    let expected = json!([{ "id": FAMILY, "subject": "The family", "members": 3 }]);
    assert_eq!(results["groups"], expected);
    stage.ends(baileys).await;
}

#[tokio::test]
async fn it_sees_who_comes_and_goes() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let mut baileys = stage.linked().await;
    stage
        .does(Control::CreateGroup(family(Addressing::Pn)))
        .await;
    let made = baileys.says("that there is a group", |event| {
        let Event::Group { id, subject } = event else {
            return None;
        };
        (id == FAMILY).then(|| subject.clone())
    });
    assert_eq!(made.await.as_deref(), Some("The family"));

    let carl = || Membership {
        chat: "family".to_owned(),
        people: vec!["carl".to_owned()],
    };
    let steps = [
        (Control::Add(carl()), "add"),
        (Control::Promote(carl()), "promote"),
        (Control::Demote(carl()), "demote"),
        (Control::Remove(carl()), "remove"),
    ];
    for (control, expected) in steps {
        stage.does(control).await;
        let people = baileys.says(expected, |event| {
            let Event::Members { id, action, people } = event else {
                return None;
            };
            (id == FAMILY && action == expected).then_some(people.len())
        });
        assert_eq!(people.await, 1, "{expected}");
    }
    let rename = Control::Rename {
        chat: "family".to_owned(),
        subject: "All of us".to_owned(),
    };
    stage.does(rename).await;
    let renamed = baileys.says("the new subject", |event| {
        let Event::Group { id, subject } = event else {
            return None;
        };
        (id == FAMILY && subject.as_deref() == Some("All of us")).then_some(())
    });
    renamed.await;
    stage.ends(baileys).await;
}

#[tokio::test]
async fn who_has_come_hears_it_and_who_has_gone_does_not() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    stage.group(family(Addressing::Pn)).await;
    let mut baileys = stage.linked().await;
    let order = |text: &str| json!({ "to": FAMILY, "text": text });
    let members = |name: &str| Membership {
        chat: "family".to_owned(),
        people: vec![name.to_owned()],
    };
    let changed = |event: &Event| {
        let Event::Members { .. } = event else {
            return None;
        };
        Some(())
    };

    let id = baileys.sends("send", order("before")).await;
    assert_eq!(stage.heard(&id).await["heard_by"], json!(["ada", "bob"]));
    stage.does(Control::Add(members("carl"))).await;
    baileys.says("that Carl came", changed).await;
    let id = baileys.sends("send", order("welcome")).await;
    assert_eq!(
        stage.heard(&id).await["heard_by"],
        json!(["ada", "bob", "carl"])
    );
    stage.does(Control::Remove(members("bob"))).await;
    baileys.says("that Bob went", changed).await;
    let id = baileys.sends("send", order("farewell")).await;
    assert_eq!(stage.heard(&id).await["heard_by"], json!(["ada", "carl"]));
    stage.ends(baileys).await;
}

#[tokio::test]
async fn it_makes_a_group() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let ada = stage
        .whatsapp()
        .stage_direct("friend", "ada")
        .await
        .unwrap();
    let mut baileys = stage.linked().await;
    let order = json!({ "subject": "Two of us", "people": [ada] });
    let group = baileys.sends("create_group", order).await;

    let id = baileys
        .sends("send", json!({ "to": group, "text": "only us" }))
        .await;
    assert_eq!(stage.heard(&id).await["heard_by"], json!(["ada"]));
    stage.ends(baileys).await;
}
