//! What Anthropic's server would refuse, and in which words; and what it takes.

use serde_json::{Value, json};

use crate::llm::dialect::anthropic::answer::signature;
use crate::llm::dialect::anthropic::request::{count, read};
use crate::llm::dialect::{Complaint, Dialect};
use crate::llm::script::fault::ErrorEvent;

/// The messages as a script sees them, or why there are none.
fn verdict(body: &Value) -> Result<Vec<Value>, String> {
    let read = read(body.to_string().as_bytes());
    let read = read.and_then(|chat| chat.unfit.map_or(Ok(chat.messages), Err));
    read.map_err(|violation| violation.to_string())
}

fn with(messages: &Value) -> Value {
    json!({"model": "claude", "max_tokens": 2000, "messages": messages})
}

#[track_caller]
fn check_refused(body: &Value, expected: &str) {
    assert_eq!(verdict(body), Err(expected.to_owned()));
}

#[track_caller]
fn check_talk(messages: &Value, expected: &str) {
    check_refused(&with(messages), expected);
}

fn user(content: impl Into<Value>) -> Value {
    json!({"role": "user", "content": content.into()})
}

fn model(content: impl Into<Value>) -> Value {
    json!({"role": "assistant", "content": content.into()})
}

fn uses(id: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": "bash", "input": {"command": "ls"}})
}

fn result(id: &str) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": "a.md"})
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

#[test]
fn a_request_becomes_a_chat_request() {
    let thought = json!({"type": "thinking", "thinking": "hm", "signature": signature("hm")});
    let picture = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}});
    let mut body = with(&json!([
        user("hi"),
        model(json!([thought, text("On it."), uses("t1")])),
        user(json!([result("t1"), text("look"), picture])),
    ]));
    body["system"] = "be kind".into();
    let expected = json!([
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "On it."}],
            "tool_calls": [{"id": "t1", "type": "function",
                "function": {"name": "bash", "arguments": "{\"command\":\"ls\"}"}}],
            "reasoning_content": "hm"},
        {"role": "tool", "tool_call_id": "t1", "content": "a.md", "is_error": null},
        {"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        ]},
    ]);
    assert_eq!(Value::from(verdict(&body).unwrap()), expected);
}

#[test]
fn neighbours_of_one_role_are_one_message() {
    let messages = json!([
        user("hi"),
        user("again"),
        model(json!([uses("a")])),
        model(json!([uses("b")])),
        user(json!([result("b")])),
        user(json!([result("a"), text("there")])),
        model("Done"),
    ]);
    verdict(&with(&messages)).unwrap();
}

#[test]
fn what_must_be_there_is_missed() {
    let mut body = with(&json!([user("hi")]));
    let mut lacking = |field: &str| {
        let was = body[field].take();
        let verdict = verdict(&body).unwrap_err();
        body[field] = was;
        verdict
    };
    assert_eq!(lacking("model"), "model: Field required");
    assert_eq!(lacking("max_tokens"), "max_tokens: Field required");
    assert_eq!(lacking("messages"), "messages: Field required");
    body["max_tokens"] = Value::Null;
    assert!(count(body.to_string().as_bytes()).is_ok());
    body["max_tokens"] = 0.into();
    check_refused(
        &body,
        "max_tokens: Input should be greater than or equal to 1",
    );
}

#[test]
fn a_thought_has_a_budget_within_the_answer() {
    let mut body = with(&json!([user("hi")]));
    body["thinking"] = json!({"type": "enabled", "budget_tokens": 100});
    check_refused(
        &body,
        "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
    );
    body["thinking"]["budget_tokens"] = 2000.into();
    check_refused(
        &body,
        "`max_tokens` must be greater than `thinking.budget_tokens`.",
    );
    body["thinking"] = json!({"type": "adaptive"});
    verdict(&body).unwrap();
}

