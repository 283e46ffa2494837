//! `nanokimi doctor` on set-ups that take more than a file to break: rights, sockets, whoever has
//! the port, an engine with something to say.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::thread::JoinHandle;

use crate::doctor::{Finding, check_found, check_found_by, well};
use crate::scripted_engine::{Line, ScriptedEngine};
use crate::stage::Stage;

const HOST: &str = "agent_runtime = 'host'\nagent_runner = '/bin/true'\n";

/// What its owner may not use, by these permissions; then check, cause and way out.
type Closed = (&'static str, u32, [&'static str; 3]);

const CLOSED: [Closed; 9] = [
    (
        ".",
        0o500,
        ["folders", "cannot be written to by this user", "chown -R"],
    ),
    (
        "logs",
        0o500,
        ["folders", "logs` cannot be written to", "as the user"],
    ),
    (
        ".env",
        0o000,
        ["settings", ".env`: Permission denied", "put it right"],
    ),
    (
        "data/api-token",
        0o000,
        ["api", "api-token`: Permission denied", "ask as the user"],
    ),
    (
        "store/lock",
        0o000,
        ["process", "cannot be seen: ", "ask as the user"],
    ),
    (
        "groups/ada",
        0o500,
        ["logs", "no agent of `ada` can run", "chown -R <user>"],
    ),
    (
        "groups/bob/logs",
        0o500,
        ["logs", "no agent of `bob` can run", "as the user"],
    ),
    (
        "data/sessions/ada",
        0o500,
        [
            "sessions",
            "no agent of `ada` can run: it is its agents' home",
            "chown -R <user>",
        ],
    ),
    (
        "data/ipc",
        0o500,
        [
            "sessions",
            "data/ipc` cannot be written to by this user, so no agent can run",
            "chown -R <user>",
        ],
    ),
];

