//! A message that cannot be decrypted comes again, in both directions.

use mock_server::whatsapp::{Addressing, Control, Saying};

use super::stage::{GROUP, Stage, saying};

#[tokio::test]
async fn what_it_cannot_decrypt_comes_again() {
    let (stage, mut client) = Stage::connected().await;
    for known in [false, true] {
        let text = format!("can you read this? {known}");
        let broken = Saying {
            undecryptable: true,
            ..saying("ada", "ada", &text)
        };
        let id = stage.says(broken).await;
        assert_eq!(client.message(&id).await.message.conversation, Some(text));
        stage
            .sees("whatsapp.retry", |entry| {
                (entry.text("id") == Some(&id)).then_some(())
            })
            .await;
        stage.delivered(&id).await;
    }
    let id = stage.says(saying("ada", "ada", "and on")).await;
    assert_eq!(
        client.message(&id).await.message.conversation.as_deref(),
        Some("and on")
    );
    stage.ends(client).await;
}

#[tokio::test]
async fn what_it_cannot_decrypt_in_a_group_comes_again() {
    let (stage, mut client) = Stage::with_group(Addressing::Pn).await;
    let broken = Saying {
        undecryptable: true,
        ..saying("family", "ada", "who is in?")
    };
    let id = stage.says(broken).await;
    let text = client.message(&id).await.message.conversation.clone();
    assert_eq!(text.as_deref(), Some("who is in?"));
    let id = stage.says(saying("family", "ada", "and on")).await;
    assert_eq!(
        client.message(&id).await.message.conversation.as_deref(),
        Some("and on")
    );
    let id = client.sends(GROUP, "I am").await;
    stage.heard(&id).await;
    stage.ends(client).await;
}

#[tokio::test]
async fn what_a_phone_cannot_decrypt_it_sends_again() {
    let (stage, mut client) = Stage::connected().await;
    let id = stage.says(saying("ada", "ada", "hello")).await;
    client.message(&id).await;
    let id = client.sends(&stage.jid("ada"), "hello Ada").await;
    stage.heard(&id).await;

    let person = "ada".to_owned();
    stage.does(Control::LoseKeys { person }).await;
    let id = client.sends(&stage.jid("ada"), "is this phone new?").await;
    stage
        .sees("whatsapp.undecryptable", |entry| {
            (entry.text("id") == Some(&id)).then_some(())
        })
        .await;
    assert_eq!(stage.heard(&id).await["text"], "is this phone new?");
    let id = stage.says(saying("ada", "ada", "it is")).await;
    client.message(&id).await;
    stage.ends(client).await;
}

#[tokio::test]
async fn what_a_phone_cannot_decrypt_in_a_group_it_sends_again() {
    let (stage, client) = Stage::with_group(Addressing::Pn).await;
    let id = client.sends(GROUP, "hello you two").await;
    stage.heard(&id).await;
    client.leaves().await;

    let stage = stage.reopened().await;
    stage.stage_family(Addressing::Pn).await;
    let mut client = stage.client().await;
    client.connected().await;
    let id = client.sends(GROUP, "new phones, both of you?").await;
    assert_eq!(stage.heard(&id).await["text"], "new phones, both of you?");
    assert!(stage.count("whatsapp.undecryptable") >= 2);
    stage.ends(client).await;
}
