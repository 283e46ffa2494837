//! What a conversation is, in the shapes in which clients were seen to send it.

use serde_json::{Value, json};

use super::stage::{Stage, following};

const REMINDER: &str = "<system-reminder>\nToday is Monday.\n</system-reminder>";

fn user(content: impl Into<Value>) -> Value {
    json!({"role": "user", "content": content.into()})
}

fn call(id: &str, tool: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": tool, "arguments": "{}"}})
}

/// The one turn answers the conversation, as its second answer.
#[track_caller]
fn check(matches: &str, messages: &Value) {
    let script = format!("[{{ match: {matches}, response: {{ content: yes }} }}]");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let answered = runtime.block_on(async {
        let stage = Stage::with(&script).await;
        let (status, answer) = stage.ask(&following(messages)).await;
        stage.server.join().await.unwrap();
        (status == 200).then_some(()).ok_or(answer)
    });
    answered.unwrap_or_else(|answer| panic!("{answer:#}"));
}

#[test]
fn reminders_after_within_and_around_the_question_are_not_the_question() {
    let only = "{ user: /^say hello$/ }";
    check(only, &json!([user("say hello"), user(REMINDER)]));
    check(
        only,
        &json!([user(format!("say hello\n\n{REMINDER}\n\n{REMINDER}"))]),
    );
    check(
        only,
        &json!([user(json!([
            {"type": "text", "text": "say hello"},
            {"type": "text", "text": REMINDER},
        ]))]),
    );
}

#[test]
fn questions_that_a_client_has_joined_are_all_found() {
    let joined = format!("first\n\n{REMINDER}\n\nsecond");
    for piece in ["first", "second", "/^first\\n\\nsecond$/"] {
        check(&format!("{{ user: {piece:?} }}"), &json!([user(&*joined)]));
    }
    let parts = json!([{"type": "text", "text": "first"}, {"type": "text", "text": "second"}]);
    check("{ user: \"/^first\\\\nsecond$/\" }", &json!([user(parts)]));
}

#[test]
fn what_a_client_has_heard_of_a_broken_answer_does_not_count_as_one() {
    let broken = json!([
        user("list and tell"),
        {"role": "assistant", "tool_calls": [call("bash_0", "bash")]},
        {"role": "tool", "tool_call_id": "bash_0", "content": "a.md"},
        user(REMINDER),
        {"role": "assistant", "content": "There is a fi", "reasoning_content": ""},
    ]);
    check(
        "{ turn: 2, user: list, tool_result: { name: bash, text: a.md } }",
        &broken,
    );
}

#[test]
fn parallel_calls_are_a_set() {
    let mixed = json!([
        user("go"),
        {"role": "assistant", "content": null, "tool_calls": [
            call("Bash_6", "bash"), call("Write_7", "write_file"), call("NoSuch_5", "no_such"),
        ]},
        {"role": "tool", "tool_call_id": "NoSuch_5", "content": "error: no such tool"},
        {"role": "tool", "tool_call_id": "Write_7", "content": [
            {"type": "text", "text": "<system>File written.</system>"},
            {"type": "text", "text": "16 bytes"},
        ]},
        {"role": "tool", "tool_call_id": "Bash_6", "content": "ok"},
    ]);
    for matches in [
        "{ tool_result: { name: write_file, text: 16 bytes, ok: true } }",
        "{ tool_result: { name: bash, ok: true } }",
        "{ tool_result: { name: no_such, ok: false } }",
        "{ tool_result: { call: 'NoSuch:5', ok: false } }",
    ] {
        check(matches, &mixed);
    }
}
