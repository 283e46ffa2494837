//! Answers as streams of frames, in each dialect.

use serde_json::{Value, json};

use super::stage::{Stage, asking};

const SCRIPT: &str = r#"
- times: any
  response:
    reasoning: The user greets.
    content: Hello there.
    tool_calls:
      - { name: bash, arguments: { command: "ls -la" } }
      - { name: write_file, arguments: { path: a.md } }
  stream: { chunk: 8, arguments: 12 }
"#;

async fn frames(path: &str) -> String {
    let stage = Stage::with(SCRIPT).await;
    let mut body = asking("hi");
    body["stream"] = true.into();
    body["stream_options"] = json!({"include_usage": true});
    let request = stage.post(&format!("{path}/chat/completions")).json(&body);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response.text().await.unwrap()
}

#[tokio::test]
async fn openai_sends_the_role_first_and_the_usage_alone() {
    insta::assert_snapshot!(frames("/v1").await);
}

#[tokio::test]
async fn openrouter_sends_comments_and_the_usage_with_the_last_choice() {
    insta::assert_snapshot!(frames("/api/v1").await);
}

#[tokio::test]
async fn moonshot_sends_the_usage_within_the_choice() {
    insta::assert_snapshot!(frames("/coding/v1").await);
}

#[tokio::test]
async fn usage_is_sent_only_to_who_asks() {
    let stage = Stage::with("[{ response: { content: hi } }]").await;
    let mut body = asking("hi");
    body["stream"] = true.into();
    let text = stage
        .post("/v1/chat/completions")
        .json(&body)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(!text.contains("usage"), "{text}");
}

#[tokio::test]
async fn openrouter_names_the_generation() {
    let stage = Stage::with("[{ response: { content: hi } }]").await;
    let response = stage
        .post("/api/v1/chat/completions")
        .json(&asking("hi"))
        .send()
        .await
        .unwrap();
    let named = response.headers()["x-generation-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let body: Value = response.json().await.unwrap();
    assert!(named.starts_with("gen-1767603600-"), "{named}");
    assert_eq!(body["id"], named);
}

/// The chunks of a stream that tell the usage, in short: where it stands.
async fn places_of_usage(path: &str, usage: &str) -> Vec<&'static str> {
    let stage = Stage::with(&format!(
        "[{{ response: {{ content: hi }}, stream: {{ usage: {usage} }} }}]"
    ))
    .await;
    let mut body = asking("hi");
    body["stream"] = true.into();
    let request = stage.post(&format!("{path}/chat/completions")).json(&body);
    let text = request.send().await.unwrap().text().await.unwrap();
    let frames = text.lines().filter_map(|line| line.strip_prefix("data: {"));
    let told = frames.filter_map(|frame| {
        let frame: Value = serde_json::from_str(&format!("{{{frame}")).unwrap();
        let choice = frame["choices"].get(0);
        let in_choice = choice.is_some_and(|choice| choice["usage"].is_object());
        match (frame["usage"].is_object(), in_choice, choice) {
            (false, true, _) => Some("choice"),
            (true, false, Some(_)) => Some("last"),
            (true, false, None) => Some("final"),
            (false, false, _) => None,
            (true, true, _) => Some("twice"),
        }
    });
    told.collect()
}

#[tokio::test]
async fn usage_stands_where_the_script_wants_it_in_every_dialect() {
    for path in ["/v1", "/api/v1", "/coding/v1"] {
        for place in ["choice", "last", "final"] {
            assert_eq!(places_of_usage(path, place).await, [place], "{path}");
        }
        assert!(places_of_usage(path, "none").await.is_empty(), "{path}");
    }
}
