//! Agents in containers, on a real engine: shell scripts that try what they should not.

use crate::agents::{RESULT, ask};
use crate::ends::check_becomes;
use crate::engine::{self, Boxed, docker, said};
use crate::gate::Gate;
use crate::scripted_engine::ScriptedEngine;
use crate::stage::Stage;

/// What an agent says before its last.
pub(crate) fn text(words: &str) -> String {
    format!("echo '{{\"type\":\"text\",\"text\":\"'{words}'\"}}'\necho '{RESULT}'\n")
}

/// Until it may go on.
pub(crate) const WAIT: &str = "echo here > here; until [ -e go ]; do sleep 0.05; done\n";

#[test]
fn an_agent_is_answered_from_its_box_and_nothing_is_left_of_it() {
    if !engine::is_there() {
        return;
    }
    // Two megabytes that are no events, and must not hold up or lose the one that is.
    let noise = "for n in $(seq 200); do head -c 10000 /dev/zero | tr '\\0' x; echo; done\n";
    let script = format!("input=$(cat)\n{noise}{}", text("\"$(id -u) ${#input}\""));
    let boxed = Boxed::new(&script, "");
    let nanokimi = boxed.stage.start(&[]);
    let answer = ask(&nanokimi);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        !answer.body.contains("\"content\":\"0 "),
        "not as root: {answer:?}"
    );
    check_becomes("the end of its box", || boxed.containers().is_empty());
    let doors = boxed.stage.root.path().join("data/doors");
    check_becomes("the end of its door", || {
        fs_err::read_dir(&doors).unwrap().count() == 0
    });
    let status = nanokimi.ask("GET", "/v1/status", "").body;
    let up = "\"engine\":{\"state\":\"up\"}";
    assert!(status.contains(up), "{status}");
    let told = boxed.stage.run(&["status", "--json"]).stdout;
    let told = String::from_utf8_lossy(&told).replace([' ', '\n'], "");
    assert!(told.contains(up), "{told}");
}

#[test]
fn a_box_shows_its_agent_no_more_than_it_should_and_others_no_secret() {
    if !engine::is_there() {
        return;
    }
    let script = format!(
        "cat > /dev/null
try() {{ if \"$@\" 2> /dev/null; then echo \"$1 $2: allowed\"; else echo \"$1 $2: refused\"; fi; }}
{{
try touch /of-mine
try touch /workspace/env-dir/of-mine
try touch /workspace/global/of-mine
try touch /run/nanokimi/of-mine
try touch /workspace/ipc/of-mine
try touch /home/node/.kimi/of-mine
cd /tmp; try touch of-mine; cd - > /dev/null
try grep -q OPENROUTER_API_KEY= /workspace/env-dir/env
try ls /workspace/project
try ls /workspace/group/../../store
try chown 0 /workspace/group/agent
try timeout 2 bash -c '</dev/tcp/1.1.1.1/53'
grep -h -e CapEff -e CapBnd -e NoNewPrivs /proc/self/status
grep -c : /proc/net/dev
}} > report.new; echo done >> report.new; mv report.new report
{WAIT}{}",
        text("ok")
    );
    let boxed = Boxed::new(&script, "");
    let nanokimi = boxed.stage.start(&[]);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&nanokimi));
        boxed.left("here");
        let seen = said(&["inspect", &boxed.containers()[0]]);
        assert!(!seen.contains("sk-very-secret"), "{seen}");
        let lines = said(&["top", &boxed.containers()[0], "-o", "pid,args"]);
        assert!(!lines.contains("sk-very-secret"), "{lines}");
        boxed.go();
        assert_eq!(asking.join().unwrap().status, 200);
    });
    let report = boxed.left("report");
    let expected = "\
touch /of-mine: refused
touch /workspace/env-dir/of-mine: refused
touch /workspace/global/of-mine: refused
touch /run/nanokimi/of-mine: refused
touch /workspace/ipc/of-mine: allowed
touch /home/node/.kimi/of-mine: allowed
touch of-mine: allowed
grep -q: allowed
ls /workspace/project: refused
ls /workspace/group/../../store: refused
chown 0: refused
timeout 2: refused
CapEff:\t0000000000000000
CapBnd:\t0000000000000000
NoNewPrivs:\t1
1
done
";
    assert_eq!(report, expected);
}

#[test]
fn want_of_memory_ends_the_box_and_is_named() {
    if !engine::is_there() {
        return;
    }
    let script = "cat > /dev/null; exec tail -n 1 /dev/zero";
    check_fault(
        script,
        "agent_memory = \"32m\"\n",
        "out of memory: agent_memory is 32 MiB",
    );
}

#[test]
fn a_bomb_of_processes_ends_in_its_box() {
    if !engine::is_there() {
        return;
    }
    let script =
        "cat > /dev/null\ntimeout 2 bash -c 'bomb() { bomb | bomb & }; bomb' 2> /dev/null\nexit 3";
    check_fault(script, "agent_pids = 32\n", "the agent exited with code 3");
}

