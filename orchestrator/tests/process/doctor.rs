//! `nanokimi doctor` on installations that are broken in one way each, on a good one, and in use.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde::Deserialize;

use crate::engine;
use crate::stage::Stage;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Finding {
    pub(crate) check: String,
    pub(crate) state: String,
    pub(crate) cause: String,
    pub(crate) way_out: Option<String>,
}

const KEY: &str = "sk-or-v1-5eed5eed5eed5eed";

/// What differs from an installation that is well: a file with its text; then what is told of it:
/// check, state, cause and way out.
type Case = [&'static str; 6];

const CASES: [Case; 17] = [
    [
        "nanokimi.toml",
        "max_concurrant = 2\n",
        "settings",
        "broken",
        "nanokimi.toml:1:1: there is no setting `max_concurrant`; did you mean `max_concurrent`?",
        "put it right there",
    ],
    [
        "nanokimi.toml",
        "agent_runtime = 'host'\nagent_runner = 'nowhere'\nhttp_listen = '127.0.0.1:0'\n",
        "runner",
        "broken",
        "nowhere` is not there",
        "cargo build -p agent-runner",
    ],
    [
        "nanokimi.toml",
        "agent_runtime = 'host'\nagent_runner = '/etc/passwd'\nhttp_listen = '127.0.0.1:0'\n",
        "runner",
        "broken",
        "/etc/passwd` cannot be executed",
        "chmod +x",
    ],
    [
        "nanokimi.toml",
        "agent_runtime = 'host'\nagent_runner = '/bin/true'\nhttp_listen = '127.0.0.1:0'\nwhatsapp = 'required'\n",
        "whatsapp",
        "broken",
        "no device is linked",
        "nanokimi auth",
    ],
    [
        "nanokimi.toml",
        "docker_host = 'unix:///nowhere/docker.sock'\nhttp_listen = '127.0.0.1:0'\n",
        "engine",
        "broken",
        "/nowhere/docker.sock` does not answer",
        "start it, set docker_host",
    ],
    [
        "nanokimi.toml",
        "docker_host = 'ssh://elsewhere'\nhttp_listen = '127.0.0.1:0'\n",
        "engine",
        "broken",
        "ssh://elsewhere",
        "unix:///path",
    ],
    [
        "nanokimi.toml",
        "agent_runtime = 'host'\nagent_runner = '/bin/true'\nhttp_listen = '127.0.0.1:0'\nengine = 'acp'\n",
        "acp_command",
        "broken",
        "`kimi` is not found",
        "install it",
    ],
    [
        "nanokimi.toml",
        "agent_runtime = 'host'\nagent_runner = '/bin/true'\nhttp_listen = '127.0.0.1:0'\nengine = 'acp'\nacp_command = '/etc/passwd acp'\n",
        "acp_command",
        "broken",
        "`/etc/passwd` is not found",
        "set acp_command",
    ],
    [
        ".env",
        "",
        "credential",
        "broken",
        "there is no key",
        "into .env",
    ],
    [
        ".env",
        "MOONSHOT_API_KEY=sk-or-5eed\n",
        "credential",
        "broken",
        "does not begin",
        "openrouter.ai",
    ],
    [
        ".env",
        "MOONSHOT_API_KEY='sk-5eed 5eed'\n",
        "credential",
        "broken",
        "spaces",
        "once more",
    ],
    [
        ".env",
        "OPENROUTER_API_KEY=sk-or-5eed\nNANOKIMI_AGENT_RUNTIM=host\n",
        "settings",
        "warning",
        "NANOKIMI_AGENT_RUNTIM",
        "did you mean `agent_runtime`?",
    ],
    [
        "data/env/env",
        "MOONSHOT_API_KEY='sk-5eed'\n",
        "secrets",
        "warning",
        "`data/env/env` (0",
        "chmod 600",
    ],
    [
        "logs",
        "no folder",
        "folders",
        "broken",
        "logs` is no folder",
        "move it away",
    ],
    [
        "data/api-token",
        "short",
        "api",
        "broken",
        "no token of at least 16",
        "delete it",
    ],
    [
        "store/messages.db",
        "somebody's only copy of something else",
        "store",
        "broken",
        "cannot be opened as a database",
        "restore a backup",
    ],
    [
        "store/auth/device.db",
        "somebody's only copy of something else",
        "whatsapp",
        "broken",
        "store/auth cannot be read",
        "nanokimi auth --reset",
    ],
];

const ACP: &str = "agent_runtime = 'host'\nagent_runner = '/bin/true'\nhttp_listen = '127.0.0.1:0'\nengine = 'acp'\nacp_command = '/bin/true'\nllm_model = 'b'\n";

/// The settings of a login; then state, cause and way out.
const LOGINS: [[&str; 4]; 6] = [
    [
        "api_key = 5eed 5eed\n",
        "broken",
        "config.toml cannot be read",
        "kimi login",
    ],
    [
        "[providers.k]\napi_key = '5eed'\n[models.a]\nprovider = 'k'\n",
        "broken",
        "names no default_model",
        "kimi login",
    ],
    [
        "default_model = 'b'\n[providers.k]\napi_key = '5eed'\n[models.a]\nprovider = 'k'\n",
        "broken",
        "no [models.b]",
        "kimi login",
    ],
    [
        "default_model = 'a'\n[models.a]\nprovider = 'x'\n",
        "broken",
        "the provider `x`",
        "kimi login",
    ],
    [
        "default_model = 'a'\n[models.a]\nprovider = 'k'\n[providers.k.oauth]\n",
        "broken",
        "holds no tokens",
        "kimi login",
    ],
    [
        "default_model = 'a'\n[providers.k]\napi_key = '5eed'\n[models.a]\nprovider = 'k'\n",
        "warning",
        "default_model `a` is used",
        "leave llm_model out",
    ],
];

pub(crate) fn well() -> Stage {
    let stage = Stage::new();
    stage.write(".env", &format!("OPENROUTER_API_KEY={KEY}\n"));
    let only_ours = PermissionsExt::from_mode(0o600);
    fs_err::set_permissions(stage.root.path().join(".env"), only_ours).unwrap();
    stage
}

/// What is found, and the exit code; no secret is in it, and nothing has been made or changed.
#[track_caller]
fn examined(stage: &Stage, run: impl Fn(&Stage, &[&str]) -> Output) -> (Vec<Finding>, Option<i32>) {
    let before = files(stage.root.path());
    let output = run(stage, &["doctor", "--json"]);
    let said = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(complaint, "");
    assert!(!said.contains("5eed"), "{said}");
    assert_eq!(files(stage.root.path()), before);
    (serde_json::from_str(&said).unwrap(), output.status.code())
}

#[track_caller]
pub(crate) fn check_found(stage: &Stage, check: &str, state: &str, told: (&str, &str)) {
    check_found_by(stage, Stage::run, (check, state), told);
}

/// The same by somebody else.
#[track_caller]
pub(crate) fn check_found_by(
    stage: &Stage,
    run: impl Fn(&Stage, &[&str]) -> Output,
    (check, state): (&str, &str),
    (cause, way_out): (&str, &str),
) {
    let (found, code) = examined(stage, run);
    let of_state = found
        .iter()
        .find(|found| found.check == check && found.state == state && found.cause.contains(cause));
    let told = of_state.and_then(|found| found.way_out.as_deref());
    assert!(
        told.is_some_and(|told| told.contains(way_out)),
        "{found:#?}"
    );
    let is_broken = found.iter().any(|found| found.state == "broken");
    assert_eq!(code, Some(i32::from(is_broken)));
    let unexpected = found
        .iter()
        .find(|found| found.state == "broken" && found.check != check);
    assert!(unexpected.is_none(), "{found:#?}");
}

/// Every file below a folder, with what is in it; the memory that a database's users share is theirs
/// to write.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.insert(entry.path(), Vec::new());
            found.extend(files(&entry.path()));
        } else if entry.path().to_string_lossy().ends_with("-shm") {
            found.insert(entry.path(), Vec::new());
        } else if kind.is_file() {
            let read = fs_err::read(entry.path());
            // What nobody but root may read says nothing to others.
            let closed = |error: std::io::Error| {
                assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
                Vec::new()
            };
            found.insert(entry.path(), read.unwrap_or_else(closed));
        }
    }
    found
}

