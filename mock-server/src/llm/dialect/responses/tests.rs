//! What the server of Responses would refuse, and in which words; and what it takes.

use serde_json::{Value, json};

use crate::llm::dialect::responses::{Conversations, read};
use crate::llm::dialect::{Complaint, Dialect};
use crate::llm::script::fault::ErrorEvent;

/// The messages as a script sees them, or why there are none.
fn verdict(body: &Value) -> Result<Value, String> {
    let read = read(body.to_string().as_bytes(), &Conversations::default());
    let read = read.and_then(|chat| chat.unfit.map_or(Ok(chat.messages.into()), Err));
    read.map_err(|violation| violation.to_string())
}

#[track_caller]
fn check(input: &Value, messages: &Value) {
    let verdict = verdict(&json!({"model": "gpt", "input": input}));
    assert_eq!(verdict.as_ref(), Ok(messages));
}

#[track_caller]
fn check_refused(body: &Value, expected: &str) {
    assert_eq!(verdict(body), Err(expected.to_owned()));
}

#[track_caller]
fn check_talk(input: &Value, expected: &str) {
    check_refused(&json!({"model": "gpt", "input": input}), expected);
}

fn text(text: &str) -> Value {
    json!([{"type": "text", "text": text}])
}

fn call(id: &str) -> Value {
    json!({"type": "function_call", "call_id": id, "name": "bash", "arguments": "{}"})
}

fn output(id: &str) -> Value {
    json!({"type": "function_call_output", "call_id": id, "output": "done"})
}

fn called(id: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": "bash", "arguments": "{}"}})
}

fn answered(id: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": "done"})
}

#[test]
fn an_input_is_a_text_or_messages_of_texts_and_parts() {
    let hi = json!([{"role": "user", "content": text("hi")}]);
    check(&json!("hi"), &hi);
    check(&json!([{"role": "user", "content": "hi"}]), &hi);
    let part = json!({"type": "input_text", "text": "hi"});
    check(
        &json!([{"type": "message", "role": "user", "content": [part]}]),
        &hi,
    );
    let picture = json!({"type": "input_image", "image_url": "data:x"});
    check(
        &json!([{"role": "developer", "content": "be kind"}, {"role": "user", "content": [picture]}]),
        &json!([
            {"role": "developer", "content": text("be kind")},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]},
        ]),
    );
}

#[test]
fn what_the_model_said_in_one_go_is_one_message() {
    let thought = json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]});
    let said = json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "On it."}]});
    check(
        &json!([
            thought,
            said,
            call("a"),
            call("b"),
            output("b"),
            output("a"),
            call("c"),
            output("c")
        ]),
        &json!([
            {"role": "assistant", "reasoning_content": "hm", "content": text("On it."),
                "tool_calls": [called("a"), called("b")]},
            answered("b"),
            answered("a"),
            {"role": "assistant", "tool_calls": [called("c")]},
            answered("c"),
        ]),
    );
}

#[test]
fn a_free_form_tool_is_called_with_its_input() {
    let patch = json!({"type": "custom_tool_call", "call_id": "p", "name": "apply_patch", "input": "*** Begin"});
    let done = json!({"type": "custom_tool_call_output", "call_id": "p", "output": "done"});
    let arguments = r#"{"input":"*** Begin"}"#;
    check(
        &json!([patch, done]),
        &json!([
            {"role": "assistant", "tool_calls": [{"id": "p", "type": "function",
                "function": {"name": "apply_patch", "arguments": arguments}}]},
            answered("p"),
        ]),
    );
}

#[test]
fn instructions_come_before_everything() {
    let body = json!({"model": "gpt", "instructions": "be kind", "input": "hi"});
    let messages = verdict(&body).unwrap();
    assert_eq!(messages[0], json!({"role": "system", "content": "be kind"}));
}

#[test]
fn what_must_be_there_is_missed() {
    check_refused(
        &json!({"input": "hi"}),
        "Missing required parameter: 'model'.",
    );
    check_refused(
        &json!({"model": "gpt"}),
        "Missing required parameter: 'input'.",
    );
    check_refused(
        &json!({"model": "gpt", "input": "hi", "tools": [
            {"type": "web_search"},
            {"type": "function", "function": {"name": "bash"}},
        ]}),
        "Missing required parameter: 'tools[1].name'.",
    );
}

#[test]
fn calls_and_outputs_are_paired() {
    check_talk(
        &json!([call("a")]),
        "No tool output found for function call a.",
    );
    check_talk(
        &json!([output("a")]),
        "No tool call found for function call output with call_id a.",
    );
    let twice = json!({"id": "msg_1", "role": "user", "content": "hi"});
    check_talk(
        &json!([twice, twice]),
        "Duplicate item found with id msg_1. Remove duplicate items from your input and try again.",
    );
    check_talk(
        &json!([{"type": "item_reference", "id": "msg_9"}]),
        "Item with id 'msg_9' not found.",
    );
    check_talk(
        &json!([{"role": "robot", "content": "hi"}]),
        "input[0]: unknown variant `robot`, expected one of `user`, `assistant`, `system`, `developer`",
    );
}

#[test]
fn an_error_within_a_stream_is_an_event_of_its_own() {
    let complaint = Complaint {
        kind: Some("rate_limit_exceeded"),
        message: None,
    };
    let frame = Dialect::Responses.stream_error(None, ErrorEvent::Error, complaint, 7);
    let text = str::from_utf8(&frame.bytes).unwrap();
    let expected = "event: error\ndata: {\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"Rate limit";
    assert!(text.starts_with(expected), "{text}");
}
