//! Anthropic's Messages, as its clients see them.

use serde_json::{Value, json};

use super::stage::Stage;

const SCRIPT: &str = r#"
- id: upload
  match: report the outage
  response:
    reasoning: They want a file.
    content: I will save it.
    tool_calls: [{ name: write_file, arguments: { path: report.md } }]
- id: failed
  match: { tool_result: { name: write_file, ok: false } }
  response: { content: "Cannot save {{ tool.write_file.path }}." }
- id: saved
  match: { tool_result: { name: write_file, ok: true }, system: You are Kai }
  response: { content: "Saved {{ tool.write_file.path }}." }
"#;

/// A request as a client sends it.
fn following(messages: &Value) -> Value {
    let tool = |name: &str| json!({"name": name, "input_schema": {"type": "object"}});
    json!({
        "model": "claude-opus-5-5",
        "max_tokens": 1024,
        "system": [{"type": "text", "text": "You are Kai."}],
        "messages": messages,
        "tools": [tool("bash"), tool("write_file")],
    })
}

fn asking(user: &str) -> Value {
    following(&json!([{"role": "user", "content": user}]))
}

fn post(stage: &Stage, path: &str) -> reqwest::RequestBuilder {
    let request = stage.post(path).header("x-api-key", "sk-ant-1");
    request.header("anthropic-version", "2023-06-01")
}

async fn ask(stage: &Stage, body: &Value) -> (u16, Value) {
    let request = post(stage, "/v1/messages").json(body).send();
    let response = request.await.unwrap();
    let id = response.headers()["request-id"].to_str().unwrap();
    assert!(id.starts_with("req_"), "{id}");
    let id = id.to_owned();
    let (status, body) = (response.status().as_u16(), response.json::<Value>());
    let body = body.await.unwrap();
    assert!(status == 200 || body["request_id"] == id, "{body}");
    (status, body)
}

async fn hear(stage: &Stage, body: &Value) -> String {
    let (status, answer) = ask(stage, body).await;
    assert_eq!(status, 200, "{answer:#}");
    answer["content"][0]["text"].as_str().unwrap().to_owned()
}

/// The conversation after the answer, with a result of its call.
fn answered(answer: &Value, result: Value) -> Value {
    let mut block = result;
    block["type"] = "tool_result".into();
    let content = answer["content"].as_array().unwrap();
    block["tool_use_id"] = content.last().unwrap()["id"].clone();
    following(&json!([
        {"role": "user", "content": "report the outage"},
        {"role": "assistant", "content": content},
        {"role": "user", "content": [block]},
    ]))
}

#[tokio::test]
async fn a_tool_is_used_and_its_result_answered() {
    let stage = Stage::with(SCRIPT).await;
    let (status, answer) = ask(&stage, &asking("please report the outage")).await;
    assert_eq!(status, 200);
    insta::assert_json_snapshot!(answer);

    let failed = answered(&answer, json!({"content": "disk full", "is_error": true}));
    assert_eq!(hear(&stage, &failed).await, "Cannot save report.md.");
    let parts = json!([{"type": "text", "text": "wrote 8 bytes"}]);
    let saved = answered(&answer, json!({ "content": parts }));
    assert_eq!(hear(&stage, &saved).await, "Saved report.md.");

    assert!(stage.server.llm().unsaid().is_empty());
    assert!(stage.server.unexpected().is_empty());
}

#[tokio::test]
async fn a_stream_is_made_of_named_events() {
    let script = r#"
- response:
    reasoning: The user greets.
    content: Hello there.
    tool_calls:
      - { name: bash, arguments: { command: "ls -la" } }
      - { name: bash, arguments: "" }
    usage: { prompt_tokens: 100, completion_tokens: 7, cached_tokens: 90 }
  stream: { chunk: 8, arguments: 12 }
"#;
    let stage = Stage::with(script).await;
    let mut body = asking("hi");
    body["stream"] = true.into();
    let request = post(&stage, "/anthropic/v1/messages").json(&body);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    insta::assert_snapshot!(response.text().await.unwrap());
}

