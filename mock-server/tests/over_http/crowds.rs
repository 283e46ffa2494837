//! Many clients at once.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::stage::{Stage, asking};

const CLIENTS: usize = 16;
const TURNS: usize = 1_000;

/// Turns that are each said once; what each asks for is up to the caller.
fn script(turns: usize, matches: fn(usize) -> Value) -> String {
    let turn = |number: usize| {
        let mut turn = json!({ "response": { "content": format!("answer {number}") } });
        if !matches(number).is_null() {
            turn["match"] = matches(number);
        }
        turn
    };
    (0..turns).map(turn).collect::<Value>().to_string()
}

/// Sixteen clients ask once for each turn; each is said once, and then no more.
async fn check(turns: usize, matches: fn(usize) -> Value, text: fn(usize) -> String) {
    let stage = Stage::with(&script(turns, matches)).await;
    let url = format!("{}/v1/chat/completions", stage.server.url());
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (http, url) = (stage.client.clone(), url.clone());
        clients.spawn(async move {
            let mut heard = Vec::new();
            for number in (client..turns).step_by(CLIENTS) {
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
    assert_eq!((heard.len(), distinct.len()), (turns, turns));
    assert!(stage.server.llm().unsaid().is_empty());
    stage.refused(422, &asking(&text(0))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn turns_for_anything_are_each_said_once() {
    check(TURNS, |_| Value::Null, |_| "hi".to_owned()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn turns_for_one_text_are_each_said_once() {
    check(TURNS, |_| "hi".into(), |_| "hi".to_owned()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn turns_for_one_expression_are_each_said_once() {
    // Fewer: compiling an expression takes its time in a debug build.
    check(100, |_| "/^h.$/".into(), |_| "hi".to_owned()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn turns_for_texts_of_their_own_are_each_said_once() {
    check(
        TURNS,
        |number| format!("question {number} ").into(),
        |number| format!("question {number} please"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rounds_begin_under_a_crowd_and_nobody_misses_one() {
    let rounds = 800;
    let stage = Stage::with(&format!(
        "{{ lanes: {{ main: {{ repeat: {rounds} }} }}, turns: [{{ response: {{ content: a }} }}] }}"
    ))
    .await;
    let url = format!("{}/v1/chat/completions", stage.server.url());
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (http, url) = (stage.client.clone(), url.clone());
        clients.spawn(async move {
            let mut statuses = BTreeSet::new();
            for _ in 0..rounds / CLIENTS {
                let answer = http.post(&url).json(&asking("hi")).send().await.unwrap();
                statuses.insert(answer.status().as_u16());
            }
            statuses
        });
    }
    for statuses in clients.join_all().await {
        assert_eq!(statuses, BTreeSet::from([200]));
    }
    assert!(stage.server.llm().unsaid().is_empty());
    stage.refused(422, &asking("hi")).await;
}
