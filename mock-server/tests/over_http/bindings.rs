//! What an answer takes over from the results of calls that were made before.

use serde_json::{Value, json};

use super::stage::{Stage, following};

const UPLOAD: &str = r#"
- id: upload
  match: { turn: 1 }
  response:
    tool_calls:
      - { name: write_file, arguments: { path: report.md } }
      - { name: bash, arguments: { command: curl }, id: "put:1" }
- match: { turn: 2, tool_result: { call: upload, pointer: /file/id, text: "/^f-/" } }
  response:
    content: "Stored as {{ result('upload', '/file/id') }}, {{ result('put:1') }}."
    tool_calls:
      - name: bash
        arguments: { command: "share {{ result('upload#1', '/file/id') }}", again: "{{ result('upload#2') }}" }
"#;

/// A client that sends calls back with their ids rewritten, in another order.
fn history(calls: &[Value], rewrite: fn(&str) -> String, results: &[&str]) -> Value {
    let id = |call: &Value| rewrite(call["id"].as_str().unwrap());
    let mut messages = vec![json!({"role": "user", "content": "report"})];
    let called = calls.iter().rev().map(|call| {
        let mut call = call.clone();
        call["id"] = id(&call).into();
        call
    });
    messages.push(json!({"role": "assistant", "tool_calls": called.collect::<Value>()}));
    let answered = calls
        .iter()
        .zip(results)
        .map(|(call, result)| json!({"role": "tool", "tool_call_id": id(call), "content": result}));
    messages.extend(answered);
    following(&messages.into())
}

/// What the model says and calls after the results came.
async fn answered(path: &str, rewrite: fn(&str) -> String, results: &[&str]) -> (u16, Value) {
    let stage = Stage::with(UPLOAD).await;
    let ask = async |body: &Value| {
        let request = stage.post(&format!("{path}/chat/completions")).json(body);
        let response = request.send().await.unwrap();
        (
            response.status().as_u16(),
            response.json::<Value>().await.unwrap(),
        )
    };
    let (_, first) = ask(&following(&json!([{"role": "user", "content": "report"}]))).await;
    let calls = first["choices"][0]["message"]["tool_calls"].clone();
    ask(&history(calls.as_array().unwrap(), rewrite, results)).await
}

/// In each dialect, since each names calls its own way.
async fn check(rewrite: fn(&str) -> String) {
    for path in ["/v1", "/api/v1", "/coding/v1"] {
        let file = "Wall time: 0.1 seconds\n{\"file\": {\"id\": \"f-7\"}}";
        let (status, answer) = answered(path, rewrite, &[file, "201"]).await;
        assert_eq!(status, 200, "{path}: {answer:#}");
        let message = &answer["choices"][0]["message"];
        assert_eq!(message["content"], "Stored as f-7, 201.");
        let arguments = &message["tool_calls"][0]["function"]["arguments"];
        assert_eq!(arguments, r#"{"command":"share f-7","again":"201"}"#);
    }
}

#[tokio::test]
async fn a_result_is_found_by_call_turn_and_pointer() {
    check(str::to_owned).await;
}

#[tokio::test]
async fn a_result_is_found_after_the_client_has_rewritten_the_ids() {
    check(|id| id.replace([':', '.', '-'], "_")).await;
    check(|id| format!("{}__2", id.replace(':', "_"))).await;
}

#[tokio::test]
async fn a_result_that_is_missing_is_told() {
    let stage =
        Stage::with(r#"[{ id: x, response: { content: "{{ result('upload') }}" } }]"#).await;
    let (status, answer) = stage
        .ask(&following(&json!([{"role": "user", "content": "hi"}])))
        .await;
    let told = answer["error"]["message"].as_str().unwrap();
    assert_eq!(status, 422);
    assert!(
        told.ends_with("no call `upload` has a result; the conversation holds none"),
        "{told}"
    );

    let (status, answer) = answered("/v1", str::to_owned, &[r#"{"file": {"id": 7}}"#, "201"]).await;
    let told = answer["error"]["message"].as_str().unwrap();
    assert_eq!(status, 422);
    let why = "turn-2: tool_result of `write_file` at `/file/id` does not match /^f-/";
    assert!(told.contains(why), "{told}");
}

#[tokio::test]
async fn a_pointer_to_nothing_is_told_with_what_is_there() {
    let script = r#"[{ response: { content: "{{ result('bash', '/id') }}" } }]"#;
    let stage = Stage::with(script).await;
    let request = |result: &str| {
        following(&json!([
            {"role": "user", "content": "go"},
            {"role": "assistant", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": result},
        ]))
    };
    let told = stage.refused(422, &request(r#"{"name": 1}"#)).await;
    assert!(
        told.ends_with(r#"the result of `bash` has nothing at `/id`: {"name": 1}"#),
        "{told}"
    );
    let told = stage.refused(422, &request("all done")).await;
    assert!(
        told.ends_with(r#"the result of `bash` is no JSON: "all done""#),
        "{told}"
    );
    assert_eq!(stage.hear(&request(r#"{"id": 12}"#)).await, "12");
}

const TWO: &str = r#"
- id: draft
  match: draft it
  response: { tool_calls: [{ name: bash, arguments: { command: draft } }] }
- id: upload
  match: upload it
  response: { tool_calls: [{ name: bash, arguments: { command: upload } }] }
- match: { tool_result: { call: draft } }
  response: { content: "drafted: {{ result('draft') }}" }
- match: { tool_result: { call: upload } }
  response: { content: "uploaded: {{ result('upload') }}" }
"#;

#[tokio::test]
async fn a_turn_is_not_taken_for_that_of_another_conversation_with_the_same_ids() {
    let stage = Stage::with(TWO).await;
    let ask = async |messages: &Value| {
        let request = stage.post("/coding/v1/chat/completions");
        let (status, answer) = stage.json(request.json(&following(messages))).await;
        assert_eq!(status, 200, "{answer:#}");
        answer["choices"][0]["message"].clone()
    };
    let mut conversations = Vec::new();
    for text in ["draft it", "upload it"] {
        let user = json!({"role": "user", "content": text});
        let called = ask(&json!([user])).await;
        conversations.push((user, called));
    }
    let ids = conversations
        .iter()
        .map(|(_, called)| &called["tool_calls"][0]["id"]);
    assert_eq!(ids.collect::<Vec<_>>(), ["bash:0", "bash:0"]);
    for (conversation, heard) in conversations
        .iter()
        .rev()
        .zip(["uploaded: ok", "drafted: ok"])
    {
        let (user, called) = conversation;
        let result = json!({"role": "tool", "tool_call_id": "bash:0", "content": "ok"});
        assert_eq!(ask(&json!([user, called, result])).await["content"], heard);
    }
}
