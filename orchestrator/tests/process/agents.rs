//! Agents that are not ours: shell scripts that say strange things.

use std::os::unix::fs::PermissionsExt;

use crate::ends::{alive, check_becomes};
use crate::stage::{Running, Stage};

pub(crate) const RESULT: &str = r#"{"type":"result","newSessionId":"s-1"}"#;

/// An installation whose agent is this script.
pub(crate) fn installation(script: &str) -> Stage {
    let stage = Stage::new();
    stage.write("agent", &format!("#!/bin/bash\n{script}\n"));
    let agent = stage.root.path().join("agent");
    fs_err::set_permissions(agent, PermissionsExt::from_mode(0o755)).unwrap();
    stage.write(
        "nanokimi.toml",
        "agent_runtime = \"host\"\nagent_runner = \"agent\"\nhttp_listen = \"127.0.0.1:0\"\nagent_max_output = 65536\n",
    );
    stage.write(
        ".env",
        "OPENROUTER_API_KEY=sk-in-use\nMOONSHOT_API_KEY=sk-very-secret\n",
    );
    stage
}

pub(crate) fn ask(nanokimi: &Running) -> crate::stage::Answer {
    let message = r#"{"session_id":"ada","messages":[{"role":"user","content":"x"}]}"#;
    nanokimi.ask("POST", "/v1/chat/completions", message)
}

#[test]
fn noise_and_broken_lines_around_the_events_do_no_harm() {
    let stage = installation(&format!(
        "cat > /dev/null
echo 'Downloading something...'
echo '{{\"type\":\"text\"'
printf '\\xff\\xfe\\n'
head -c 300000 /dev/zero | tr '\\0' 'x'; echo
echo '{{\"type\":\"text\",\"text\":\"é, and done\"}}'
echo 'null'
printf '%s' '{RESULT}'"
    ));
    let answer = ask(&stage.start(&[]));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains("é, and done"), "{answer:?}");
}

#[test]
fn an_agent_is_told_who_thinks_and_how_patiently() {
    let stage = installation(&format!(
        "env > $HOME/environment; cat > /dev/null; echo '{RESULT}'"
    ));
    stage.write(
        "nanokimi.toml",
        "agent_runtime = \"host\"\nagent_runner = \"agent\"\nhttp_listen = \"127.0.0.1:0\"\n\
         engine = \"acp\"\nacp_command = \"'my kimi' acp\"\nllm_stall_timeout = \"1500\"\n\
         turn_timeout = \"2h\"\nsession_limit = 65536\n",
    );
    assert_eq!(ask(&stage.start(&[])).status, 200);
    let told = fs_err::read_to_string(stage.root.path().join("data/sessions/ada/environment"));
    let told = told.unwrap();
    let login = stage.root.path().join("data/credentials");
    for line in [
        "NANOKIMI_ENGINE=acp",
        "NANOKIMI_ACP_COMMAND='my kimi' acp",
        "NANOKIMI_LLM_STALL_TIMEOUT=1500ms",
        "NANOKIMI_TURN_TIMEOUT=7200000ms",
        "NANOKIMI_SESSION_LIMIT=65536",
        &format!("NANOKIMI_KIMI_LOGIN={}", login.display()),
    ] {
        assert!(told.lines().any(|found| found == line), "{line} in {told}");
    }
}

#[test]
fn an_agent_that_does_not_read_and_one_that_reads_late_are_both_answered() {
    for reading in [
        "exec < /dev/null",
        "read -t 0.1 nothing < /dev/zero; cat > /dev/null",
    ] {
        let text = r#"{"type":"text","text":"hi"}"#;
        let stage = installation(&format!("{reading}\necho '{text}'\necho '{RESULT}'"));
        assert_eq!(ask(&stage.start(&[])).status, 200, "{reading}");
    }
}

#[test]
fn an_agent_without_a_result_has_failed_whatever_its_exit_code() {
    let stage = installation("cat > /dev/null; echo all is well; exit 0");
    let nanokimi = stage.start(&[]);
    std::thread::scope(|scope| {
        // It waits for the retries; the test does not.
        scope.spawn(|| ask(&nanokimi));
        let seen = nanokimi.read_until("/v1/events", "", "run.ended");
        assert!(seen.contains("the agent ended without a result"), "{seen}");
        assert!(seen.contains("\"outcome\":\"failed\""), "{seen}");
        stage.stop(&nanokimi);
    });
}

