//! A recording held against a mock: what is drift, and what is not.

use mock_server::{check_drift, read_scripts};
use serde_json::{Value, json};

use tokio::time::timeout;

use super::stage::{PATIENCE, Stage, mock, post, request, script};

const SERVICE: &str = r#"
- match: list
  times: any
  response:
    reasoning: The user wants a list.
    content: One moment.
    tool_calls: [{ name: bash, arguments: { command: ls } }]
- { times: any, response: { content: Hello. } }
"#;

/// Records a few exchanges with OpenRouter's dialect, and returns them line by line.
async fn recorded() -> (Stage, Vec<String>) {
    let service = mock(vec![script(SERVICE)]).await;
    let stage = Stage::before(&service.url()).await;
    let url = format!("{}/api/v1/chat/completions", stage.url);
    for (user, stream) in [("list", true), ("hello", true), ("hi", false)] {
        let messages = json!([{ "role": "user", "content": user }]);
        post(&stage.client, &url, &request(&messages, stream)).await;
    }
    let exchanges = fs_err::read_to_string(stage.exchanges()).unwrap();
    let lines = exchanges.lines().map(str::to_owned).collect();
    (stage, lines)
}

/// What is told if the recorded answers had been different in this way.
async fn drifts(change: impl Fn(&mut Value)) -> Vec<String> {
    let (stage, lines) = recorded().await;
    assert_eq!(lines.len(), 3);
    let changed = lines.iter().map(|line| {
        let mut exchange: Value = serde_json::from_str(line).unwrap();
        change(&mut exchange["response"]);
        format!("{exchange}\n")
    });
    fs_err::write(stage.exchanges(), changed.collect::<String>()).unwrap();
    let scripts = read_scripts(&stage.path()).unwrap();
    let drifts = check_drift(&stage.exchanges(), scripts).await.unwrap();
    drifts.iter().map(ToString::to_string).collect()
}

fn in_body(from: &str, to: &str) -> impl Fn(&mut Value) {
    move |response: &mut Value| {
        let body = response["body"].as_str().unwrap().replace(from, to);
        response["body"] = body.into();
    }
}

async fn check(change: impl Fn(&mut Value), expected: &[&str]) {
    assert_eq!(drifts(change).await, expected);
}

#[tokio::test]
async fn a_mock_that_answers_alike_does_not_drift() {
    check(|_| {}, &[]).await;
    check(in_body("Hello.", "Good morning, and welcome."), &[]).await;
    check(in_body("\"cost\":0.0", "\"cost\":0.0123"), &[]).await;
}

#[tokio::test]
async fn a_field_that_is_new_or_gone_or_of_another_kind_is_drift() {
    check(
        in_body("\"provider\":", "\"tier\":{\"name\":1},\"provider\":"),
        &["tier: recorded object, mock nothing (1 POST /api/v1/chat/completions, and 2 more)"],
    )
    .await;
    check(
        in_body("\"provider\":\"mock-server\",", ""),
        &["provider: recorded nothing, mock string (1 POST /api/v1/chat/completions, and 2 more)"],
    )
    .await;
    check(in_body("\"reasoning\":null", "\"reasoning\":\"\""), &[]).await;
    check(
        in_body("\"object\":\"chat.completion\"", "\"object\":7"),
        &["object: recorded number, mock string (3 POST /api/v1/chat/completions)"],
    )
    .await;
}

#[tokio::test]
async fn the_order_and_the_framing_of_a_stream_are_structure() {
    check(
        in_body("data: [DONE]\n\n", ""),
        &[
            "order of frames: recorded comment reasoning content call arguments finish usage, mock comment reasoning content call arguments finish usage [DONE] (1 POST /api/v1/chat/completions)",
            "order of frames: recorded comment content finish usage, mock comment content finish usage [DONE] (2 POST /api/v1/chat/completions)",
        ],
    )
    .await;
    check(
        in_body("\n\n", "\r\n\r\n"),
        &["framing, line ends: recorded CRLF, mock LF (1 POST /api/v1/chat/completions, and 1 more)"],
    )
    .await;
}

#[tokio::test]
async fn headers_that_clients_read_are_structure() {
    let change = |response: &mut Value| {
        let headers = response["headers"].as_object_mut().unwrap();
        headers.remove("x-generation-id");
        if headers["content-type"] == "application/json" {
            headers.insert(
                "content-type".to_owned(),
                "text/plain; charset=utf-8".into(),
            );
        }
    };
    check(
        change,
        &[
            "header x-generation-id: recorded nothing, mock present (1 POST /api/v1/chat/completions, and 2 more)",
            "header content-type: recorded text/plain, mock application/json (3 POST /api/v1/chat/completions)",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_request_that_the_mock_refuses_is_drift() {
    let (stage, _) = recorded().await;
    let drifts = check_drift(&stage.exchanges(), vec![script("[]")])
        .await
        .unwrap();
    let first = drifts[0].to_string();
    assert!(
        first.starts_with("status: recorded 200, mock 422 "),
        "{first}"
    );
}

#[tokio::test]
async fn a_file_that_is_none_of_exchanges_is_refused() {
    let (stage, _) = recorded().await;
    let refused = check_drift(&stage.path(), vec![]).await.unwrap_err();
    assert!(refused.is_of_a_file());
    assert!(
        refused
            .to_string()
            .contains("recorded.yaml:1: this is no exchange"),
        "{refused}"
    );
}

#[tokio::test]
async fn nobody_waits_at_a_gate() {
    let (stage, _) = recorded().await;
    let held = script("[{ hold: door, times: any, response: { content: Hello. } }]");
    let exchanges = stage.exchanges();
    let checked = timeout(PATIENCE, check_drift(&exchanges, vec![held]));
    checked.await.unwrap().unwrap();
}
