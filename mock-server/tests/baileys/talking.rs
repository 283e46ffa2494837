//! A chat with one person: both directions, and all that can be done to a message.

use mock_server::whatsapp::{
    Composing, Control, Editing, Nacking, Reacting, Reading, Revoking, Saying, TypingState,
};
use serde_json::json;

use super::event::Event;
use super::stage::{OWNER, Stage, saying};

#[tokio::test]
async fn a_person_and_it_talk() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let mut baileys = stage.linked().await;
    // The first of them opens the session, the second is carried by it.
    for turn in ["first", "second"] {
        let id = stage
            .says(saying("ada", "ada", &format!("{turn} question")))
            .await;
        let question = baileys.message(&id).await;
        assert_eq!(question.text.unwrap(), format!("{turn} question"));
        assert_eq!(question.name.as_deref(), Some("Ada"));
        let delivered = stage.sees("whatsapp.delivered", |entry| {
            (entry.text("id") == Some(&id)).then_some(())
        });
        delivered.await;

        let answer = json!({ "to": question.chat, "text": format!("{turn} answer") });
        let id = baileys.sends("send", answer).await;
        let heard = stage.heard(&id).await;
        assert_eq!(heard["text"], format!("{turn} answer"));
        assert_eq!(heard["heard_by"], json!(["ada"]));
        baileys.receipt(&id, 3).await;
    }
    stage.ends(baileys).await;
}

#[tokio::test]
async fn it_may_write_first() {
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
        .sends("send", json!({ "to": jid, "text": "hello Bob" }))
        .await;
    assert_eq!(stage.heard(&id).await["text"], "hello Bob");
    stage.ends(baileys).await;
}

#[tokio::test]
async fn it_hears_that_a_message_was_refused() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let jid = stage.whatsapp().stage_direct("ada", "ada").await.unwrap();
    let mut baileys = stage.linked().await;
    let (code, times) = (463, Some(1));
    stage.does(Control::Nack(Nacking { code, times })).await;
    let order = json!({ "to": jid, "text": "hello stranger" });
    let refused = baileys.sends("send", order).await;
    baileys.receipt(&refused, 0).await;

    let order = json!({ "to": jid, "text": "hello again" });
    let id = baileys.sends("send", order).await;
    assert_eq!(stage.heard(&id).await["text"], "hello again");
    baileys.receipt(&id, 3).await;
    stage.ends(baileys).await;
}

#[tokio::test]
async fn each_quotes_the_other() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let mut baileys = stage.linked().await;
    let question = stage.says(saying("ada", "ada", "tea or coffee?")).await;
    let chat = baileys.message(&question).await.chat;

    let order = json!({ "to": chat, "text": "tea", "quoted": question });
    let answer = baileys.sends("send", order).await;
    let heard = stage.heard(&answer).await;
    assert_eq!(heard["quoted"], question.as_str(), "{heard}");

    let reply = Saying {
        reply_to: Some(answer.clone()),
        ..saying("ada", "ada", "which tea?")
    };
    let reply = stage.says(reply).await;
    let quoted = baileys.message(&reply).await.quoted.unwrap();
    assert_eq!(quoted.id, answer);
    let me = quoted.from.unwrap();
    assert!(me.starts_with(OWNER), "{me} is quoted");
    assert_eq!(quoted.text.as_deref(), Some("tea"));
    stage.ends(baileys).await;
}

#[tokio::test]
async fn a_person_changes_deletes_and_marks_what_they_wrote() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let mut baileys = stage.linked().await;
    let id = stage.says(saying("ada", "ada", "at noon")).await;
    baileys.message(&id).await;

    let editing = Editing {
        message: id.clone(),
        text: "at one".to_owned(),
    };
    stage.does(Control::Edit(editing)).await;
    let edited = baileys.says("that it was edited", |event| {
        let Event::Edited { id: of, text } = event else {
            return None;
        };
        (*of == id).then(|| text.clone())
    });
    assert_eq!(edited.await.as_deref(), Some("at one"));

    let reacting = Reacting {
        message: id.clone(),
        from: "ada".to_owned(),
        emoji: "👍".to_owned(),
    };
    stage.does(Control::React(reacting)).await;
    let marked = baileys.says("that it was marked", |event| {
        let Event::Reaction { id: of, emoji } = event else {
            return None;
        };
        (*of == id).then(|| emoji.clone())
    });
    assert_eq!(marked.await, "👍");

    stage
        .does(Control::Revoke(Revoking {
            message: id.clone(),
            from: None,
        }))
        .await;
    let deleted = baileys.says("that it was deleted", |event| {
        let Event::Revoked { id: of } = event else {
            return None;
        };
        (*of == id).then_some(())
    });
    deleted.await;
    stage.ends(baileys).await;
}

