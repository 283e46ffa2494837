//! What waits while it is away comes in order, and once.

use mock_server::whatsapp::{Addressing, Control};

use super::client::{PATIENCE, Running};
use super::stage::{GROUP, Stage, saying};

fn texts(client: &Running, from: &str) -> Vec<String> {
    let messages = client.messages();
    let of_chat = messages
        .iter()
        .filter(|message| message.info.source.chat.to_string() == from);
    of_chat
        .filter_map(|message| message.message.conversation.clone())
        .collect()
}

#[tokio::test]
async fn a_backlog_comes_in_the_order_of_its_chats() {
    let (stage, client) = Stage::with_group(Addressing::Pn).await;
    client.leaves().await;
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    let mut last = String::new();
    for number in 0..30 {
        let (chat, from, said) = match number % 3 {
            0 => ("ada", "ada", &mut alone),
            1 => ("family", "bob", &mut together),
            _ => ("family", "ada", &mut together),
        };
        let text = format!("number {number}");
        last = stage.says(saying(chat, from, &text)).await;
        said.push(text);
    }
    let mut client = stage.client().await;
    assert!(client.message(&last).await.info.is_offline);
    stage.whatsapp().at_rest(PATIENCE).await.unwrap();
    assert_eq!(texts(&client, &stage.jid("ada")), alone);
    assert_eq!(texts(&client, GROUP), together);
    stage.ends(client).await;
}

#[tokio::test]
async fn what_was_said_before_and_after_a_cut_comes_once() {
    let (stage, mut client) = Stage::connected().await;
    let first = stage.says(saying("ada", "ada", "before")).await;
    client.message(&first).await;
    stage.delivered(&first).await;
    stage.does(Control::Drop {}).await;
    let second = stage.says(saying("ada", "ada", "after")).await;
    client.message(&second).await;
    stage.delivered(&second).await;
    assert_eq!(texts(&client, &stage.jid("ada")), ["before", "after"]);
    stage.ends(client).await;
}
