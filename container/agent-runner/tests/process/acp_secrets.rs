//! What another agent's login holds is told to nobody, and stays where it belongs.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::double::Double;
use crate::stage::{Stage, Told};

const ACCESS: &str = "access-token-1";
const REFRESH: &str = "refresh-token-1";
/// What the agent renews its token to.
const RENEWED: &str = "access-token-2";

fn login(access: &str) -> String {
    json!({"access_token": access, "refresh_token": REFRESH, "token_type": "Bearer"}).to_string()
}

/// A stage without a key, with a login that all groups share.
fn with_login(agent: &Double) -> Stage {
    let stage = Stage::for_agent(agent);
    fs_err::remove_file(stage.path("env")).unwrap();
    fs_err::create_dir_all(stage.path("login/credentials")).unwrap();
    fs_err::write(stage.path("login/config.toml"), "# ours\n").unwrap();
    fs_err::write(
        stage.path("login/credentials/kimi-code.json"),
        login(ACCESS),
    )
    .unwrap();
    let private = PermissionsExt::from_mode(0o600);
    fs_err::set_permissions(stage.path("login/config.toml"), private).unwrap();
    let folder = stage.path("login").display().to_string();
    stage.with("NANOKIMI_KIMI_LOGIN", &folder)
}

#[track_caller]
fn check_masked(told: &Told) {
    let all = format!("{told:?}");
    for token in [ACCESS, REFRESH, RENEWED] {
        assert!(!all.contains(token), "{token} is told: {told:#?}");
    }
    assert!(all.contains("[secret]"), "{told:#?}");
}

fn call(arguments: &str) -> serde_json::Value {
    json!({"sessionUpdate": "tool_call", "toolCallId": "t", "title": "Bash", "rawInput": {"command": [arguments]}})
}

fn done(output: &str) -> serde_json::Value {
    json!({"sessionUpdate": "tool_call_update", "toolCallId": "t", "status": "completed", "rawOutput": output})
}

fn renews(agent: Double) -> Double {
    let renewed = login(RENEWED);
    agent.runs(&format!(
        "echo '{renewed}' >$KIMI_CODE_HOME/credentials/kimi-code.json"
    ))
}

#[tokio::test]
async fn the_tokens_of_a_login_are_told_nowhere() {
    let agent = renews(Double::asked().writes(&format!("I see {ACCESS}.")))
        .prints(&format!("no message: {RENEWED}"))
        .runs(&format!("echo 'warning: {REFRESH}' >&2"))
        .tells(&call(&format!("echo {REFRESH}")))
        .tells(&done(&login(RENEWED)))
        .writes(&format!(
            "They are {ACCESS}, {RENEWED} and {REFRESH}, a Bearer."
        ))
        .ends("end_turn");
    let told = with_login(&agent).ask("hi").await;
    check_masked(&told);
    assert_eq!(
        told.answers(),
        ["They are [secret], [secret] and [secret], a Bearer."]
    );
    assert_eq!(told.events[2]["arguments"]["command"][0], "echo [secret]");
    assert!(
        told.stderr.contains("agent: warning: [secret]"),
        "{told:#?}"
    );
}

#[tokio::test]
async fn the_tokens_of_a_login_are_told_in_no_failure() {
    let refused = Double::asked().refuses(3, -32603, &format!("401 for {ACCESS}"));
    check_masked(&with_login(&refused).ask("hi").await);
    let dead = renews(Double::asked()).runs(&format!("echo {RENEWED} >&2; exit 3"));
    check_masked(&with_login(&dead).ask("hi").await);
    let error = json!({"code": "provider.auth_error", "message": format!("not {REFRESH}")});
    let logged = Double::asked()
        .logs(&json!({"type": "turn.ended", "error": error}))
        .ends("end_turn");
    check_masked(&with_login(&logged).ask("hi").await);
}

#[tokio::test]
async fn the_tokens_of_an_agents_own_login_are_told_nowhere() {
    let agent = Double::asked()
        .writes(&format!("I see {ACCESS}."))
        .ends("end_turn");
    let stage = Stage::for_agent(&agent);
    fs_err::remove_file(stage.path("env")).unwrap();
    let folder = stage.path("home/.kimi-code/credentials");
    fs_err::create_dir_all(&folder).unwrap();
    fs_err::write(folder.join("kimi-code.json"), login(ACCESS)).unwrap();
    check_masked(&stage.ask("hi").await);
}

#[tokio::test]
async fn what_an_agent_does_to_its_settings_reaches_no_other_group() {
    let agent = Double::asked()
        .runs("echo '# mine' >>$KIMI_CODE_HOME/config.toml")
        .runs("cat $KIMI_CODE_HOME/config.toml >seen")
        .writes("Hi.")
        .ends("end_turn");
    let stage = with_login(&agent);
    for _ in 0..2 {
        let told = stage.ask("hi").await;
        assert_eq!(told.answers(), ["Hi."], "{told:#?}");
        assert_eq!(stage.read("seen"), "# ours\n# mine\n");
    }
    assert_eq!(stage.read("login/config.toml"), "# ours\n");
}

#[tokio::test]
async fn nothing_of_a_login_is_left_when_there_is_a_key() {
    let agent = Double::asked().writes("Hi.").ends("end_turn");
    let stage = with_login(&agent);
    fs_err::write(stage.path("login/device_id"), "d-1").unwrap();
    stage.ask("hi").await;
    assert_eq!(stage.read("home/.kimi-code/device_id"), "d-1");
    let copy = fs_err::metadata(stage.path("home/.kimi-code/config.toml")).unwrap();
    assert_eq!(copy.permissions().mode() & 0o777, 0o600);
    assert!(stage.path("home/.kimi-code/credentials").is_symlink());

    let stage = stage.with("MOONSHOT_API_KEY", "sk-1");
    let told = stage.ask("hi").await;

    assert_eq!(told.answers(), ["Hi."], "{told:#?}");
    for name in ["config.toml", "device_id", "credentials", "oauth"] {
        let left = stage.path("home/.kimi-code").join(name);
        assert!(left.symlink_metadata().is_err(), "{name} is left");
    }
    assert!(stage.path("login/credentials/kimi-code.json").exists());

    // What is the agent's own is left alone.
    fs_err::write(stage.path("home/.kimi-code/config.toml"), "# mine\n").unwrap();
    stage.ask("hi").await;
    assert_eq!(stage.read("home/.kimi-code/config.toml"), "# mine\n");
}
