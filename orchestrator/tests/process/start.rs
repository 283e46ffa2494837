//! Starts that must be refused, and say why and what to do.

use crate::stage::Stage;

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let stage = Stage::new();
    let garbage = "this is not a database, but somebody's only copy of something".repeat(100);
    stage.write("store/messages.db", &garbage);

    stage.check_refused(3, "messages.db");

    let left = fs_err::read_to_string(stage.root.path().join("store/messages.db"));
    assert_eq!(left.unwrap(), garbage);
}

#[test]
fn a_second_orchestrator_is_refused_and_the_first_goes_on() {
    let stage = Stage::new();
    let first = stage.start(&[]);
    stage.check_refused(3, "another nanokimi");
    assert_eq!(first.ask("GET", "/v1/status", "").status, 200);
}

#[test]
fn settings_that_cannot_work_are_refused_before_anything_is_made() {
    let stage = Stage::new();
    stage.write(
        "nanokimi.toml",
        "agent_runtime = \"host\"\nagent_runner = \"nowhere\"\n",
    );
    stage.check_refused(2, "agent_runner");
    stage.write("nanokimi.toml", "agent_runtime = \"cloud\"\n");
    stage.check_refused(2, "expected `docker` or `host`");
    stage.write("nanokimi.toml", "not toml at all\n");
    stage.check_refused(2, "nanokimi.toml:1:");
    assert!(!stage.root.path().join("store").exists());
}

#[test]
fn a_damaged_token_is_not_replaced_behind_the_operators_back() {
    let stage = Stage::new();
    stage.write("data/api-token", "short");
    stage.check_refused(3, "delete it to get a new one");
}

#[test]
fn commands_say_when_there_is_nothing_to_read() {
    let stage = Stage::new();
    for command in ["status", "groups", "tasks", "sessions"] {
        let list: &[&str] = if command == "status" {
            &["status"]
        } else {
            &[command, "list"]
        };
        let output = stage.run(list);
        assert_eq!(output.status.code(), Some(3), "{command}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("nanokimi has never run here"), "{said}");
    }
}