#[test]
fn every_broken_set_up_is_told_with_its_cause_and_the_way_out() {
    for [file, text, check, state, cause, way_out] in CASES {
        let stage = well();
        stage.write(file, text);
        check_found(&stage, check, state, (cause, way_out));
    }
}

#[test]
fn a_login_without_a_model_is_told_before_an_agent_fails_by_it() {
    for [login, state, cause, way_out] in LOGINS {
        let stage = well();
        stage.write(".env", "");
        stage.write("nanokimi.toml", ACP);
        stage.write("data/credentials/config.toml", login);
        check_found(&stage, "login", state, (cause, way_out));
    }
}

#[test]
fn a_login_is_looked_at_where_it_will_be_copied_from_and_a_revoked_one_is_none() {
    let stage = well();
    stage.write(".env", "");
    let source = stage.root.path().join("kimi");
    let settings = format!("{ACP}auth_source = '{}'\n", source.display());
    stage.write("nanokimi.toml", &settings.replace("llm_model = 'b'\n", ""));
    stage.write(
        "kimi/config.toml",
        "default_model = 'a'\n[providers.k.oauth]\n[models.a]\nprovider = 'k'\n",
    );
    let stone = r#"{"access_token":"","refresh_token":"","expires_at":0}"#;
    stage.write("kimi/credentials/kimi-code.json", stone);
    let told = ("kimi/credentials holds no tokens", "kimi login");
    check_found(&stage, "login", "broken", told);

    let token = r#"{"access_token":"5eed","refresh_token":"5eed","expires_at":4e9}"#;
    stage.write("kimi/credentials/kimi-code.json", token);
    let (found, code) = examined(&stage, Stage::run);
    let is_ok = |check| {
        found
            .iter()
            .any(|found| found.check == check && found.state == "ok")
    };
    assert!(is_ok("login") && is_ok("credential"), "{found:#?}");
    assert_eq!(code, Some(0));
}