#[test]
fn an_agent_that_hangs_is_stopped_with_its_container() {
    if !engine::is_there() {
        return;
    }
    let script = "trap '' TERM; cat > /dev/null; while true; do sleep 1; done";
    check_fault(
        script,
        "agent_timeout = \"1s\"\n",
        "said nothing for 1s and was stopped",
    );
}

/// One attempt must fail, saying this, and leave nothing behind.
#[track_caller]
fn check_fault(script: &str, settings: &str, says: &str) {
    let boxed = Boxed::new(script, settings);
    let mut nanokimi = boxed.stage.start(&[]);
    std::thread::scope(|scope| {
        // It waits for the retries; the test does not.
        scope.spawn(|| ask(&nanokimi));
        let seen = nanokimi.read_until("/v1/events", "", "run.ended");
        assert!(seen.contains(says), "{seen}");
        check_becomes("the end of its box", || boxed.containers().is_empty());
        boxed.stage.stop(&nanokimi);
    });
    assert_eq!(nanokimi.wait(), Some(0));
}

#[test]
fn a_container_that_is_killed_or_removed_from_outside_is_tried_again() {
    if !engine::is_there() {
        return;
    }
    for how in [&["kill"][..], &["rm", "--force"]] {
        let boxed = Boxed::new(&format!("cat > /dev/null\n{WAIT}"), "");
        let nanokimi = boxed.stage.start(&[]);
        std::thread::scope(|scope| {
            scope.spawn(|| ask(&nanokimi));
            boxed.left("here");
            let container = &boxed.containers()[0];
            docker(&[how, &[container]].concat());
            let seen = nanokimi.read_until("/v1/events", "", "run.ended");
            // A removal kills first, and either may be seen.
            let is_killed = seen.contains("ended by signal 9, and not by nanokimi");
            assert!(
                is_killed || seen.contains("somebody else removed it"),
                "{seen}"
            );
            assert!(seen.contains("\"retry_at\":\"2"), "{seen}");
            boxed.stage.stop(&nanokimi);
        });
    }
}

#[test]
fn a_container_that_somebody_paused_is_ended_when_its_time_is_over() {
    if !engine::is_there() {
        return;
    }
    let boxed = Boxed::new(
        &format!("cat > /dev/null\n{WAIT}"),
        "agent_timeout = \"2s\"\n",
    );
    let nanokimi = boxed.stage.start(&[]);
    std::thread::scope(|scope| {
        scope.spawn(|| ask(&nanokimi));
        boxed.left("here");
        docker(&["pause", &boxed.containers()[0]]);
        let seen = nanokimi.read_until("/v1/events", "", "run.ended");
        assert!(
            seen.contains("said nothing for 2s and was stopped"),
            "{seen}"
        );
        check_becomes("the end of its box", || boxed.containers().is_empty());
        boxed.stage.stop(&nanokimi);
    });
}

#[test]
fn what_a_killed_orchestrator_leaves_behind_is_gone_before_its_successor_is_ready() {
    if !engine::is_there() {
        return;
    }
    // Deaf: it does not listen to its door.
    let boxed = Boxed::new(&format!("cat > /dev/null\n{WAIT}{}", text("ok")), "");
    let other = Boxed::new(&format!("cat > /dev/null\n{WAIT}{}", text("ok")), "");
    let mut killed = boxed.stage.start(&[]);
    let mut neighbour = other.stage.start(&[]);
    let (_one, _two) = (send(&killed), send(&neighbour));
    boxed.left("here");
    other.left("here");
    let left_behind = boxed.containers();
    assert_eq!(left_behind.len(), 1);
    let untouched = other.containers();
    killed.kill();
    neighbour.kill();
    assert_eq!(boxed.containers(), left_behind, "a box outlives a kill");
    fs_err::remove_file(boxed.stage.root.path().join("groups/ada/here")).unwrap();

    let successor = boxed.stage.start(&[]);
    assert!(!boxed.containers().contains(&left_behind[0]));
    // What the killed one had begun is begun anew.
    boxed.left("here");
    boxed.go();
    successor.read_until(
        "/v1/events",
        "Last-Event-ID: 0\r\n",
        "\"outcome\":\"answered\"",
    );
    assert_eq!(
        other.containers(),
        untouched,
        "another installation's is none of ours"
    );
    let _heir = other.stage.start(&[]);
    assert!(
        !other.containers().contains(&untouched[0]),
        "its own heir's it is"
    );
}

/// Asks, and does not wait for the answer.
pub(crate) fn send(nanokimi: &crate::stage::Running) -> std::net::TcpStream {
    let message = r#"{"session_id":"ada","messages":[{"role":"user","content":"x"}]}"#;
    nanokimi.send("POST", "/v1/chat/completions", message)
}

#[test]
fn after_a_stop_no_box_is_left() {
    if !engine::is_there() {
        return;
    }
    let script = format!("trap '' TERM; cat > /dev/null\n{WAIT}");
    let boxed = Boxed::new(&script, "shutdown_grace = \"6s\"\n");
    let mut nanokimi = boxed.stage.start(&[]);
    let _asked = send(&nanokimi);
    boxed.left("here");
    boxed.stage.stop(&nanokimi);
    assert_eq!(nanokimi.wait(), Some(0));
    assert_eq!(boxed.containers(), Vec::<String>::new());
}