#[test]
fn a_fault_that_another_try_will_not_mend_is_an_error_at_once() {
    let event =
        r#"{"type":"error","kind":"auth","message":"the key is refused","retryable":false}"#;
    let stage = installation(&format!("cat > /dev/null; echo '{event}'; exit 1"));
    let answer = ask(&stage.start(&[]));
    assert_eq!(answer.status, 502, "{answer:?}");
    assert!(answer.body.contains("\"code\":\"auth\""), "{answer:?}");
    assert!(answer.body.contains("the key is refused"), "{answer:?}");
}

#[test]
fn what_an_agent_leaves_running_ends_with_it() {
    let stage = installation(&format!(
        "cat > /dev/null
(setsid sleep 4242 &) ; sleep 4243 &
echo '{{\"type\":\"text\",\"text\":\"bye\"}}'; echo '{RESULT}'"
    ));
    let nanokimi = stage.start(&[]);
    assert_eq!(ask(&nanokimi).status, 200);
    check_becomes("the end of what it started", || {
        alive("sleep 424").is_empty()
    });
}

#[test]
fn a_secret_that_an_agent_prints_stands_in_no_log() {
    let stage = installation(&format!(
        "cat > /dev/null
cat \"$NANOKIMI_CREDENTIALS\" ../../.env >&2; cat \"$NANOKIMI_CREDENTIALS\" ../../.env; env
echo '{{\"type\":\"text\",\"text\":\"ok\"}}'; echo '{RESULT}'"
    ));
    assert_eq!(ask(&stage.start(&[])).status, 200);
    let mut logs = vec![stage.root.path().join("logs/nanokimi.log")];
    for entry in fs_err::read_dir(stage.root.path().join("groups/ada/logs")).unwrap() {
        logs.push(entry.unwrap().path());
    }
    assert_eq!(logs.len(), 2);
    for log in logs {
        let text = fs_err::read_to_string(&log).unwrap();
        assert!(
            !text.contains("sk-very-secret") && !text.contains("sk-in-use"),
            "{}: {text}",
            log.display()
        );
    }
}

#[test]
fn a_secret_that_an_agent_tells_by_its_tools_is_masked() {
    let call = r#"{"type":"tool_call","id":"1","name":"bash","arguments":{"command":"echo sk-very-secret"}}"#;
    let said = r#"{"type":"message","chatJid":"http:ada","text":"it is sk-very-secret"}"#;
    let stage = installation(&format!(
        "cat > /dev/null; echo '{call}'; echo '{said}' > \"$NANOKIMI_IPC_DIR/messages/1.json\"
echo '{RESULT}'"
    ));
    let nanokimi = stage.start(&[]);
    assert_eq!(ask(&nanokimi).status, 200);
    let told = nanokimi.read_until("/v1/events", "Last-Event-ID: 0\r\n", "message.sent");
    assert!(told.contains("it is [secret]"), "{told}");
    assert!(told.contains(r#"{"command":"echo [secret]"}"#), "{told}");
    assert!(!told.contains("sk-very-secret"), "{told}");
}

#[test]
fn an_agent_that_never_comes_to_an_end_is_ended() {
    let usage = r#"{"type":"usage","promptTokens":1,"completionTokens":1}"#;
    let text = r#"{"type":"text","text":"and so on"}"#;
    for (says, told) in [
        (
            format!("while true; do echo '{usage}'; read -t 0.05 nothing <> <(:); done"),
            "was at work for longer than 1s and was stopped",
        ),
        (
            format!("while true; do echo '{text}'; done"),
            "said more than 100 texts in one turn",
        ),
    ] {
        let stage = installation(&format!("cat > /dev/null; {says}"));
        stage.write("nanokimi.toml", "agent_runtime = \"host\"\nagent_runner = \"agent\"\nhttp_listen = \"127.0.0.1:0\"\nagent_timeout = \"1s\"\nturn_timeout = \"1s\"\n");
        let nanokimi = stage.start(&[]);
        std::thread::scope(|scope| {
            scope.spawn(|| ask(&nanokimi));
            let seen = nanokimi.read_until("/v1/events", "", "run.ended");
            assert!(seen.contains(told), "{seen}");
            assert!(!seen.contains("retry_at"), "{seen}");
            stage.stop(&nanokimi);
        });
    }
}
