//! Agents that wait for more: shell scripts that end when they should not, and late when they
//! should.

use crate::agents::{RESULT, ask, installation};
use crate::ends::check_becomes;
use crate::stage::{Answer, Running, Stage};

/// An installation whose agents wait, and are told to end after the shortest time there is.
fn waiting(script: &str, idle: &str) -> Stage {
    let stage = installation(script);
    stage.write(
        "nanokimi.toml",
        &format!(
            "agent_runtime = \"host\"\nagent_runner = \"agent\"\nhttp_listen = \"127.0.0.1:0\"\n\
             agent_one_shot = false\nagent_idle_timeout = \"{idle}\"\n"
        ),
    );
    stage
}

fn says(text: &str) -> String {
    format!("echo '{{\"type\":\"text\",\"text\":\"{text}\"}}'; echo '{RESULT}'")
}

/// The first agent answers and does this; its successor answers too.
fn first_then_another(first: &str, idle: &str) -> Stage {
    let (one, two) = (says("one"), says("two"));
    let script = format!(
        "input=$NANOKIMI_IPC_DIR/input; cat > /dev/null
if [ -e been ]; then {two}; until [ -e $input/_close ]; do sleep 0.02; done; exit; fi
touch been; {one}
{first}"
    );
    waiting(&script, idle)
}

#[track_caller]
fn check_answered(answer: &Answer, text: &str) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let said = format!("\"content\":\"{text}\"");
    assert!(answer.body.contains(&said), "{answer:?}");
}

/// How often each event has been told.
fn count(nanokimi: &Running, event: &str) -> usize {
    let metrics = nanokimi.ask("GET", "/metrics", "").body;
    let line = metrics.lines().find(|line| line.contains(event));
    let number = line.and_then(|line| line.rsplit(' ').next());
    number.map_or(0, |number| number.parse().unwrap())
}

#[test]
fn what_an_agent_was_asked_as_it_died_is_answered_by_another_and_not_as_a_failure() {
    let stage = first_then_another(
        "until ls $input/*.json; do sleep 0.02; done > /dev/null 2>&1; kill -9 $$",
        "30m",
    );
    let nanokimi = stage.start(&[]);
    check_answered(&ask(&nanokimi), "one");
    check_answered(&ask(&nanokimi), "two");
    assert_eq!(count(&nanokimi, "\"agent.started\""), 2);
    assert_eq!(count(&nanokimi, "\"run.started\""), 2);
    let input = stage.root.path().join("data/ipc/ada/input");
    let left: Vec<_> = fs_err::read_dir(input).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_arrives_while_an_agent_is_on_its_way_out_is_answered_by_another() {
    let stage = first_then_another(
        "until [ -e $input/_close ]; do sleep 0.02; done; touch ending
until [ -e go ]; do sleep 0.02; done",
        "100ms",
    );
    let nanokimi = stage.start(&[]);
    check_answered(&ask(&nanokimi), "one");
    let group = stage.root.path().join("groups/ada");
    check_becomes("the end of its patience", || group.join("ending").exists());
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&nanokimi));
        check_becomes("another message", || {
            count(&nanokimi, "\"message.received\"") == 2
        });
        fs_err::write(group.join("go"), "").unwrap();
        check_answered(&asking.join().unwrap(), "two");
    });
    assert_eq!(count(&nanokimi, "\"run.started\""), 2);
}

#[test]
fn an_agent_that_does_not_listen_to_its_end_is_ended_inside_the_grace() {
    let stage = waiting(
        &format!("cat > /dev/null; {}; trap '' TERM; sleep 5656", says("one")),
        "30m",
    );
    let mut nanokimi = stage.start(&[]);
    check_answered(&ask(&nanokimi), "one");
    stage.stop(&nanokimi);
    assert_eq!(nanokimi.wait(), Some(0));
    assert!(crate::ends::alive("sleep 5656").is_empty());
}

#[test]
fn an_agent_that_answers_what_it_was_not_asked_is_not_believed() {
    let other = r#"{"type":"text","text":"old"}"#;
    let result = r#"{"type":"result","newSessionId":"s-1","inputId":"another"}"#;
    let stage = first_then_another(
        &format!(
            "until ls $input/*.json; do sleep 0.02; done > /dev/null 2>&1
echo '{other}'; echo '{result}'"
        ),
        "30m",
    );
    let nanokimi = stage.start(&[]);
    check_answered(&ask(&nanokimi), "one");
    std::thread::scope(|scope| {
        // It waits for the retry; the test does not.
        scope.spawn(|| ask(&nanokimi));
        let seen = nanokimi.read_until("/v1/events", "", "\"outcome\":\"failed\"");
        assert!(seen.contains("something that it was not asked"), "{seen}");
        assert!(!seen.contains("\"text\":\"old\""), "{seen}");
        stage.stop(&nanokimi);
    });
}
