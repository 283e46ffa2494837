//! Workspaces that outlive the machine: what one process releases, another one in an empty
//! folder goes on with.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::agents::{RESULT, ask, installation};
use crate::ends::check_becomes;
use crate::stage::{Answer, Running, Stage};

/// An agent that says how many lines its diary has and which session it was given, and writes
/// one more.
fn diarist() -> Stage {
    installation(&format!(
        "input=$(cat)
lines=$(cat diary 2>/dev/null | wc -l)
case \"$input\" in *s-1*) session=known ;; *) session=new ;; esac
echo line >> diary
printf '#!/bin/sh\\necho run' > tool.sh; chmod 755 tool.sh; : > empty; mkdir -p bare
echo kept > \"$HOME/memory\"
echo \"{{\\\"type\\\":\\\"text\\\",\\\"text\\\":\\\"$lines $session\\\"}}\"
echo '{RESULT}'"
    ))
}

/// A machine whose workspaces are kept in this folder.
fn machine(store: &Path) -> Stage {
    keeping(diarist(), store)
}

fn keeping(stage: Stage, store: &Path) -> Stage {
    let settings = fs_err::read_to_string(stage.root.path().join("nanokimi.toml")).unwrap();
    let store = format!("workspace_store = \"file://{}\"\n", store.display());
    stage.write("nanokimi.toml", &format!("{settings}{store}"));
    stage
}

#[track_caller]
fn check_says(answer: &Answer, text: &str) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains(text), "{answer:?}");
}

/// Returns when a version of the group's workspace is in the store.
fn wait_for_release(nanokimi: &Running, version: u32) {
    let told = format!("\"group\":\"ada\",\"version\":{version},\"files\"");
    nanokimi.read_until("/v1/events", "Last-Event-ID: 0\r\n", &told);
}

/// A machine at rest that has released two versions.
fn with_two_versions(store: &Path) -> Stage {
    let stage = machine(store);
    let mut nanokimi = stage.start(&[]);
    for version in 1..=2 {
        assert_eq!(ask(&nanokimi).status, 200);
        wait_for_release(&nanokimi, version);
    }
    stage.stop(&nanokimi);
    assert_eq!(nanokimi.wait(), Some(0));
    stage
}

#[test]
fn a_killed_machine_is_gone_on_with_on_an_empty_one() {
    let store = tempfile::tempdir().unwrap();
    let first = machine(store.path());
    let mut nanokimi = first.start(&[]);
    check_says(&ask(&nanokimi), "0 new");
    wait_for_release(&nanokimi, 1);
    nanokimi.kill();

    let second = machine(store.path());
    let nanokimi = second.start(&[]);
    check_says(&ask(&nanokimi), "1 known");

    let group = second.root.path().join("groups/ada");
    let read = |name: &str| fs_err::read_to_string(group.join(name)).unwrap();
    assert_eq!(read("diary"), "line\nline\n");
    assert!(group.join("bare").is_dir());
    let home = second.root.path().join("data/sessions/ada/memory");
    assert_eq!(fs_err::read_to_string(home).unwrap(), "kept\n");
}

