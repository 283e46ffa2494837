//! Agents that go on for too long or say too much, and what does not count as going on.

use serde_json::{Value, json};

use crate::double::{Double, heard};
use crate::stage::{Stage, Told};

const STALL: &str = "500ms";

async fn play(agent: &Double) -> (Stage, Told) {
    let stage = Stage::for_agent(agent).with("NANOKIMI_LLM_STALL_TIMEOUT", STALL);
    let told = stage.ask("hi").await;
    (stage, told)
}

#[track_caller]
fn check_error(told: &Told, kind: &str, message: &str) {
    let error = told.error();
    assert_eq!(error["kind"], kind, "{told:#?}");
    let text = error["message"].as_str().unwrap();
    assert!(text.contains(message), "{told:#?}");
}

/// Says a line again and again, until its stdin has something to say.
fn repeating(line: &Value) -> Double {
    Double::asked().runs(&format!(
        "while ! read -t 0.1; do printf '%s\\n' '{line}'; done; printf '%s\\n' \"$REPLY\" >>heard; cat >>heard"
    ))
}

fn update(session: &str, update: &Value) -> Value {
    let params = json!({"sessionId": session, "update": update});
    json!({"jsonrpc": "2.0", "method": "session/update", "params": params})
}

fn text(text: &str) -> Value {
    json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}})
}

fn call(id: &str) -> Value {
    json!({"sessionUpdate": "tool_call", "toolCallId": id, "title": "Bash", "rawInput": {"command": "make"}})
}

#[tokio::test]
async fn chatter_keeps_no_turn_alive() {
    let strange = json!({"jsonrpc": "2.0", "method": "_kimi/heartbeat", "params": {}});
    let unknown = update("s1", &json!({"sessionUpdate": "new_in_2027"}));
    let others = update("s2", &text("still here"));
    let answer = json!({"jsonrpc": "2.0", "id": 77, "result": null});
    let question =
        json!({"jsonrpc": "2.0", "id": "q", "method": "fs/read_text_file", "params": {}});
    for line in [strange, unknown, others, answer] {
        let (_stage, told) = play(&repeating(&line)).await;
        check_error(&told, "stalled", "nothing of use for 500ms");
    }
    let asking = Double::asked().runs(&format!(
        "while printf '%s\\n' '{question}'; do read -t 1 || exit 4; read -t 0.1; done"
    ));
    let (_stage, told) = play(&asking).await;
    check_error(&told, "stalled", "nothing of use for 500ms");
}

#[tokio::test]
async fn a_turn_that_goes_on_and_on_ends() {
    let agent = repeating(&update("s1", &text("and ")));
    let stage = Stage::for_agent(&agent).with("NANOKIMI_TURN_TIMEOUT", "1500ms");
    let told = stage.ask("hi").await;
    check_error(&told, "too_many_steps", "longer than 1.5s");
    assert_eq!(told.error()["retryable"], false);
    assert_eq!(heard(&stage)[3]["method"], "session/cancel");
}

#[tokio::test]
async fn a_call_that_never_ends_is_waited_for_only_until_the_model_speaks() {
    let agent = Double::asked()
        .tells(&call("t"))
        .writes("It runs; meanwhile")
        .runs("cat >>heard");
    let (_stage, told) = play(&agent).await;
    check_error(&told, "stalled", "nothing of use for 500ms");
}

#[tokio::test]
async fn what_is_of_another_session_is_not_told() {
    let permission = json!({"jsonrpc": "2.0", "id": "q", "method": "session/request_permission",
        "params": {"sessionId": "s2", "toolCall": {"toolCallId": "t"},
            "options": [{"optionId": "yes", "name": "yes", "kind": "allow_once"}]}});
    let agent = Double::asked()
        .says(&update("s2", &text("Not ours. ")))
        .says(&update("s2", &call("t")))
        .says(&permission)
        .hears_answer()
        .writes("Ours.")
        .ends("end_turn");
    let (stage, told) = play(&agent).await;
    assert_eq!(told.answers(), ["Ours."], "{told:#?}");
    assert_eq!(told.story(), "session text result");
    let outcome = &heard(&stage)[3]["result"]["outcome"];
    assert_eq!(outcome["outcome"], "cancelled", "{outcome}");
}

#[tokio::test]
async fn a_call_that_has_not_ended_is_no_work_done() {
    let agent = Double::asked().tells(&call("t")).ends("end_turn");
    let (_stage, told) = play(&agent).await;
    check_error(&told, "upstream", "without a word");
}

/// The agent says `line` so often that it is too much.
async fn check_too_much(times: u32, line: &Value, message: &str) {
    let agent = Double::asked().runs(&format!(
        "trap '' PIPE; for i in $(seq {times}); do line='{line}'; printf '%s\\n' \"${{line/ID/$i}}\"; done"
    ));
    let (_stage, told) = play(&agent.ends("end_turn")).await;
    check_error(&told, "protocol", message);
    assert_eq!(told.answers(), [""; 0]);
}

#[tokio::test]
async fn an_agent_that_says_too_much_is_not_listened_to() {
    let long = "x".repeat(100_000);
    check_too_much(50, &update("s1", &text(&long)), "bytes of text").await;
    let mut heavy = call("ID");
    heavy["rawInput"] = json!({"command": long});
    check_too_much(200, &update("s1", &heavy), "bytes of tool arguments").await;
    check_too_much(2500, &update("s1", &call("ID")), "tool calls").await;
}

#[tokio::test]
async fn noise_is_noted_up_to_a_limit() {
    let noise = "x".repeat(150);
    let agent = Double::asked()
        .runs(&format!("for i in $(seq 4000); do echo {noise}; done"))
        .writes("Hi.")
        .ends("end_turn");
    let (_stage, told) = play(&agent).await;
    assert_eq!(told.answers(), ["Hi."]);
    assert!(told.stderr.contains("[more is left out]"));
    assert!(told.stderr.len() < 500_000, "{} bytes", told.stderr.len());
}