fn set(stage: &Stage, name: &str, mode: u32) {
    let path = stage.root.path().join(name);
    fs_err::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn what_this_user_may_not_use_is_told_with_whose_it_should_be() {
    for (name, mode, [check, cause, way_out]) in CLOSED {
        let stage = well();
        stage.write("logs/nanokimi.log", "");
        stage.write("groups/ada/CLAUDE.md", "");
        stage.write("groups/bob/logs/container-1.log", "");
        stage.write("data/sessions/ada/memory", "");
        stage.write("data/ipc/ada/current_tasks.json", "[]");
        stage.write("store/lock", "");
        stage.write("data/api-token", "5eed5eed5eed5eed5eed\n");
        set(&stage, "data/api-token", 0o600);
        stage.give_away();
        set(&stage, name, mode);
        let asked = Stage::run_as_an_ordinary_user;
        check_found_by(&stage, asked, (check, "broken"), (cause, way_out));
        set(&stage, name, 0o700);
    }
}

#[test]
fn an_engine_whose_socket_this_user_may_not_open_is_told() {
    let stage = well();
    let socket = stage.root.path().join("engine.sock");
    let _engine = UnixListener::bind(&socket).unwrap();
    let settings = format!(
        "docker_host = 'unix://{}'\nhttp_listen = '127.0.0.1:0'\n",
        socket.display()
    );
    stage.write("nanokimi.toml", &settings);
    stage.give_away();
    set(&stage, "engine.sock", 0o000);
    let told = ("may not be used by this user", "usermod -aG docker");
    let asked = Stage::run_as_an_ordinary_user;
    check_found_by(&stage, asked, ("engine", "broken"), told);
}

/// An installation in containers, on an engine with this script.
fn on_engine(settings: &str, script: &[Line]) -> (Stage, ScriptedEngine) {
    let stage = well();
    let socket = stage.root.path().join("engine.sock");
    let engine = ScriptedEngine::at(&socket, &[script, &[WELL]].concat());
    let socket = socket.display();
    let settings =
        format!("docker_host = 'unix://{socket}'\nhttp_listen = '127.0.0.1:0'\n{settings}");
    stage.write("nanokimi.toml", &settings);
    (stage, engine)
}

const WELL: Line = ("/info", 200, "{}");
const NO_IMAGE: Line = ("/json", 404, r#"{"message":"no such image"}"#);
const AN_IMAGE: Line = ("/images/", 200, r#"{"Id":"sha256:1"}"#);

#[test]
fn an_image_that_is_missing_is_told_with_where_it_comes_from() {
    let (stage, _engine) = on_engine("", &[NO_IMAGE]);
    let made = ("`nanokimi-agent:latest` is not there", "container/build");
    check_found(&stage, "image", "broken", made);

    let settings = "agent_image = 'registry.invalid/agent:1'\n";
    let (stage, _engine) = on_engine(settings, &[NO_IMAGE]);
    let pulled = (
        "registry.invalid/agent:1` is not there",
        "docker pull registry",
    );
    check_found(&stage, "image", "warning", pulled);
}

#[test]
fn containers_that_a_killed_one_has_left_are_told_by_their_names() {
    let left = r#"[{"Names":["/nanokimi-ada-1"]},{"Names":["/nanokimi-bob-2"]}]"#;
    let script = [AN_IMAGE, ("/containers/json", 200, left)];
    let (stage, _engine) = on_engine("", &script);
    stage.write("data/install-id", "");
    let data = fs_err::metadata(stage.root.path().join("data")).unwrap();
    let id = format!("{} {}\n", "0123456789abcdef".repeat(2), data.ino());
    stage.write("data/install-id", &id);
    let told = (
        "left behind: nanokimi-ada-1 nanokimi-bob-2",
        "docker rm -f nanokimi-ada-1 nanokimi-bob-2",
    );
    check_found(&stage, "containers", "warning", told);
}

#[test]
fn limits_that_an_engine_does_not_keep_are_told() {
    let info = r#"{"MemoryLimit":true,"CpuCfsQuota":false,"PidsLimit":false}"#;
    let script = [AN_IMAGE, ("/info", 200, info)];
    let (stage, _engine) = on_engine("", &script);
    let told = (
        "answers and does not keep agent_cpus, agent_pids",
        "cgroup controllers",
    );
    check_found(&stage, "engine", "warning", told);
}

#[test]
fn an_engine_that_fails_is_told_with_what_it_said() {
    let failed: Line = (
        "/images/",
        500,
        r#"{"message":"the driver of storage is gone"}"#,
    );
    let (stage, _engine) = on_engine("", &[failed]);
    let told = ("the driver of storage is gone", "see the engine's own log");
    check_found(&stage, "engine", "broken", told);
}

#[test]
fn a_port_that_somebody_else_has_is_told() {
    let stage = well();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap();
    stage.write(
        "nanokimi.toml",
        &format!("{HOST}http_listen = '{address}'\n"),
    );
    let cause = format!("http_listen: {address} cannot be listened on");
    check_found(&stage, "api", "broken", (&cause, "port 0 for any free one"));
}

/// Whoever is here answers one request so.
fn answering(says: &'static str) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let answering = std::thread::spawn(move || {
        let (mut caller, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        let mut byte = [0];
        while !asked.ends_with(b"\r\n\r\n") {
            caller.read_exact(&mut byte).unwrap();
            asked.push(byte[0]);
        }
        caller.write_all(says.as_bytes()).unwrap();
    });
    (address, answering)
}

/// Holds the folder as a nanokimi that runs does, as long as this lives.
pub(crate) fn held(stage: &Stage, listens_at: &str) -> fs_err::File {
    let pid = std::process::id();
    stage.write("store/lock", &format!("{pid}\n{listens_at}\n"));
    let lock = fs_err::File::open(stage.root.path().join("store/lock")).unwrap();
    lock.file().lock().unwrap();
    lock
}

#[test]
fn one_that_runs_and_is_not_well_is_told_with_what_it_says() {
    for (says, told) in [
        (
            "HTTP/1.1 503 Service Unavailable\r\n\r\n",
            "it says `HTTP/1.1 503",
        ),
        (
            "SSH-2.0-OpenSSH_9.2p1\r\n",
            "it says `SSH-2.0-OpenSSH_9.2p1`",
        ),
        ("", "it hangs up"),
    ] {
        let stage = well();
        let (address, answering) = answering(says);
        let _held = held(&stage, &address.to_string());
        let cause = format!("http://{address}/health does not answer as it should: {told}");
        check_found(&stage, "api", "broken", (&cause, "see logs/nanokimi.log"));
        answering.join().unwrap();
    }
}

/// What is found of one kind, while things change or are too large to be compared.
fn found(stage: &Stage, check: &str) -> Finding {
    let output = stage.run(&["doctor", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let found: Vec<Finding> = serde_json::from_slice(&output.stdout).unwrap();
    let of_kind = found.into_iter().find(|found| found.check == check);
    of_kind.unwrap()
}

#[test]
fn one_that_listens_elsewhere_than_it_is_set_to_by_now_is_told() {
    let stage = well();
    let _nanokimi = stage.start(&[]);
    assert!(found(&stage, "api").cause.ends_with("/health answers"));
    let wanted = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let wanted = wanted.local_addr().unwrap();
    let settings = format!("{HOST}http_listen = '{wanted}'\n");
    stage.write("nanokimi.toml", &settings);
    let moved = found(&stage, "api");
    assert_eq!(moved.state, "warning", "{moved:?}");
    let cause = format!(", and http_listen says {wanted} by now");
    assert!(moved.cause.ends_with(&cause), "{moved:?}");
    assert!(moved.way_out.unwrap().contains("start it again"));
}

#[test]
fn a_clock_behind_what_is_in_the_store_is_told() {
    let stage = well();
    drop(stage.start(&[]));
    let database = rusqlite::Connection::open(stage.root.path().join("store/messages.db"));
    let message = "INSERT INTO messages (chat_jid, id, sender, sender_name, content, sent_at, state)
                   VALUES ('http:main', 'm', 'ada', 'Ada', 'hi', '2099-01-01T00:00:00.000Z', 'answered')";
    database.unwrap().execute(message, []).unwrap();
    let told = (
        "the newest message in the store is of 2099-01-01",
        "set the clock",
    );
    check_found(&stage, "clock", "broken", told);
}

#[test]
fn run_logs_that_nobody_clears_are_told() {
    let stage = well();
    stage.write("groups/ada/logs/container-1.log", "");
    let log = stage.root.path().join("groups/ada/logs/container-1.log");
    // It takes no room on the disk.
    let log = fs_err::OpenOptions::new().write(true).open(log).unwrap();
    log.set_len(3 << 30).unwrap();
    let logs = found(&stage, "logs");
    assert_eq!(logs.state, "warning", "{logs:?}");
    let cause = "run logs take 3072 MiB, 3072 MiB of them in groups/ada/logs";
    assert_eq!(logs.cause, cause);
    let way_out = logs.way_out.as_deref().unwrap();
    assert!(way_out.contains("-mtime +30 -delete"), "{logs:?}");
}

/// What is said of a folder in which something is broken.
fn said_of(root: &Path) -> String {
    let doctor = Command::new(env!("CARGO_BIN_EXE_nanokimi"))
        .env_clear()
        .arg("--root")
        .arg(root)
        .arg("doctor")
        .output()
        .unwrap();
    assert_eq!(doctor.status.code(), Some(1), "{doctor:?}");
    String::from_utf8(doctor.stdout).unwrap()
}

#[test]
fn a_root_that_is_no_folder_is_told() {
    let stage = well();
    let nowhere = stage.root.path().join("nowhere");
    let said = said_of(&nowhere);
    let told = format!(
        "broken   folders: `{}` is no folder → give the folder",
        nowhere.display()
    );
    assert!(said.contains(&told), "{said}");
    assert!(!nowhere.exists());
}

#[test]
fn a_disk_without_room_is_told() {
    // A file system of the kernel's, which has folders and room for nothing.
    let said = said_of(Path::new("/sys"));
    let told = "broken   disk: 0 MiB are free → free some space: logs/ and groups/*/logs/";
    assert!(said.contains(told), "{said}");
}