#[test]
fn what_was_not_released_when_the_process_died_is_released_by_the_next() {
    let store = tempfile::tempdir().unwrap();
    let stage = machine(store.path());
    let mut nanokimi = stage.start(&[]);
    check_says(&ask(&nanokimi), "0 new");
    wait_for_release(&nanokimi, 1);
    nanokimi.kill();
    stage.write("groups/ada/diary", "written by hand\n");

    let nanokimi = stage.start(&[]);
    wait_for_release(&nanokimi, 2);
    drop(nanokimi);

    let listed = stage.run(&["--json", "workspace", "list"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("\"group\": \"ada\""), "{listed}");
    assert!(listed.contains("\"version\": 2"), "{listed}");
    assert!(listed.contains("\"here\": 2"), "{listed}");
}

#[test]
fn a_stop_releases_what_the_last_run_left() {
    let store = tempfile::tempdir().unwrap();
    let stage = machine(store.path());
    let mut nanokimi = stage.start(&[]);
    check_says(&ask(&nanokimi), "0 new");
    stage.stop(&nanokimi);
    assert_eq!(nanokimi.wait(), Some(0));

    let verified = stage.run(&["workspace", "verify", "--deep"]);
    assert_eq!(verified.status.code(), Some(0));
    let listed = stage.run(&["workspace", "list"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("ada\t1\t"), "{listed}");
}

#[test]
fn a_store_that_never_answers_does_not_keep_us_from_ending() {
    let store = tempfile::tempdir().unwrap();
    let first = machine(store.path());
    let mut nanokimi = first.start(&[]);
    check_says(&ask(&nanokimi), "0 new");
    first.stop(&nanokimi);
    assert_eq!(nanokimi.wait(), Some(0));
    // Whoever opens a pipe waits for somebody who writes, as on a disk of a network that is gone.
    for object in fs_err::read_dir(store.path().join("ada/objects")).unwrap() {
        let object = object.unwrap().path();
        fs_err::remove_file(&object).unwrap();
        let pipe = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &object, pipe, 0o644.into(), 0).unwrap();
    }

    let second = machine(store.path());
    let settings = fs_err::read_to_string(second.root.path().join("nanokimi.toml")).unwrap();
    second.write(
        "nanokimi.toml",
        &format!("{settings}shutdown_grace = \"4s\"\n"),
    );
    let mut nanokimi = second.start(&[]);
    let fetched = second.root.path().join("groups/.ada.new");
    check_becomes("a restore", || fetched.exists());
    second.stop(&nanokimi);
    assert_eq!(nanokimi.wait(), Some(0));
}

#[test]
fn commands_say_what_is_damaged_and_bring_back_what_is_whole() {
    let store = tempfile::tempdir().unwrap();
    let stage = with_two_versions(store.path());

    let restored = stage.run(&["workspace", "restore", "ada", "--version", "1"]);
    let said = String::from_utf8_lossy(&restored.stdout).into_owned();
    assert!(said.contains("ada: version 1 is here"), "{said}");
    let diary = stage.root.path().join("groups/ada/diary");
    assert_eq!(fs_err::read_to_string(diary).unwrap(), "line\n");

    let objects = store.path().join("ada/objects");
    let any = fs_err::read_dir(objects).unwrap().next().unwrap().unwrap();
    fs_err::write(any.path(), "damaged, and longer than any of them was").unwrap();
    let verified = stage.run(&["workspace", "verify"]);
    assert_eq!(verified.status.code(), Some(1));
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(said.contains("bytes, not"), "{said}");

    let swept = stage.run(&["workspace", "gc", "--keep", "1", "--older-than", "100ms"]);
    assert_eq!(swept.status.code(), Some(0), "{swept:?}");
}

#[test]
fn one_damaged_manifest_hides_no_other_group_and_is_gone_back_behind() {
    let store = tempfile::tempdir().unwrap();
    let stage = with_two_versions(store.path());
    let newest = store.path().join("ada/manifests/0000000002.json");
    fs_err::write(newest, "{").unwrap();
    let run = |arguments: &[&str]| {
        let output = stage.run(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), said)
    };

    let (code, listed) = run(&["workspace", "list"]);
    assert_eq!(code, Some(0), "{listed}");
    assert!(listed.contains("0000000002.json` is damaged"), "{listed}");
    assert!(listed.contains("main\t1\t"), "{listed}");
    let (code, flaws) = run(&["workspace", "verify"]);
    assert_eq!(code, Some(1), "{flaws}");
    assert!(flaws.contains("ada version 2: its manifest"), "{flaws}");

    let (code, said) = run(&["workspace", "restore", "ada", "--version", "1"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        run(&["workspace", "verify"]),
        (Some(0), "all is whole\n".to_owned())
    );
    let nanokimi = stage.start(&[]);
    check_says(&ask(&nanokimi), "1 known");
    wait_for_release(&nanokimi, 4);
}

#[test]
fn what_cannot_be_restored_is_told_wherever_one_looks() {
    let store = tempfile::tempdir().unwrap();
    let first = machine(store.path());
    let mut nanokimi = first.start(&[]);
    check_says(&ask(&nanokimi), "0 new");
    first.stop(&nanokimi);
    assert_eq!(nanokimi.wait(), Some(0));
    for object in fs_err::read_dir(store.path().join("ada/objects")).unwrap() {
        fs_err::write(object.unwrap().path(), "damaged").unwrap();
    }

    let second = machine(store.path());
    let nanokimi = second.start(&[]);
    let failed = "workspace.restore_failed";
    nanokimi.read_until("/v1/events", "Last-Event-ID: 0\r\n", failed);

    let metrics = nanokimi.ask("GET", "/metrics", "").body;
    let failing = "nanokimi_workspace_releases{state=\"failing\"} 1\n";
    assert!(metrics.contains(failing), "{metrics}");
    for command in ["status", "doctor"] {
        let output = second.run(&[command]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("it is not restored: "), "{command}: {said}");
    }
}

#[test]
fn what_an_agent_has_closed_to_us_stops_no_restore() {
    let stage = diarist();
    let store = stage.root.path().join("attic");
    let stage = keeping(stage, &store);
    let ours = |name: &str| stage.root.path().join("groups/ada").join(name);
    let set_mode = |name: &str, mode| {
        fs_err::set_permissions(ours(name), PermissionsExt::from_mode(mode)).unwrap();
    };
    let mut nanokimi = stage.start(&[]);
    for name in ["closed", "listed"] {
        stage.write(&format!("groups/ada/{name}/note"), "released");
    }
    check_says(&ask(&nanokimi), "0 new");
    stage.stop(&nanokimi);
    assert_eq!(nanokimi.wait(), Some(0));
    stage.write("groups/ada/unknown/note", "x");
    stage.give_away();
    let closed = ["diary", "closed", "listed", "bare", "unknown"];
    for name in closed {
        set_mode(name, if name == "listed" { 0o600 } else { 0o000 });
    }

    let restored = ["workspace", "restore", "ada", "--version", "1"];
    let output = stage.run_as_an_ordinary_user(&restored);

    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let read = |name: &str| fs_err::read_to_string(ours(name)).unwrap();
    assert_eq!(read("diary"), "line\n");
    for name in ["closed", "listed"] {
        assert_eq!(read(&format!("{name}/note")), "released");
    }
    for name in &closed[..4] {
        let beside = format!("{name}.conflict-v1");
        assert!(said.contains(&format!("group/{beside}")), "{said}");
        set_mode(&beside, 0o700);
    }
    set_mode("unknown", 0o700);
    assert_eq!(read("closed.conflict-v1/note"), "released");
    assert_eq!(read("unknown/note"), "x");
}

#[test]
fn what_a_killed_process_has_left_is_cleared_away() {
    let stage = Stage::new();
    let id = "0123456789abcdef0123456789abcdef";
    let left = [
        format!("groups/.ada.{id}/half"),
        "groups/.ada.new/half".to_owned(),
        format!("data/workspace/staged/{id}.json"),
    ];
    let stays = ["groups/.ada.kept/a", "groups/ada/.ada.new/a"];
    for name in left.iter().map(String::as_str).chain(stays) {
        stage.write(name, "x");
    }

    let _nanokimi = stage.start(&[]);

    for name in left {
        assert!(!stage.root.path().join(&name).exists(), "{name}");
    }
    for name in stays {
        assert!(stage.root.path().join(name).exists(), "{name}");
    }
    assert!(!stage.root.path().join("groups/.ada.new").exists());
}

#[test]
fn without_the_setting_there_is_nothing_to_command() {
    let stage = Stage::new();
    let listed = stage.run(&["workspace", "list"]);
    assert_eq!(listed.status.code(), Some(1));
    let said = String::from_utf8_lossy(&listed.stderr).into_owned();
    assert!(said.contains("workspace_store is not set"), "{said}");
}

/// An agent that shows its token and waits until it is let go.
fn waiting(store: &Path) -> Stage {
    let stage = installation(&format!(
        "cat > /dev/null
mkfifo ../../go; echo $NANOKIMI_RUN_TOKEN > ../../token.new; mv ../../token.new ../../token
read -r _ < ../../go
echo '{{\"type\":\"text\",\"text\":\"done\"}}'; echo '{RESULT}'"
    ));
    keeping(stage, store)
}

/// What an agent without our disk does while its run lasts.
fn deliver(check: impl FnOnce(&Stage, &Running, &str)) {
    let store = tempfile::tempdir().unwrap();
    let stage = waiting(store.path());
    let nanokimi = stage.start(&[]);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&nanokimi));
        nanokimi.read_until("/v1/events", "Last-Event-ID: 0\r\n", "run.started");
        let until = std::time::Instant::now() + crate::stage::PATIENCE;
        let file = stage.root.path().join("token");
        while !file.exists() {
            assert!(
                std::time::Instant::now() < until,
                "the agent shows no token"
            );
            std::thread::yield_now();
        }
        let token = fs_err::read_to_string(file).unwrap();
        let headers = format!("Authorization: Bearer {}\r\n", token.trim());
        check(&stage, &nanokimi, &headers);
        fs_err::write(stage.root.path().join("go"), "go\n").unwrap();
        check_says(&asking.join().unwrap(), "done");
    });
}

