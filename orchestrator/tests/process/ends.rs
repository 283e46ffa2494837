//! Ends that nobody wishes for: a second signal, a killed guard, a locked store, a client that
//! stops half-way. What was started is gone afterwards, and what was asked is not lost.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::agents::{RESULT, ask, installation};
use crate::stage::{Running, Stage};

/// The command lines of live processes that hold `mark`.
pub(crate) fn alive(mark: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir("/proc").unwrap() {
        // What is no process, or is gone by now, has no command line.
        if let Ok(command) = fs_err::read(entry.unwrap().path().join("cmdline")) {
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            if command.contains(mark) {
                found.push(command);
            }
        }
    }
    found
}

/// Looks again and again, with a deadline: processes end when they end.
#[track_caller]
pub(crate) fn check_becomes(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(25);
    while !is_so() {
        assert!(Instant::now() < until, "{what} did not come to be");
        std::thread::yield_now();
    }
}

/// Asks, and returns when the agent is at work.
#[must_use]
fn ask_without_waiting(stage: &Stage, nanokimi: &Running) -> TcpStream {
    let asking = nanokimi.send(
        "POST",
        "/v1/chat/completions",
        r#"{"session_id":"ada","messages":[{"role":"user","content":"x"}]}"#,
    );
    let working = stage.root.path().join("groups/ada/working");
    check_becomes("an agent at work", || working.exists());
    asking
}

const STUBBORN: &str = "trap '' TERM; cat > /dev/null; touch working";

#[test]
fn a_second_signal_ends_us_at_once_and_the_agents_all_the_same() {
    let stage = installation(&format!("{STUBBORN}; sleep 5151"));
    let mut nanokimi = stage.start(&[]);
    let _asking = ask_without_waiting(&stage, &nanokimi);
    stage.stop(&nanokimi);
    let log = stage.root.path().join("logs/nanokimi.log");
    check_becomes("the stop", || {
        fs_err::read_to_string(&log).unwrap().contains("stopping")
    });
    stage.stop(&nanokimi);

    assert_eq!(nanokimi.wait(), Some(1));
    check_becomes("the end of the agent", || alive("sleep 5151").is_empty());
}

#[test]
fn an_agent_that_kills_its_guard_does_not_outlive_its_turn() {
    let text = r#"{"type":"text","text":"free"}"#;
    let stage = installation(&format!(
        "cat > /dev/null; setsid sleep 5252 > /dev/null 2>&1 & kill -9 $PPID
echo '{text}'; echo '{RESULT}'; exec > /dev/null 2>&1; sleep 5252"
    ));
    let nanokimi = stage.start(&[]);
    let _asking = nanokimi.send(
        "POST",
        "/v1/chat/completions",
        r#"{"session_id":"ada","messages":[{"role":"user","content":"x"}]}"#,
    );
    nanokimi.read_until("/v1/events", "", "run.ended");
    check_becomes("the end of the agent", || alive("sleep 5252").is_empty());
}

#[test]
fn an_agent_waits_until_its_predecessor_is_gone() {
    let stage = installation(&format!(
        "{STUBBORN}; echo \"$$ $(ls -d /proc/*/cwd 2>/dev/null | while read -r l; do readlink \"$l\"; done | grep -c \"^$PWD$\")\" >> seen
sleep 5353"
    ));
    let mut first = stage.start(&[]);
    let _asking = ask_without_waiting(&stage, &first);
    first.kill();
    let second = stage.start(&[]);
    let seen = stage.root.path().join("groups/ada/seen");
    check_becomes("the second agent", || {
        fs_err::read_to_string(&seen).is_ok_and(|text| text.lines().count() == 2)
    });
    // Its own may not have begun yet.
    assert!(alive("sleep 5353").len() <= 1);
    drop(second);
    check_becomes("the end of the agents", || alive("sleep 5353").is_empty());
}

#[test]
fn a_client_that_stops_half_way_does_not_keep_us_from_ending_well() {
    let stage = installation("cat > /dev/null");
    let mut nanokimi = stage.start(&[]);
    let _half_a_body = nanokimi
        .send_half("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{");
    let _half_a_head = nanokimi.send_half("GET /v1/status HT");
    stage.stop(&nanokimi);
    assert_eq!(nanokimi.wait(), Some(0));
}

#[test]
fn clients_that_leave_while_it_thinks_leave_nothing_but_their_questions() {
    let text = r#"{"type":"text","text":"kept"}"#;
    let stage = installation(&format!(
        "cat > /dev/null; touch working; while [ -e hold ]; do read -t 0.05 nothing < /dev/zero; done
echo '{text}'; echo '{RESULT}'"
    ));
    stage.write("groups/ada/hold", "");
    let nanokimi = stage.start(&[]);
    let gauge = |name: &str| {
        let metrics = nanokimi.ask("GET", "/metrics", "").body;
        let count = metrics.lines().find_map(|line| line.strip_prefix(name));
        let Some(Ok(count)) = count.map(str::parse::<usize>) else {
            panic!("no {name} in {metrics}");
        };
        count
    };
    let first = ask_without_waiting(&stage, &nanokimi);
    check_becomes("one who waits", || gauge("nanokimi_clients_waiting ") == 1);
    let tasks = gauge("nanokimi_runtime_tasks ");
    let mut clients = vec![first];
    for stream in [false, true] {
        let question = format!(
            r#"{{"session_id":"ada","stream":{stream},"messages":[{{"role":"user","content":"x"}}]}}"#
        );
        let ask = || nanokimi.send("POST", "/v1/chat/completions", &question);
        clients.extend(std::iter::repeat_with(ask).take(10));
    }
    check_becomes("all who wait", || gauge("nanokimi_clients_waiting ") == 21);
    assert!(gauge("nanokimi_runtime_tasks ") >= tasks + 20);

    drop(clients);
    check_becomes("nobody who waits", || {
        gauge("nanokimi_clients_waiting ") == 0 && gauge("nanokimi_runtime_tasks ") <= tasks
    });
    fs_err::remove_file(stage.root.path().join("groups/ada/hold")).unwrap();
    // That of the first, and that of all who asked meanwhile.
    check_becomes("the answers", || {
        let history = nanokimi.ask("GET", "/v1/chat/sessions/ada/history", "");
        history.body.matches("kept").count() == 2
    });
}