#[test]
fn a_conversation_begins_with_the_user_and_says_something() {
    check_talk(&json!([]), "messages: at least one message is required");
    check_talk(
        &json!([model("hi")]),
        "messages: first message must use the \"user\" role",
    );
    check_talk(
        &json!([{"role": "system", "content": "be kind"}]),
        "messages: Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, not \"system\" as an input message role.",
    );
    check_talk(
        &json!([user("hi"), {"role": "tool", "content": "x"}]),
        "messages.1: unknown variant `tool`, expected `user` or `assistant`",
    );
    check_talk(
        &json!([user(""), model("x")]),
        "messages.0: all messages must have non-empty content except for the optional final assistant message",
    );
    check_talk(
        &json!([user(json!([text("x"), text("")]))]),
        "messages: text content blocks must be non-empty",
    );
    check_talk(
        &json!([user(" \n")]),
        "messages: text content blocks must contain non-whitespace text",
    );
    check_talk(
        &json!([user("hi"), model("I say: ")]),
        "messages: final assistant content cannot end with trailing whitespace",
    );
    verdict(&with(&json!([user("hi"), model("")]))).unwrap();
}

#[test]
fn uses_and_results_are_paired() {
    let unanswered = "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t1. Each `tool_use` block must have a corresponding `tool_result` block in the next message.";
    let asked = [user("hi"), model(json!([uses("t1")]))];
    let then = |next: Value| json!([asked[0], asked[1], user(next)]);
    check_talk(&json!(asked), unanswered);
    check_talk(&then("go on".into()), unanswered);
    check_talk(&then(json!([text("first"), result("t1")])), unanswered);
    check_talk(
        &then(json!([result("t1"), result("t2")])),
        "messages.2.content.1: unexpected `tool_use_id` found in `tool_result` blocks: t2. Each `tool_result` block must have a corresponding `tool_use` block in the previous message.",
    );
    check_talk(
        &then(json!([result("t1"), result("t1")])),
        "messages.2.content.1: each tool_use must have a single result. Found multiple `tool_result` blocks with id: t1",
    );
    check_talk(
        &json!([user("hi"), model(json!([uses("t1"), uses("t1")]))]),
        "messages: `tool_use` ids must be unique",
    );
    check_talk(
        &json!([user("hi"), model(json!([uses("functions.bash:0")]))]),
        "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
    );
}

#[test]
fn a_thought_comes_back_as_it_was_signed() {
    let thought = json!({"type": "thinking", "thinking": "changed", "signature": signature("hm")});
    check_talk(
        &json!([user("hi"), model(json!([thought, text("x")])), user("go")]),
        "messages.1.content.0: Invalid `signature` in `thinking` block",
    );
    let unsigned = json!({"type": "thinking", "thinking": "hm"});
    check_talk(
        &json!([user("hi"), model(json!([unsigned]))]),
        "messages.1.content.0: missing field `signature`",
    );
}

#[test]
fn tools_have_names_of_their_own_and_schemas() {
    #[track_caller]
    fn check(tools: &Value, expected: &str) {
        let mut body = with(&json!([user("hi")]));
        body["tools"] = tools.clone();
        check_refused(&body, expected);
    }
    let tool = |name: &str| json!({"name": name, "input_schema": {"type": "object"}});
    check(
        &json!([tool("a.b")]),
        "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
    );
    check(
        &json!([tool("a"), tool("a")]),
        "tools: Tool names must be unique.",
    );
    check(
        &json!([tool("a"), {"name": "b"}]),
        "tools.1.custom.input_schema: Field required",
    );
}

#[test]
fn an_error_within_a_stream_is_an_event_of_its_own() {
    let frame = Dialect::Anthropic.stream_error(None, ErrorEvent::Error, Complaint::default(), 7);
    let text = str::from_utf8(&frame.bytes).unwrap();
    let expected = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"},\"request_id\":\"req_01";
    assert!(text.starts_with(expected), "{text}");
}