const RELEASE: &str = "/internal/workspace/release";
const CHANGES: &str = r#"{"changes":[{"scope":"group","path":"notes/a.md","type":"added","content_base64":"aGk=","executable":true,"size":2}]}"#;

fn packed(text: &str) -> Vec<u8> {
    let mut packing = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packing.write_all(text.as_bytes()).unwrap();
    packing.finish().unwrap()
}

#[test]
fn an_agent_without_our_disk_delivers_its_changes() {
    deliver(|stage, nanokimi, token| {
        let headers = format!("{token}Content-Encoding: gzip\r\n");
        let answer = nanokimi.ask_bytes("POST", RELEASE, &headers, &packed(CHANGES));
        check_says(&answer, r#"{"ok":true,"change_count":1}"#);
        let note = stage.root.path().join("groups/ada/notes/a.md");
        assert_eq!(fs_err::read_to_string(note).unwrap(), "hi");
        wait_for_release(nanokimi, 1);
    });
}

#[test]
fn what_is_staged_is_released_once_by_its_key() {
    deliver(|stage, nanokimi, token| {
        let staged = nanokimi.ask_with("POST", "/internal/workspace-staging", token, CHANGES);
        assert_eq!(staged.status, 200, "{staged:?}");
        let note = stage.root.path().join("groups/ada/notes/a.md");
        assert!(!note.exists());
        let first = nanokimi.ask_with("POST", RELEASE, token, &staged.body);
        check_says(&first, r#""ok":true"#);
        assert_eq!(fs_err::read_to_string(note).unwrap(), "hi");
        let second = nanokimi.ask_with("POST", RELEASE, token, &staged.body);
        assert_eq!(second.status, 404, "{second:?}");
    });
}

#[test]
fn a_token_opens_its_own_groups_workspace_and_no_other() {
    deliver(|stage, nanokimi, token| {
        let other = CHANGES.replace("\"group\"", "\"work\"");
        let refused = nanokimi.ask_with("POST", RELEASE, token, &other);
        assert_eq!(refused.status, 403, "{refused:?}");
        let climbing = CHANGES.replace("notes/a.md", "../work/a.md");
        let refused = nanokimi.ask_with("POST", RELEASE, token, &climbing);
        assert_eq!(refused.status, 400, "{refused:?}");
        assert!(!stage.root.path().join("groups/work").exists());
        let provision = "/internal/workspace/provision?scope=";
        let refused = nanokimi.ask_with("GET", &format!("{provision}work"), token, "");
        assert_eq!(refused.status, 403, "{refused:?}");
        // The operator's token is no run's.
        let refused = nanokimi.ask("GET", &format!("{provision}group"), "");
        assert_eq!(refused.status, 401, "{refused:?}");
        let refused = nanokimi.ask_with("POST", RELEASE, "", CHANGES);
        assert_eq!(refused.status, 401, "{refused:?}");
        // Nor is a run's the operator's.
        let refused = nanokimi.ask_with("GET", "/v1/status", token, "");
        assert_eq!(refused.status, 401, "{refused:?}");
    });
}

#[test]
fn a_body_that_is_too_large_is_refused_however_it_is_packed() {
    deliver(|_stage, nanokimi, token| {
        let bomb = packed(&" ".repeat(51 << 20));
        let headers = format!("{token}Content-Encoding: gzip\r\n");
        let refused = nanokimi.ask_bytes("POST", RELEASE, &headers, &bomb);
        assert_eq!(refused.status, 413, "{refused:?}");
    });
}