#[tokio::test]
async fn it_changes_deletes_and_marks() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let mut baileys = stage.linked().await;
    let question = stage.says(saying("ada", "ada", "when?")).await;
    let chat = baileys.message(&question).await.chat;
    let answer = baileys
        .sends("send", json!({ "to": chat, "text": "at noon" }))
        .await;
    stage.heard(&answer).await;

    let id = baileys
        .sends("edit", json!({ "message": answer, "text": "at one" }))
        .await;
    let heard = stage.heard(&id).await;
    assert_eq!(
        (&heard["kind"], &heard["text"]),
        (&json!("edit"), &json!("at one"))
    );
    let id = baileys
        .sends("react", json!({ "message": question, "emoji": "👍" }))
        .await;
    let heard = stage.heard(&id).await;
    assert_eq!(
        (&heard["kind"], &heard["text"]),
        (&json!("reaction"), &json!("👍"))
    );
    let id = baileys.sends("revoke", json!({ "message": answer })).await;
    assert_eq!(stage.heard(&id).await["kind"], "revoke");
    stage.ends(baileys).await;
}

#[tokio::test]
async fn each_sees_the_other_read_and_write() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let mut baileys = stage.linked().await;
    let question = stage.says(saying("ada", "ada", "there?")).await;
    let chat = baileys.message(&question).await.chat;

    baileys.does("read", json!({ "message": question })).await;
    let read = stage.sees("whatsapp.receipt", |entry| {
        let mine = entry.fields["ids"] == json!([question]);
        (mine && entry.text("type") == Some("read")).then_some(())
    });
    read.await;
    baileys.does("compose", json!({ "to": chat })).await;
    let writes = stage.sees("whatsapp.typing", |entry| {
        (entry.text("state") == Some("composing")).then_some(())
    });
    writes.await;
    let answer = baileys
        .sends("send", json!({ "to": chat, "text": "yes" }))
        .await;

    let typing = |state| TypingState {
        chat: "ada".to_owned(),
        from: "ada".to_owned(),
        state,
    };
    stage
        .does(Control::Typing(typing(Composing::Composing)))
        .await;
    let composing = baileys.says("that Ada writes", |event| {
        let Event::Presence {
            chat,
            person,
            state,
        } = event
        else {
            return None;
        };
        (state == "composing").then(|| (chat.clone(), person.clone()))
    });
    assert_eq!(composing.await, (chat.clone(), chat));
    let reading = Reading {
        chat: "ada".to_owned(),
        from: "ada".to_owned(),
    };
    stage.does(Control::Read(reading)).await;
    baileys.receipt(&answer, 4).await;
    stage.ends(baileys).await;
}

#[tokio::test]
async fn what_it_cannot_decrypt_comes_again() {
    let Some(stage) = Stage::opened().await else {
        return;
    };
    let mut baileys = stage.linked().await;
    let broken = Saying {
        undecryptable: true,
        ..saying("ada", "ada", "can you read this?")
    };
    let id = stage.says(broken).await;

    // It shows the first try as a stub, and mends it by asking again.
    let mended = baileys.says("the text in the end", |event| {
        let Event::Message(message) = event else {
            return None;
        };
        (message.id == id).then(|| message.text.clone())?
    });
    assert_eq!(mended.await, "can you read this?");
    let asked = stage.sees("whatsapp.retry", |entry| {
        (entry.text("id") == Some(&id)).then_some(())
    });
    asked.await;
    stage.ends(baileys).await;
}
