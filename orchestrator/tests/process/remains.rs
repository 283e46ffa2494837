//! Containers that should be gone: an engine that does not let them, and what comes from nowhere
//! while nanokimi runs.

use crate::agents::{RESULT, ask};
use crate::containers::send;
use crate::ends::check_becomes;
use crate::engine::{self, Boxed, said};
use crate::gate::Gate;
use crate::stage::Stage;

fn log_of(stage: &Stage) -> String {
    fs_err::read_to_string(stage.root.path().join("logs/nanokimi.log")).unwrap()
}

#[test]
fn an_engine_that_ends_no_container_is_told_of_and_asked_again() {
    if !engine::is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let gate = Gate::open(&socket);
    // The first hangs and is deaf; the next one answers.
    let script = format!(
        "trap '' TERM; cat > /dev/null; echo $HOSTNAME >> started
[ $(wc -l < started) = 1 ] && while true; do sleep 0.1; done
echo '{RESULT}'"
    );
    let boxed = Boxed::new(
        &script,
        &format!(
            "docker_host = \"unix://{}\"\nagent_timeout = \"1s\"\n",
            socket.display()
        ),
    );
    let nanokimi = boxed.stage.start(&[]);
    gate.end_nothing(true);
    let _asking = send(&nanokimi);
    let seen = nanokimi.read_until("/v1/events", "Last-Event-ID: 0\r\n", "event: run.ended");
    assert!(
        seen.contains("said nothing for 1s and could not be stopped"),
        "{seen}"
    );
    assert!(seen.contains("the driver is stuck"), "{seen}");
    assert!(!seen.contains("and was stopped"), "{seen}");
    let alive = boxed.containers();
    assert_eq!(alive.len(), 1, "it was not ended");
    let status = || nanokimi.ask("GET", "/v1/status", "").body;
    check_becomes("a status that tells", || {
        let status = status();
        status.contains("\"stuck\":[{\"container\":\"nanokimi-ada-")
            && status.contains("did not remove the container")
    });
    assert!(status().contains("\"state\":\"up\""), "it answers");
    let told = "a container that was left behind cannot be removed";
    check_becomes("one more try", || log_of(&boxed.stage).contains(told));
    check_becomes("the group's next attempt, which fails", || {
        log_of(&boxed.stage).matches("agent run failed").count() > 1
    });
    assert_eq!(boxed.containers(), alive, "one at a time");
    assert!(gate.refusals("/stop?") > 0 && gate.refusals("/kill?") > 0);

    gate.end_nothing(false);
    check_becomes("the end of what was stuck", || {
        !boxed.containers().contains(&alive[0]) && !status().contains("stuck")
    });
    let started = boxed.stage.root.path().join("groups/ada/started");
    check_becomes("another agent", || {
        fs_err::read_to_string(&started).unwrap().lines().count() == 2
    });
    for told in [
        "the agent's container cannot be removed now; trying again",
        "removed a container that was left behind",
    ] {
        assert!(log_of(&boxed.stage).contains(told), "{told}");
    }
}

#[test]
fn what_is_left_behind_is_removed_while_it_runs_too() {
    if !engine::is_there() {
        return;
    }
    let at_work = "cat > /dev/null; echo here > here; until [ -e go ]; do sleep 0.05; done";
    let boxed = Boxed::new(&format!("{at_work}\necho '{RESULT}'"), "");
    let nanokimi = boxed.stage.start(&[]);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&nanokimi));
        boxed.left("here");
        let own = boxed.containers();
        let other = format!("nanokimi.install=other-{}", std::process::id());
        let start = |label: &str| {
            let sleeps = ["--entrypoint", "sleep", engine::IMAGE, "300"];
            said(&[&["run", "--detach", "--rm", "--label", label][..], &sleeps].concat())
        };
        let orphan = start(&boxed.label());
        let foreign = start(&other);
        let is_there = |id: &str| engine::docker(&["inspect", id]).status.success();
        check_becomes("the end of the orphan", || !is_there(&orphan));
        let spared = is_there(&foreign);
        said(&["rm", "--force", &foreign]);
        assert!(spared, "another installation's is none of ours");
        assert_eq!(boxed.containers(), own, "an agent at work is no orphan");
        boxed.go();
        assert_eq!(asking.join().unwrap().status, 200);
    });
}