#[test]
fn a_store_that_is_locked_for_a_while_costs_time_and_nothing_else() {
    let text = r#"{"type":"text","text":"kept"}"#;
    let stage = installation(&format!(
        "cat > /dev/null; touch working; while [ -e hold ]; do read -t 0.05 nothing < /dev/zero; done
echo '{text}'; echo '{RESULT}'"
    ));
    let nanokimi = stage.start(&[]);
    stage.write("groups/ada/hold", "");
    let _asking = ask_without_waiting(&stage, &nanokimi);
    let store = rusqlite::Connection::open(stage.root.path().join("store/messages.db")).unwrap();
    store.execute_batch("BEGIN IMMEDIATE").unwrap();
    fs_err::remove_file(stage.root.path().join("groups/ada/hold")).unwrap();
    let log = stage.root.path().join("logs/nanokimi.error.log");
    check_becomes("the word that the store refuses", || {
        fs_err::read_to_string(&log).unwrap().contains("store")
    });
    store.execute_batch("COMMIT").unwrap();

    nanokimi.read_until("/v1/events", "", "\"text\":\"kept\"");
    let sent: i64 = store
        .query_row(
            "SELECT count(*) FROM outbox WHERE state = 'sent'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(sent, 1);
}

#[test]
fn an_answer_holds_nothing_that_was_said_to_others() {
    let stage = installation(&format!(
        "cat > /dev/null
cat > \"$NANOKIMI_IPC_DIR/messages/.x\" <<< '{{\"type\":\"message\",\"chatJid\":\"http:bob\",\"text\":\"for bob\"}}'
mv \"$NANOKIMI_IPC_DIR/messages/.x\" \"$NANOKIMI_IPC_DIR/messages/1.json\"
echo '{{\"type\":\"text\",\"text\":\"for main\"}}'; echo '{RESULT}'"
    ));
    let nanokimi = stage.start(&[]);
    stage.run(&[
        "groups", "register", "http:bob", "--folder", "bob", "--always",
    ]);
    let message = r#"{"session_id":"main","messages":[{"role":"user","content":"x"}]}"#;
    let answer = nanokimi.ask("POST", "/v1/chat/completions", message);
    assert!(
        answer.body.contains("\"content\":\"for main\""),
        "{answer:?}"
    );
    let history = nanokimi.ask("GET", "/v1/chat/sessions/bob/history", "");
    assert!(history.body.contains("for bob"), "{history:?}");
}

#[test]
fn a_fault_hides_the_key_in_it() {
    let event =
        r#"{"type":"error","kind":"auth","message":"sk-very-secret is refused","retryable":false}"#;
    let stage = installation(&format!("cat > /dev/null; echo '{event}'; exit 1"));
    let answer = ask(&stage.start(&[]));
    assert!(answer.body.contains("[secret] is refused"), "{answer:?}");
    let store = rusqlite::Connection::open(stage.root.path().join("store/messages.db")).unwrap();
    let told: String = store
        .query_row(
            "SELECT text || (SELECT error FROM runs) FROM outbox",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert!(!told.contains("sk-very-secret"), "{told}");
}

#[test]
fn many_first_messages_at_once_are_all_kept() {
    let stage = installation(&format!("cat > /dev/null; echo '{RESULT}'"));
    let nanokimi = stage.start(&[]);
    let message = r#"{"user":"ada/trip","messages":[{"role":"user","content":"x"}]}"#;
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let answer = nanokimi.ask("POST", "/v1/chat/completions", message);
                assert_eq!(answer.status, 200, "{answer:?}");
            });
        }
    });
}

#[test]
fn a_reader_with_a_number_of_another_life_hears_everything() {
    let stage = installation("cat > /dev/null");
    let nanokimi = stage.start(&[]);
    for number in ["500", "18446744073709551615"] {
        let headers = format!("Last-Event-ID: {number}\r\n");
        nanokimi.read_until("/v1/events", &headers, "group.registered");
    }
}

#[test]
fn what_was_heard_before_a_kill_is_not_said_again_after_it() {
    let text = r#"{"type":"text","text":"once"}"#;
    let stage = installation(&format!("{STUBBORN}; echo '{text}'; sleep 5454"));
    let mut first = stage.start(&[]);
    let _asking = ask_without_waiting(&stage, &first);
    first.read_until("/v1/events", "", "\"text\":\"once\"");
    first.kill();

    let second = stage.start(&[]);

    let status = second.ask("GET", "/v1/status", "").body;
    for count in [
        "\"messages\":{\"answered\":1}",
        "\"outbox\":{\"sent\":1}",
        "\"runs\":{\"ended\":1}",
    ] {
        assert!(status.contains(count), "{status}");
    }
}