#[tokio::test]
async fn the_model_stops_for_a_reason() {
    for (reason, told) in [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("content_filter", "refusal"),
        ("tool_calls", "tool_use"),
    ] {
        let script = format!("[{{ response: {{ content: x, finish_reason: {reason} }} }}]");
        let stage = Stage::with(&script).await;
        let (_, answer) = ask(&stage, &asking("hi")).await;
        assert_eq!(answer["stop_reason"], told);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_is_an_error_in_the_stream() {
    let stage = Stage::with("[{ response: { content: x, finish_reason: error } }]").await;
    let mut body = asking("hi");
    body["stream"] = true.into();
    let request = post(&stage, "/v1/messages").json(&body).send();
    let text = request.await.unwrap().text().await.unwrap();
    let last = text.trim_end().rsplit("\n\n").next().unwrap();
    assert!(
        last.starts_with(
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\""
        ),
        "{text}"
    );
}

#[tokio::test]
async fn broken_arguments_are_wrapped_in_a_document_and_sent_as_they_are_in_a_stream() {
    let script = "[{ times: any, response: { tool_calls: [{ name: bash, arguments: '{oops' }] } }]";
    let stage = Stage::with(script).await;
    let mut body = asking("hi");
    let (_, answer) = ask(&stage, &body).await;
    assert_eq!(
        answer["content"][0]["input"],
        json!({"INVALID_JSON": "{oops"})
    );
    body["stream"] = true.into();
    let request = post(&stage, "/v1/messages").json(&body).send();
    let text = request.await.unwrap().text().await.unwrap();
    assert!(text.contains(r#""partial_json":"{oops"}"#), "{text}");
}

#[tokio::test]
async fn nobody_scripted_this_is_said_in_the_error() {
    let stage = Stage::with(SCRIPT).await;
    let (status, error) = ask(&stage, &asking("what else?")).await;
    assert_eq!(status, 422);
    assert_eq!(error["type"], "error");
    assert_eq!(error["error"]["type"], "invalid_request_error");
    let message = error["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("no scripted turn answers request 1"),
        "{message}"
    );
    assert_eq!(stage.server.unexpected().len(), 1);
}

#[tokio::test]
async fn tokens_are_counted_by_the_same_rule_as_usage() {
    let stage = Stage::with("[{ response: { content: ok } }]").await;
    let mut body = asking("twelve bytes");
    let (_, answer) = ask(&stage, &body).await;
    body.as_object_mut().unwrap().remove("max_tokens");
    let counting = post(&stage, "/v1/messages/count_tokens").json(&body).send();
    let counted: Value = counting.await.unwrap().json().await.unwrap();
    assert_eq!(counted, json!({"input_tokens": 6}));
    assert_eq!(answer["usage"]["input_tokens"], 6);
    assert!(stage.events().contains(&"llm.count_tokens".to_owned()));
}

#[tokio::test]
async fn models_are_listed_in_the_shape_of_who_is_asked() {
    let stage = Stage::with("[]").await;
    let request = stage
        .get("/v1/models")
        .header("anthropic-version", "2023-06-01");
    let list: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(list["data"][0]["type"], "model");
    assert_eq!(list["has_more"], false);
    let others = stage.get("/v1/models").send().await.unwrap();
    assert_eq!(others.json::<Value>().await.unwrap()["object"], "list");
}

#[tokio::test]
async fn a_request_says_the_version_of_the_protocol() {
    let stage = Stage::with("[]").await;
    let request = stage.post("/v1/messages").header("x-api-key", "k");
    let response = request.json(&asking("hi")).send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert!(response.headers().contains_key("request-id"));
    let error: Value = response.json().await.unwrap();
    assert_eq!(
        error["error"]["message"],
        "anthropic-version: header is required"
    );
    assert_eq!(stage.server.unexpected().len(), 1);
}

#[tokio::test]
async fn too_long_a_request_is_refused_in_the_services_words() {
    let stage = Stage::with("[]").await;
    let request = post(&stage, "/v1/messages").body(vec![b' '; (32 << 20) + 1]);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 413);
    let error: Value = response.json().await.unwrap();
    assert_eq!(error["error"]["type"], "request_too_large");
}
