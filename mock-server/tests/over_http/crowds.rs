//! Many clients at once.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::stage::{Stage, asking};

const CLIENTS: usize = 16;
const TURNS: usize = 1_000;

/// A thousand turns, each said once; what each asks for is up to the caller.
fn script(matches: fn(usize) -> Value) -> String {
    let turn = |number: usize| {
        let mut turn = json!({ "response": { "content": format!("answer {number}") } });
        if !matches(number).is_null() {
            turn["match"] = matches(number);
        }
        turn
    };
    (0..TURNS).map(turn).collect::<Value>().to_string()
}

/// Sixteen clients ask a thousand times in all; each turn is said once, and then no more.
async fn check(matches: fn(usize) -> Value, text: fn(usize) -> String) {
    let stage = Stage::with(&script(matches)).await;
    let url = format!("{}/v1/chat/completions", stage.server.url());
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (http, url) = (stage.client.clone(), url.clone());
        clients.spawn(async move {
            let mut heard = Vec::new();
            for number in (client..TURNS).step_by(CLIENTS) {
                let body = asking(&text(number));
                let answer = http.post(&url).json(&body).send().await.unwrap();
                let answer: Value = answer.json().await.unwrap();
                let content = answer["choices"][0]["message"]["content"].as_str();
                heard.push(content.unwrap_or_else(|| panic!("{answer:#}")).to_owned());
            }
            heard
        });
    }
    let heard: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    let distinct: BTreeSet<_> = heard.iter().collect();
    assert_eq!((heard.len(), distinct.len()), (TURNS, TURNS));
    assert!(stage.server.llm().unsaid().is_empty());
    stage.refused(422, &asking(&text(0))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn turns_for_anything_are_each_said_once() {
    check(|_| Value::Null, |_| "hi".to_owned()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn turns_for_one_text_are_each_said_once() {
    check(|_| "hi".into(), |_| "hi".to_owned()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn turns_for_one_expression_are_each_said_once() {
    check(|_| "/^h.$/".into(), |_| "hi".to_owned()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn turns_for_texts_of_their_own_are_each_said_once() {
    check(
        |number| format!("question {number} ").into(),
        |number| format!("question {number} please"),
    )
    .await;
}
