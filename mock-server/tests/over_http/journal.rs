//! What is written down about a conversation.

use serde_json::{Value, json};

use super::stage::{Stage, asking, following};

#[tokio::test]
async fn a_request_and_its_reply_are_written_down_in_full() {
    let stage = Stage::with("[{ id: done, response: { content: Well done. } }]").await;
    stage.server.journal().hide("sk-live-1");
    let mut body = following(&json!([
        {"role": "system", "content": "You are Kai."},
        {"role": "user", "content": "list, with sk-live-1"},
        {"role": "assistant", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": "{}"}},
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": "a.md"},
    ]));
    body["prompt_cache_key"] = "session-1".into();
    stage.hear(&body).await;

    let entries = stage.server.journal().entries();
    let written: Vec<_> = entries
        .iter()
        .map(|entry| json!({ &*entry.event: entry.fields }))
        .collect();
    insta::assert_json_snapshot!(Value::from(written));
}

#[tokio::test]
async fn a_request_is_told_with_the_path_that_was_asked() {
    let stage = Stage::with("[{ times: any, response: { content: hi } }]").await;
    let paths = [
        "/v1/chat/completions",
        "/openai/v1/chat/completions",
        "/moonshot/v1/chat/completions",
        "/api/v1/chat/completions",
        "/openai/v1/responses",
        "/anthropic/v1/messages",
    ];
    for path in paths {
        let mut body = asking("hi");
        if path.ends_with("/messages") {
            body = json!({ "model": "claude", "max_tokens": 9, "messages": body["messages"] });
        } else if path.ends_with("/responses") {
            body = json!({ "model": "gpt-5", "input": "hi" });
        }
        let asked = stage.post(path).header("anthropic-version", "2023-06-01");
        let response = asked.json(&body).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{path}");
    }
    let told: Vec<_> = stage
        .told("llm.request")
        .into_iter()
        .map(|entry| entry["path"].clone())
        .collect();
    assert_eq!(told, paths);
}
