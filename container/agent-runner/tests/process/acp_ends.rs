//! Agents that fail, hang, are told to stop or are killed.

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::json;
use tokio::time::timeout;

use crate::double::{Double, heard};
use crate::kills::Lives;
use crate::stage::{PATIENCE, Running, Stage, ask};

/// The turn fails, and says why.
async fn check_fails(agent: Double, (kind, retryable): (&str, bool), message: &str) {
    let stage = Stage::for_agent(&agent).with("NANOKIMI_LLM_STALL_TIMEOUT", "1s");
    let told = stage.ask("hi").await;
    let error = told.error();
    assert_eq!(error["kind"], kind, "{told:#?}");
    assert_eq!(error["retryable"], retryable, "{told:#?}");
    assert!(
        error["message"].as_str().unwrap().contains(message),
        "{told:#?}"
    );
    assert_eq!(told.answers(), [""; 0], "nothing is delivered");
}

#[tokio::test]
async fn a_program_that_says_it_is_no_longer_maintained_has_failed() {
    let tombstone = Double::silent().prints("kimi-cli is no longer maintained.");
    check_fails(
        tombstone,
        ("protocol", false),
        "without a word of the Agent Client Protocol (exit code 0",
    )
    .await;
    let missing = Double::silent().runs("exec 2>&1; exit 127");
    check_fails(
        missing,
        ("config", false),
        "cannot be started (exit code 127",
    )
    .await;
}

#[tokio::test]
async fn an_agent_that_ends_in_the_middle_has_failed() {
    let crash = Double::asked()
        .writes("Half")
        .runs("echo out of memory >&2; exit 3");
    check_fails(
        crash,
        ("upstream", true),
        "(exit code 3; its last words: out of memory)",
    )
    .await;
    let killed = Double::asked().runs("kill -9 $$");
    check_fails(killed, ("upstream", true), "(exit code 137)").await;
}

#[tokio::test]
async fn a_refusal_is_told_by_what_can_be_done_about_it() {
    let new = || Double::greeted().hears("session/new");
    let login = new().refuses(2, -32000, "Authentication required");
    check_fails(
        login,
        ("config", false),
        "put OPENROUTER_API_KEY or MOONSHOT_API_KEY into",
    )
    .await;
    let auth = Double::asked().refuses(3, -32000, "Authentication required: 401 Invalid");
    check_fails(auth, ("auth", false), "401 Invalid").await;
    let internal = Double::asked().refuses(3, -32603, "Internal error");
    check_fails(internal, ("upstream", true), "Internal error").await;
    let strange = new().answers(2, &json!({"session": 1}));
    check_fails(
        strange,
        ("protocol", false),
        "is not one of the Agent Client Protocol",
    )
    .await;
    let newer = Double::silent()
        .hears("initialize")
        .answers(1, &json!({"protocolVersion": 2}));
    check_fails(newer, ("protocol", false), "speaks version 2").await;
}

#[tokio::test]
async fn a_turn_that_only_seems_to_end_well_has_failed() {
    check_fails(
        Double::asked().ends("end_turn"),
        ("upstream", true),
        "without a word",
    )
    .await;
    check_fails(
        Double::asked().ends("refusal"),
        ("content_filter", false),
        "refused to answer",
    )
    .await;
    check_fails(
        Double::asked().ends("max_turn_requests"),
        ("too_many_steps", false),
        "limit",
    )
    .await;
    let error = json!({"code": "provider.rate_limit", "message": "429 slow down", "details": {"statusCode": 429}});
    let limited = Double::asked()
        .writes("Half an ans")
        .logs(&json!({"type": "turn.ended", "reason": "failed", "error": error}))
        .ends("end_turn");
    check_fails(limited, ("rate_limit", true), "429 slow down").await;
}

#[tokio::test]
async fn an_agent_that_says_nothing_of_use_is_not_waited_for() {
    // Until its stdin ends.
    const FOR_EVER: &str = "cat >>heard";
    let hung = Double::asked().writes("Half").runs(FOR_EVER);
    check_fails(
        hung,
        ("stalled", true),
        "nothing of use for 1s while we waited for `session/prompt`",
    )
    .await;
    let deaf = Double::silent().runs(FOR_EVER);
    check_fails(deaf, ("stalled", true), "`initialize`").await;
    let noisy = Double::asked().runs("while ! read -t 0.1; do echo still here; done; cat >>heard");
    check_fails(noisy, ("stalled", true), "`session/prompt`").await;
}

#[tokio::test]
async fn a_tool_may_run_for_longer_than_a_model_may_be_silent() {
    let tool = json!({"sessionUpdate": "tool_call", "toolCallId": "t", "title": "Bash", "rawInput": {"command": "make"}});
    let done =
        json!({"sessionUpdate": "tool_call_update", "toolCallId": "t", "status": "completed"});
    let agent = Double::asked()
        .tells(&tool)
        .runs("read -t 1")
        .tells(&done)
        .writes("Made.")
        .ends("end_turn");
    let stage = Stage::for_agent(&agent).with("NANOKIMI_LLM_STALL_TIMEOUT", "500ms");
    let told = stage.ask("hi").await;
    assert_eq!(told.answers(), ["Made."], "{told:#?}");
}

fn pid(turn: &Running) -> Pid {
    let id = turn.child.id().unwrap();
    Pid::from_raw(id.cast_signed()).unwrap()
}

#[tokio::test]
async fn an_agent_is_told_to_give_up_when_we_are() {
    let agent = Double::asked().hears("session/cancel").ends("cancelled");
    let stage = Stage::for_agent(&agent);
    let mut turn = stage.start(&ask("hi", None)).await;
    turn.until("session").await;

    kill_process(pid(&turn), Signal::TERM).unwrap();

    let error = turn.until("error").await;
    assert_eq!(error["message"], "we were told to stop");
    let ended = timeout(PATIENCE, turn.child.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(1));
    assert_eq!(heard(&stage)[3]["method"], "session/cancel");
}

/// Waits for ever with children everywhere, and does not end with its stdin.
fn stubborn() -> Double {
    let command = Lives::COMMAND;
    Double::asked().runs(&format!("cd group; {command}; wait"))
}

#[tokio::test]
async fn nothing_of_an_agent_survives_the_turn() {
    let command = Lives::COMMAND;
    let agent = Double::asked()
        .runs(&format!("(cd group; {command})"))
        .writes("Done.")
        .ends("end_turn");
    let stage = Stage::for_agent(&agent);
    let mut lives = Lives::watch(&stage);
    let told = stage.ask("hi").await;
    assert_eq!(told.answers(), ["Done."], "{told:#?}");
    lives.hear("up").await;
    lives.hear("all dead").await;
}

async fn check_killed(kill: impl FnOnce(Pid) -> rustix::io::Result<()>) {
    let stage = Stage::for_agent(&stubborn());
    let mut lives = Lives::watch(&stage);
    let turn = stage.start(&ask("hi", None)).await;
    lives.hear("up").await;
    kill(pid(&turn)).unwrap();
    lives.hear("all dead").await;
}

#[tokio::test]
async fn nothing_of_an_agent_survives_a_killed_turn() {
    check_killed(|turn| kill_process(turn, Signal::KILL)).await;
    check_killed(|turn| kill_process(turn, Signal::TERM)).await;
    check_killed(|turn| kill_process_group(turn, Signal::KILL)).await;
}