#[test]
fn an_engine_that_goes_away_in_the_middle_and_comes_back_is_used_again() {
    if !engine::is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let boxed = Boxed::new(
        &format!("cat > /dev/null\n{WAIT}{}", text("ok")),
        &format!("docker_host = \"unix://{}\"\n", socket.display()),
    );
    let mut gate = Gate::open(&socket);
    let nanokimi = boxed.stage.start(&[]);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&nanokimi));
        boxed.left("here");
        let left_behind = boxed.containers();
        gate.shut();
        let seen = nanokimi.read_until("/v1/events", "Last-Event-ID: 0\r\n", "\"retry_at\"");
        assert!(seen.contains("does not answer; start it"), "{seen}");
        let health = || nanokimi.ask_with("GET", "/health", "", "").body;
        engine::until("the health tells", || {
            health().contains("\"engine\":\"down\"")
        });
        fs_err::remove_file(boxed.stage.root.path().join("groups/ada/here")).unwrap();

        let _open = Gate::open(&socket);
        boxed.left("here");
        assert!(
            !boxed.containers().contains(&left_behind[0]),
            "one at a time"
        );
        boxed.go();
        assert_eq!(asking.join().unwrap().status, 200);
    });
    let log = boxed.stage.root.path().join("logs/nanokimi.log");
    let log = fs_err::read_to_string(log).unwrap();
    assert!(log.contains("the container engine answers again"), "{log}");
}

#[test]
fn main_reads_the_project_but_none_of_its_secrets() {
    if !engine::is_there() {
        return;
    }
    let script = format!(
        "cat > /dev/null; cd /workspace/project
{{ cat .env data/* store/* keys/* login/* groups/ada/agent; ls -A data store login; touch of-mine; }} > ../group/seen 2> /dev/null
{}",
        text("ok")
    );
    let boxed = Boxed::new(
        "the other's",
        "google_service_account = \"keys/account.json\"\nauth_source = \"login\"\n",
    );
    boxed.stage.write("groups/main/agent", &script);
    boxed.stage.write("keys/account.json", "the account's key");
    boxed.stage.write("login/config.toml", "the login");
    // One that leads nowhere hides nothing, and is in nobody's way.
    std::os::unix::fs::symlink("/nowhere", boxed.stage.root.path().join(".npmrc")).unwrap();
    let nanokimi = boxed.stage.start(&[]);
    let message = r#"{"session_id":"main","messages":[{"role":"user","content":"x"}]}"#;
    let answer = nanokimi.ask("POST", "/v1/chat/completions", message);
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = fs_err::read_to_string(boxed.stage.root.path().join("groups/main/seen"));
    assert_eq!(seen.unwrap(), "the other'sdata:\n\nlogin:\n\nstore:\n");
}

#[test]
fn an_engine_that_does_not_answer_is_waited_for_and_then_named() {
    let stage = Stage::new();
    stage.write(
        "nanokimi.toml",
        "docker_host = \"unix:///nowhere/docker.sock\"\ndocker_wait = \"300ms\"\nhttp_listen = \"127.0.0.1:0\"\n",
    );
    stage.check_refused(10, "agent_runtime = \"host\"");
    let log = fs_err::read_to_string(stage.root.path().join("logs/nanokimi.log")).unwrap();
    assert!(log.contains("waiting for the container engine"), "{log}");
}

#[test]
fn what_the_engine_warns_of_is_told_once() {
    let warning = r#"{"Id":"1","Warnings":["PIDs limit discarded"]}"#;
    let script = [
        ("/info", 200, "{}"),
        ("/images/", 200, r#"{"Id":"sha256:1"}"#),
        ("/containers/create", 201, warning),
        ("/containers/json", 200, "[]"),
        ("DELETE ", 404, r#"{"message":"gone"}"#),
    ];
    let stage = Stage::new();
    let socket = stage.root.path().join("engine.sock");
    let _engine = ScriptedEngine::at(&socket, &script);
    let socket = socket.display();
    stage.write(
        "nanokimi.toml",
        &format!("docker_host = \"unix://{socket}\"\nhttp_listen = \"127.0.0.1:0\"\n"),
    );
    let nanokimi = stage.start(&[]);
    let file = stage.root.path().join("logs/nanokimi.log");
    let told = |what: &str| fs_err::read_to_string(&file).unwrap().matches(what).count();
    // More is not in the script, so each is tried again, which the test does not wait for.
    for attempt in 1..=2 {
        let message = r#"{"session_id":"GROUP","messages":[{"role":"user","content":"x"}]}"#;
        let message = message.replace("GROUP", &format!("ada{attempt}"));
        let _asked = nanokimi.send("POST", "/v1/chat/completions", &message);
        engine::until("a failed attempt", || told("agent run failed") >= attempt);
    }
    assert_eq!(told("PIDs limit discarded"), 1);
}
