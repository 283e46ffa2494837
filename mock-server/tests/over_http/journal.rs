//! What is written down about a conversation.

use serde_json::{Value, json};

use super::stage::{Stage, following};

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
