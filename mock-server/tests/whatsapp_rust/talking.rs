//! A chat with one person: both directions, and all that can be done to a message.

use mock_server::whatsapp::{
    Composing, Control, Editing, Reacting, Reading, Revoking, Saying, TypingState, Wrapper,
};
use serde_json::json;
use whatsapp_rust::types::events::Event;
use whatsapp_rust::types::presence::ReceiptType;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::{Jid, RevokeType};

use super::client::says;
use super::stage::{Stage, saying};

#[tokio::test]
async fn a_person_and_it_talk() {
    let (stage, mut client) = Stage::connected().await;
    // The first of them opens the session, the second is carried by it.
    for turn in ["first", "second"] {
        let id = stage
            .says(saying("ada", "ada", &format!("{turn} question")))
            .await;
        let question = client.message(&id).await;
        assert_eq!(
            question.message.conversation,
            Some(format!("{turn} question"))
        );
        assert_eq!(question.info.push_name, "Ada");
        assert_eq!(question.info.source.sender.to_string(), stage.jid("ada"));
        stage.delivered(&id).await;

        let id = client
            .sends(&stage.jid("ada"), &format!("{turn} answer"))
            .await;
        let heard = stage.heard(&id).await;
        assert_eq!(heard["text"], format!("{turn} answer"));
        client
            .says("that Ada got it", |event| {
                let Event::Receipt(receipt) = event else {
                    return None;
                };
                let got = matches!(receipt.r#type, ReceiptType::Delivered);
                (got && receipt.message_ids.contains(&id)).then_some(())
            })
            .await;
    }
    stage.ends(client).await;
}

#[tokio::test]
async fn it_writes_first() {
    let (stage, client) = Stage::connected().await;
    let jid = stage
        .whatsapp()
        .stage_direct("friend", "bob")
        .await
        .unwrap();
    let id = client.sends(&jid, "hello Bob").await;
    let heard = stage.heard(&id).await;
    assert_eq!(heard["heard_by"], json!(["bob"]));
    stage.ends(client).await;
}

#[tokio::test]
async fn what_the_owner_writes_elsewhere_comes_as_their_own() {
    let (stage, mut client) = Stage::connected().await;
    stage.whatsapp().stage_direct("ada", "ada").await.unwrap();
    let id = stage.says(saying("ada", "owner", "I am late")).await;
    let own = client.message(&id).await;
    assert!(own.info.source.is_from_me, "{own:?}");
    assert_eq!(own.info.source.chat.to_string(), stage.jid("ada"));
    assert_eq!(own.message.conversation.as_deref(), Some("I am late"));
    stage.ends(client).await;
}

#[tokio::test]
async fn a_quote_and_a_mention_arrive_in_both_directions() {
    let (stage, mut client) = Stage::connected().await;
    let question = stage.says(saying("ada", "ada", "tea or coffee?")).await;
    client.message(&question).await;
    let context = wa::ContextInfo {
        stanza_id: Some(question.clone()),
        participant: Some(stage.jid("ada")),
        mentioned_jid: vec![stage.jid("ada")],
        ..Default::default()
    };
    let text = wa::message::ExtendedTextMessage {
        text: Some("tea".to_owned()),
        context_info: buffa::MessageField::some(context),
        ..Default::default()
    };
    let message = wa::Message {
        extended_text_message: buffa::MessageField::some(text),
        ..Default::default()
    };
    let answer = client.sends_message(&stage.jid("ada"), message).await;
    let heard = stage.heard(&answer).await;
    assert_eq!(heard["quoted"], question.as_str(), "{heard}");
    assert_eq!(heard["mentions"], json!(["ada"]), "{heard}");

    let reply = Saying {
        reply_to: Some(answer.clone()),
        mentions: vec!["owner".to_owned()],
        ..saying("ada", "ada", "which tea?")
    };
    let reply = stage.says(reply).await;
    let reply = client.message(&reply).await;
    let around = &reply.message.extended_text_message.context_info;
    assert_eq!(around.stanza_id, Some(answer));
    assert_eq!(
        around.quoted_message.extended_text_message.text.as_deref(),
        Some("tea")
    );
    assert_eq!(around.mentioned_jid.len(), 1);
    stage.ends(client).await;
}

#[tokio::test]
async fn a_person_changes_deletes_and_marks_what_they_wrote() {
    use wa::message::protocol_message::Type;
    let (stage, mut client) = Stage::connected().await;
    let id = stage.says(saying("ada", "ada", "at noon")).await;
    client.message(&id).await;

    let editing = Editing {
        message: id.clone(),
        text: "at one".to_owned(),
    };
    let edit = stage.does(Control::Edit(editing)).await.message_id.unwrap();
    let edit = client.message(&edit).await;
    let change = &edit.message.protocol_message;
    assert_eq!(change.r#type, Some(Type::MESSAGE_EDIT), "{edit:?}");
    assert_eq!(
        change.edited_message.conversation.as_deref(),
        Some("at one")
    );
    assert_eq!(change.key.id.as_deref(), Some(id.as_str()));

    let reacting = Reacting {
        message: id.clone(),
        from: "ada".to_owned(),
        emoji: "👍".to_owned(),
    };
    let reaction = stage
        .does(Control::React(reacting))
        .await
        .message_id
        .unwrap();
    let reaction = client.message(&reaction).await;
    assert_eq!(
        reaction.message.reaction_message.text.as_deref(),
        Some("👍")
    );

    let revoking = Revoking {
        message: id.clone(),
        from: None,
    };
    let revoke = stage
        .does(Control::Revoke(revoking))
        .await
        .message_id
        .unwrap();
    let revoke = client.message(&revoke).await;
    assert_eq!(revoke.message.protocol_message.r#type, Some(Type::REVOKE));
    assert_eq!(
        revoke.message.protocol_message.key.id.as_deref(),
        Some(id.as_str())
    );
    stage.ends(client).await;
}

#[tokio::test]
async fn it_changes_deletes_and_marks() {
    let (stage, mut client) = Stage::connected().await;
    let question = stage.says(saying("ada", "ada", "when?")).await;
    client.message(&question).await;
    let ada: Jid = stage.jid("ada").parse().unwrap();
    let answer = client.sends(&stage.jid("ada"), "at noon").await;
    stage.heard(&answer).await;

    client
        .client()
        .edit_message(ada.clone(), answer.clone(), says("at one"))
        .await
        .unwrap();
    let edited = stage.sees("whatsapp.heard", |entry| {
        (entry.text("kind") == Some("edit")).then(|| entry.text("text").map(str::to_owned))
    });
    assert_eq!(edited.await.as_deref(), Some("at one"));
    let key = wa::MessageKey {
        remote_jid: Some(ada.to_string()),
        from_me: Some(false),
        id: Some(question),
        ..Default::default()
    };
    let reaction = client
        .client()
        .send_reaction(ada.clone(), key, "👍")
        .await
        .unwrap();
    assert_eq!(stage.heard(&reaction.message_id).await["text"], "👍");
    client
        .client()
        .revoke_message(ada, answer, RevokeType::Sender)
        .await
        .unwrap();
    stage
        .sees("whatsapp.heard", |entry| {
            (entry.text("kind") == Some("revoke")).then_some(())
        })
        .await;
    stage.ends(client).await;
}

#[tokio::test]
async fn each_sees_the_other_read_and_write() {
    let (stage, mut client) = Stage::connected().await;
    let question = stage.says(saying("ada", "ada", "there?")).await;
    client.message(&question).await;
    let ada: Jid = stage.jid("ada").parse().unwrap();

    client
        .client()
        .mark_as_read(&ada, None, &[&question])
        .await
        .unwrap();
    stage
        .sees("whatsapp.receipt", |entry| {
            let mine = entry.fields["ids"] == json!([question]);
            (mine && entry.text("type") == Some("read")).then_some(())
        })
        .await;
    client
        .client()
        .chatstate()
        .send_composing(&ada)
        .await
        .unwrap();
    stage
        .sees("whatsapp.typing", |entry| {
            (entry.text("state") == Some("composing")).then_some(())
        })
        .await;
    let answer = client.sends(&stage.jid("ada"), "yes").await;
    stage.heard(&answer).await;

    let typing = TypingState {
        chat: "ada".to_owned(),
        from: "ada".to_owned(),
        state: Composing::Composing,
    };
    stage.does(Control::Typing(typing)).await;
    client
        .says("that Ada writes", |event| {
            matches!(event, Event::ChatPresence(_)).then_some(())
        })
        .await;
    stage
        .does(Control::Read(Reading {
            chat: "ada".to_owned(),
            from: "ada".to_owned(),
        }))
        .await;
    client
        .says("that Ada has read it", |event| {
            let Event::Receipt(receipt) = event else {
                return None;
            };
            let read = matches!(receipt.r#type, ReceiptType::Read);
            (read && receipt.message_ids.contains(&answer)).then_some(())
        })
        .await;
    stage.ends(client).await;
}

#[tokio::test]
async fn what_is_wrapped_comes_with_its_wrapper() {
    let (stage, mut client) = Stage::connected().await;
    let ephemeral = Saying {
        wrapper: Some(Wrapper::Ephemeral),
        ..saying("ada", "ada", "burn this")
    };
    let id = stage.says(ephemeral).await;
    let message = client.message(&id).await;
    let inner = &message.message.ephemeral_message.message;
    assert_eq!(
        inner.extended_text_message.text.as_deref(),
        Some("burn this"),
        "{message:?}"
    );
    stage.ends(client).await;
}

#[tokio::test]
async fn a_second_device_of_a_person_writes_and_is_written_to() {
    let (stage, mut client) = Stage::connected().await;
    let from_tablet = Saying {
        device: 1,
        ..saying("ada", "ada", "from my tablet")
    };
    let id = stage.says(from_tablet).await;
    let message = client.message(&id).await;
    assert_eq!(
        message.message.conversation.as_deref(),
        Some("from my tablet")
    );
    let answer = client.sends(&stage.jid("ada"), "to both").await;
    assert_eq!(stage.heard(&answer).await["text"], "to both");
    stage.ends(client).await;
}

#[tokio::test]
async fn the_same_message_twice_is_said_once() {
    let (stage, mut client) = Stage::connected().await;
    let id = stage
        .says(Saying {
            duplicate: true,
            ..saying("ada", "ada", "twice")
        })
        .await;
    client.message(&id).await;
    stage
        .whatsapp()
        .at_rest(super::client::PATIENCE)
        .await
        .unwrap();
    let mut same = client.messages();
    same.retain(|message| message.info.id == id);
    assert_eq!(same.len(), 1, "{}", client.story());
    assert_eq!(stage.handed_out(&id), 2);
    stage.ends(client).await;
}
