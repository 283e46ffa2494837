//! Sessions of another agent that go on, and what it is told of itself.

use serde_json::json;

use crate::double::{Double, heard, question};
use crate::stage::{Stage, ask};

/// An agent that goes on with its session `s1`, whose past it tells again.
fn loaded() -> Double {
    Double::greeted()
        .hears("session/load")
        .writes("Noted.")
        .answers(2, &json!({}))
        .hears("session/prompt")
        .writes("Blue.")
        .ends("end_turn")
}

#[tokio::test]
async fn a_session_goes_on_and_its_past_is_not_told_again() {
    let stage = Stage::for_agent(&Double::asked().writes("Noted.").ends("end_turn"));
    let first = stage.ask("remember blue").await;
    assert_eq!(first.answers(), ["Noted."], "{first:#?}");
    loaded().write_to(&stage.path("agent.sh"));

    let told = stage.go_on(&first, "which colour?").await;

    assert_eq!(told.answers(), ["Blue."], "{told:#?}");
    assert_eq!(told.events[0]["resumed"], true);
    let load = &heard(&stage)[4];
    assert_eq!(load["params"]["sessionId"], "s1");
    assert_eq!(load["params"]["mcpServers"][0]["name"], "nanokimi");
}

#[tokio::test]
async fn instructions_are_told_once_and_again_when_they_change() {
    let stage = Stage::for_agent(&Double::asked().writes("Noted.").ends("end_turn"));
    fs_err::write(stage.path("group/KIMI.md"), "You like %tea").unwrap();
    let first = stage.ask("remember blue").await;
    assert_eq!(question(&stage), "remember blue");
    assert!(stage.read("home/.kimi-code/AGENTS.md").contains("%tea"));
    loaded().write_to(&stage.path("agent.sh"));

    stage.go_on(&first, "which colour?").await;
    assert_eq!(question(&stage), "which colour?");

    fs_err::write(stage.path("group/KIMI.md"), "You like %coffee").unwrap();
    stage.go_on(&first, "and now?").await;
    let asked = question(&stage);
    assert!(asked.starts_with("<instructions>\n"), "{asked}");
    assert!(asked.contains("%coffee"), "{asked}");
    assert!(asked.ends_with("</instructions>\n\nand now?"), "{asked}");

    stage.go_on(&first, "still?").await;
    assert_eq!(question(&stage), "still?");
}

#[tokio::test]
async fn a_scheduled_task_is_told_to_be_one() {
    let stage = Stage::for_agent(&Double::asked().writes("Done.").ends("end_turn"));
    stage
        .turn(r#"{"prompt":"water the plants","isScheduledTask":true}"#)
        .await;
    let asked = question(&stage);
    assert!(asked.starts_with("[SCHEDULED TASK"), "{asked}");
    assert!(asked.ends_with("water the plants"), "{asked}");
}

/// The session cannot be gone on with, but a new one could begin.
async fn check_unknown(agent: Double, message: &str) {
    let stage = Stage::for_agent(&agent).with("NANOKIMI_LLM_STALL_TIMEOUT", "1s");
    let told = stage.turn(&ask("hi", Some("s9"))).await;
    let error = told.error();
    assert_eq!(error["kind"], "session_not_found", "{told:#?}");
    assert_eq!(error["retryable"], true);
    assert!(
        error["message"].as_str().unwrap().contains(message),
        "{told:#?}"
    );
    assert_eq!(told.story(), "error");
}

#[tokio::test]
async fn an_unknown_session_is_said_to_be_unknown() {
    let load = Double::greeted().hears("session/load");
    let unknown = "Invalid params: Unknown sessionId: s9";
    check_unknown(load.clone().refuses(2, -32602, unknown), unknown).await;
    check_unknown(
        load.clone().refuses(2, -32002, "Resource not found"),
        "not found",
    )
    .await;
    let broken = load.clone().refuses(2, -32603, "Internal error");
    check_unknown(broken, "Internal error").await;
    let dead = load.clone().runs("echo bad line 7 >&2; exit 1");
    check_unknown(dead, "(exit code 1; its last words: bad line 7)").await;
    check_unknown(load.runs("cat >>heard"), "nothing of use for 1s").await;
    let forgetful = Double::silent()
        .hears("initialize")
        .answers(1, &json!({"protocolVersion": 1}));
    check_unknown(forgetful, "cannot go on with an earlier session").await;
}

#[tokio::test]
async fn a_login_is_used_in_place_where_there_is_no_key() {
    let agent = Double::asked()
        .runs("env >environment; echo new >$KIMI_CODE_HOME/credentials/token")
        .writes("Hi.")
        .ends("end_turn");
    let stage = Stage::for_agent(&agent);
    fs_err::remove_file(stage.path("env")).unwrap();
    fs_err::create_dir(stage.path("login")).unwrap();
    fs_err::write(stage.path("login/config.toml"), "# ours\n").unwrap();
    let login = stage.path("login").display().to_string();
    let stage = stage.with("NANOKIMI_KIMI_LOGIN", &login);

    for _ in 0..2 {
        let told = stage.ask("hi").await;
        assert_eq!(told.answers(), ["Hi."], "{told:#?}");
    }

    assert_eq!(stage.read("login/credentials/token"), "new\n");
    assert_eq!(stage.read("home/.kimi-code/config.toml"), "# ours\n");
    assert!(!stage.read("environment").contains("KIMI_MODEL"));
}
