//! What operators ask of the one that runs, by `nanokimi send` and `nanokimi events`, and what they
//! are told where there is none to ask.

use std::io::{BufRead, BufReader};
use std::process::Output;

use serde_json::Value;

use crate::broken::held;
use crate::stage::Stage;

const MESSAGES: &str = "/v1/groups/main/messages";

/// What a command that succeeds prints.
#[track_caller]
fn printed(output: Output) -> String {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{complaint}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn check_refused(output: &Output, code: i32, says: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in says {
        assert!(said.contains(part), "{said}");
    }
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[test]
fn a_text_is_said_in_the_chat_of_its_group() {
    let stage = Stage::new();
    let nanokimi = stage.start(&[]);
    let said = printed(stage.run(&["send", "main", "Hello\nthere.", "--wait", "20s"]));
    assert!(said.starts_with("sent for main (http:main) as "), "{said}");
    let id = said.trim().rsplit_once(' ').unwrap().1;

    let history = nanokimi.ask("GET", "/v1/chat/sessions/main/history", "");
    assert!(history.body.contains(r"Hello\nthere."), "{history:?}");
    let told = printed(stage.run(&["events", "--json", "--event", "message"]));
    let told: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let event = &told[0];
    assert_eq!(event["event"], "message.sent");
    assert_eq!(event["text"], "Hello\nthere.");
    assert_eq!(event["id"], id);
    assert_eq!(event["group"], "main");
    assert!(event["run"].is_null(), "{event}");
}

#[test]
fn a_text_may_come_from_another_program() {
    let stage = Stage::new();
    let _nanokimi = stage.start(&[]);
    let said = printed(stage.run_with_input(&["send", "main", "-", "--json"], "From a pipe.\n"));
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["state"], "kept");
    assert_eq!(said["chat"], "http:main");
    assert_eq!(said["ids"].as_array().unwrap().len(), 1);
    let told = printed(stage.run(&["send", "main", "Second.", "--wait", "20s"]));
    assert!(told.starts_with("sent"), "{told}");
    let told = printed(stage.run(&["events", "--event", "message.sent"]));
    let texts: Vec<&str> = told
        .lines()
        .map(|line| line.split_once("text=").unwrap().1)
        .map(|rest| rest.split_once(" id=").unwrap().0)
        .collect();
    assert_eq!(texts, [r#""From a pipe.""#, "Second."]);
}

#[test]
fn what_cannot_be_sent_is_refused_with_what_can() {
    let stage = Stage::new();
    let nanokimi = stage.start(&[]);
    stage.run(&["groups", "register", "http:ada", "--folder", "ada"]);
    stage.run(&[
        "groups",
        "register",
        "49151@s.whatsapp.net",
        "--folder",
        "bob",
    ]);
    let unknown = stage.run(&["send", "nobody", "hi"]);
    check_refused(
        &unknown,
        1,
        &["there is no group `nobody`; there are: main, ada, bob"],
    );
    let unreached = stage.run(&["send", "bob", "hi"]);
    check_refused(
        &unreached,
        1,
        &["no channel reaches `49151@s.whatsapp.net`", "nanokimi auth"],
    );
    check_refused(&stage.run(&["send", "ada", " "]), 1, &["`text` is empty"]);
    check_refused(
        &stage.run(&["send", "a b", "hi"]),
        2,
        &["is not a folder name"],
    );
    let outbox = nanokimi.ask("GET", "/v1/status", "").body;
    assert!(
        outbox.contains(r#""outbox":{}"#),
        "nothing of it is kept: {outbox}"
    );
}

#[test]
fn what_cannot_be_sent_over_http_is_refused_and_not_kept() {
    let stage = Stage::new();
    let nanokimi = stage.start(&[]);
    stage.run(&["groups", "register", "http:ada", "--folder", "ada"]);
    let bob = ["groups", "register", "49151@s.whatsapp.net"];
    stage.run(&[&bob[..], &["--folder", "bob"]].concat());

    for (path, body, status, says) in [
        (MESSAGES, "", 400, "not a message"),
        (
            MESSAGES,
            r#"{"text":"hi","to":"ada"}"#,
            400,
            "unknown field `to`",
        ),
        (MESSAGES, r#"{"text":"\n"}"#, 400, "`text` is empty"),
        (
            "/v1/groups/x/messages",
            r#"{"text":"hi"}"#,
            404,
            "there are: main, ada",
        ),
        (
            "/v1/groups/bob/messages",
            r#"{"text":"hi"}"#,
            409,
            "no_channel",
        ),
    ] {
        let answer = nanokimi.ask("POST", path, body);
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(answer.body.contains(says), "{body}: {answer:?}");
    }
    let giant = format!(r#"{{"text":"{}"}}"#, "y".repeat(1 << 20));
    assert_eq!(nanokimi.ask("POST", MESSAGES, &giant).status, 413);
    assert_eq!(nanokimi.ask("GET", MESSAGES, "").status, 405);
    let stranger = nanokimi.ask_with("POST", MESSAGES, "", r#"{"text":"hi"}"#);
    assert_eq!(stranger.status, 401);
    let outbox = nanokimi.ask("GET", "/v1/status", "").body;
    assert!(
        outbox.contains(r#""outbox":{}"#),
        "nothing of it is kept: {outbox}"
    );
}

#[test]
fn without_one_that_runs_operators_are_told_how_to_have_one() {
    let stage = Stage::new();
    let asked: [&[&str]; 2] = [&["send", "main", "hi"], &["events", "--follow"]];
    let check = |code: i32, says: &[&str]| {
        for arguments in asked {
            check_refused(&stage.run(arguments), code, says);
        }
    };
    check(3, &["nanokimi has never run here"]);
    drop(stage.start(&[]));
    check(1, &["no nanokimi runs here; start it with `nanokimi run`"]);
    let auth = held(&stage, "");
    check(1, &["does not listen", "`nanokimi auth`"]);
    drop(auth);
    // Nobody can listen there.
    let _held = held(&stage, "127.0.0.1:0");
    check(1, &["does not answer as it should; `nanokimi doctor`"]);
}

#[test]
fn events_are_shown_as_they_happen_until_nanokimi_ends() {
    let stage = Stage::new();
    let mut nanokimi = stage.start(&[]);
    stage.run(&["groups", "register", "http:ada", "--folder", "ada"]);
    let say = |group: &str, text: &str| {
        printed(stage.run(&["send", group, text, "--wait", "20s"]));
    };
    say("ada", "one");
    say("main", "elsewhere");
    say("ada", "two");
    let mut following = stage.begin(&[
        "events",
        "--follow",
        "--last",
        "1",
        "--group",
        "ada",
        "--event",
        "message.sent,task.due",
    ]);
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut shown = || lines.next().map(Result::unwrap);
    let is_told = |line: Option<String>, text: &str| {
        let line = line.unwrap();
        let told = format!(" message.sent chat=http:ada group=ada text={text} id=");
        assert!(line.contains(&told), "{line}");
    };
    is_told(shown(), "two");
    say("main", "elsewhere again");
    say("ada", "three");
    is_told(shown(), "three");

    stage.stop(&nanokimi);
    assert_eq!(shown(), None);
    assert_eq!(following.wait().unwrap().code(), Some(0));
    assert_eq!(nanokimi.wait(), Some(0));
}

#[test]
fn one_that_is_killed_breaks_off_what_is_followed() {
    let stage = Stage::new();
    let mut nanokimi = stage.start(&[]);
    let mut following = stage.begin(&["events", "--follow"]);
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.contains(" group.registered "), "{first}");
    nanokimi.kill();
    drop(lines);
    let ended = following.wait_with_output().unwrap();
    check_refused(&ended, 1, &["nanokimi ended, or was cut off"]);
}

#[test]
fn a_reader_who_has_seen_enough_is_no_fault() {
    let stage = Stage::new();
    let nanokimi = stage.start(&[]);
    let mut following = stage.begin(&["events", "--follow"]);
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    drop(lines);
    let body = r#"{"text":"nobody reads this"}"#;
    assert_eq!(nanokimi.ask("POST", MESSAGES, body).status, 202);
    assert_eq!(following.wait().unwrap().code(), Some(0));
}

#[test]
fn only_what_is_wanted_is_shown_and_nothing_that_is_unknown_is_waited_for() {
    let stage = Stage::new();
    let nanokimi = stage.start(&[]);
    let none = printed(stage.run(&["events", "--event", "task"]));
    assert!(none.starts_with("nothing of that has happened"), "{none}");
    assert_eq!(
        printed(stage.run(&["events", "--event", "task", "--json"])),
        ""
    );
    let one = printed(stage.run(&["events", "--last", "1"]));
    assert_eq!(one.lines().count(), 1, "{one}");

    let says = ["there is no event `mesage.sent`; there are: message.received, "];
    let misspelt = stage.run(&["events", "--follow", "--event", "mesage.sent"]);
    check_refused(&misspelt, 1, &says);
    let nobodys = stage.run(&["events", "--follow", "--group", "nobody"]);
    check_refused(
        &nobodys,
        1,
        &["there is no group `nobody`; there are: main"],
    );
    for (query, status) in [
        ("follow=false", 200),
        ("folow=false", 400),
        ("last=many", 400),
        ("event=", 400),
        ("group=x", 404),
    ] {
        let answer = nanokimi.ask("GET", &format!("/v1/events?{query}"), "");
        assert_eq!(answer.status, status, "{query}: {answer:?}");
    }
}

#[test]
fn who_reads_on_misses_nothing_whatever_was_asked_for_at_first() {
    let stage = Stage::new();
    let nanokimi = stage.start(&[]);
    for text in ["one", "two", "three"] {
        printed(stage.run(&["send", "main", text, "--wait", "20s"]));
    }
    let token = fs_err::read_to_string(stage.root.path().join("data/api-token")).unwrap();
    let read = |headers: &str| {
        let newest = "/v1/events?last=1&event=message.sent&follow=false";
        let headers = format!("{headers}Authorization: Bearer {}\r\n", token.trim());
        nanokimi.ask_with("GET", newest, &headers, "").body
    };
    let first = read("");
    assert!(!first.contains("two") && first.contains("three"), "{first}");
    let rest = read("Last-Event-ID: 1\r\n");
    assert!(rest.contains("one") && rest.contains("three"), "{rest}");
}