#[test]
fn a_good_installation_is_well_while_it_runs_and_when_it_was_killed() {
    let stage = well();
    let mut running = stage.start(&[]);
    let told = |state: &str| {
        let output = stage.run(&["doctor", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let found: Vec<Finding> = serde_json::from_slice(&output.stdout).unwrap();
        let process = found.iter().find(|found| found.check == "process").unwrap();
        assert_eq!(process.state, state, "{found:#?}");
        let store = found.iter().find(|found| found.check == "store").unwrap();
        assert_eq!(store.state, "ok", "{store:#?}");
        assert!(store.cause.starts_with("whole, schema "), "{store:#?}");
    };
    told("ok");
    assert_eq!(running.ask("GET", "/v1/status", "").status, 200);
    running.kill();
    told("warning");
}

#[test]
fn a_store_of_tomorrow_and_a_damaged_one_are_told_and_left_alone() {
    let stage = well();
    drop(stage.start(&[]));
    let file = stage.root.path().join("store/messages.db");
    let database = rusqlite::Connection::open(&file).unwrap();
    let known: i64 = database
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA user_version = 99;";
    database.execute_batch(checkpoint).unwrap();
    drop(database);
    let newer = format!("schema 99, this one knows {known}");
    check_found(&stage, "store", "broken", (&newer, "run that version"));

    let database = rusqlite::Connection::open(&file).unwrap();
    database.pragma_update(None, "user_version", known).unwrap();
    drop(database);
    let mut bytes = fs_err::read(&file).unwrap();
    // The first page says what there is; behind it lie the tables.
    bytes[4096..12_288].fill(0x5a);
    fs_err::write(&file, bytes).unwrap();
    check_found(&stage, "store", "broken", ("", "restore a backup"));
}

#[test]
fn an_image_that_is_missing_and_containers_that_are_left_are_told() {
    if !engine::is_there() {
        return;
    }
    let stage = well();
    let settings = |image: &str| {
        let address = engine::address();
        format!("docker_host = '{address}'\nhttp_listen = '127.0.0.1:0'\nagent_image = '{image}'\n")
    };
    stage.write("nanokimi.toml", &settings("no-such-agent:1"));
    let missing = ("`no-such-agent:1` is not there", "container/build");
    check_found(&stage, "image", "broken", missing);
    stage.write("nanokimi.toml", &settings("registry.invalid/agent:1"));
    let pulled = ("registry.invalid/agent:1` is not there", "docker pull");
    check_found(&stage, "image", "warning", pulled);

    stage.write("nanokimi.toml", &settings(engine::IMAGE));
    stage.start(&[]).kill();
    let id = fs_err::read_to_string(stage.root.path().join("data/install-id")).unwrap();
    let id = id.split(' ').next().unwrap();
    let name = format!("nanokimi-test-left-{id}");
    let label = format!("nanokimi.install={id}");
    engine::said(&["create", "--name", &name, "--label", &label, engine::IMAGE]);
    let left = ("left behind", format!("docker rm -f {name}"));
    check_found(&stage, "containers", "warning", (left.0, left.1.as_str()));
    engine::said(&["rm", "-f", &name]);
}
