//! Stores of other versions: one of the past goes on where it was, one of the future is refused
//! and left as it is.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::agents::{RESULT, installation};
use crate::stage::{Running, Stage};

const FIRST_VERSION: &str = include_str!("../../../fixtures/store/first-version.sql");
/// A little after its orchestrator was killed.
const LATER: [&str; 2] = ["--test-clock", "2026-11-20T09:30:00Z"];

fn store_of(stage: &Stage) -> Connection {
    let folder = stage.root.path().join("store");
    fs_err::create_dir_all(&folder).unwrap();
    Connection::open(folder.join("messages.db")).unwrap()
}

fn one<T: rusqlite::types::FromSql>(store: &Connection, query: &str) -> T {
    store.query_row(query, [], |row| row.get(0)).unwrap()
}

/// An installation of the first version whose agents write down what they are asked.
fn of_the_first_version() -> Stage {
    let said = r#"{"type":"text","text":"Done."}"#;
    let stage = installation(&format!(
        "cat >> asked; echo >> asked; echo '{said}'; echo '{RESULT}'"
    ));
    stage.write(
        "nanokimi.toml",
        "agent_runtime = \"host\"\nagent_runner = \"agent\"\nhttp_listen = \"127.0.0.1:0\"\ntime_zone = \"UTC\"\n",
    );
    store_of(&stage).execute_batch(FIRST_VERSION).unwrap();
    stage
}

/// Lets time pass, and all come to rest that it sets off.
#[track_caller]
fn pass(nanokimi: &Running, lapse: &str) {
    let body = format!("{{\"advance\":\"{lapse}\"}}");
    let moved = nanokimi.ask("POST", "/v1/clock", &body);
    assert!(moved.body.contains("\"settled\":true"), "{moved:?}");
}

fn asked(stage: &Stage) -> Vec<String> {
    let path = stage.root.path().join("groups/family/asked");
    let text = fs_err::read_to_string(path).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_store_of_the_first_version_goes_on_where_it_was() {
    let stage = of_the_first_version();
    let nanokimi = stage.start(&LATER);
    pass(&nanokimi, "0s");

    let taxi = "\"text\":\"The taxi comes at seven.\"";
    let told = nanokimi.read_until("/v1/events", "Last-Event-ID: 0\r\n", taxi);
    assert!(!told.contains("A fine name for a cat."), "{told}");
    let history = nanokimi.ask("GET", "/v1/chat/sessions/family/history", "");
    for line in ["Our cat is called Miso.", "The plumber comes", "Done."] {
        assert!(history.body.contains(line), "{line} in {history:?}");
    }
    let asked = asked(&stage);
    let [cake, task] = &asked[..] else {
        panic!("{asked:?}");
    };
    assert!(task.contains("water the figs"), "{task}");
    assert!(!task.contains("\"sessionId\""), "{task}");
    assert!(cake.contains("Is the cake ordered?"), "{cake}");
    let session = "\"sessionId\":\"f4b9e2a0-7c35-4d1f-8e6a-3b5d9c0f2e22\"";
    assert!(cake.contains(session), "{cake}");
}

#[test]
fn the_tasks_of_the_first_version_are_there_and_come_due() {
    let stage = of_the_first_version();
    let nanokimi = stage.start(&LATER);
    pass(&nanokimi, "39m");
    let before = asked(&stage).len();
    pass(&nanokimi, "2m");
    let since = asked(&stage).split_off(before).concat();
    assert!(since.contains("water the figs"), "{since}");

    let output = stage.run(&["tasks", "list"]);
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in [
        "brief\tmain\tactive\tCron 0 8 * * 1-5\tnext 2026-11-23T08:00:00Z\tthe brief of the day",
        "water\tfamily\tactive\tInterval 1h\tnext 2026-11-20T11:10:00Z\twater the figs",
        "task-9be01d27\tfamily\tcompleted\tOnce 2026-11-19T15:00:00\tnext -\tremind us of the dentist",
        "task-41c7aa90\tmain\tpaused\tInterval 900000\tnext 2026-11-19T10:00:00Z\tcount the birds",
    ] {
        assert!(
            listed.lines().any(|found| found == line),
            "{line} in {listed}"
        );
    }
}

#[test]
fn nothing_of_a_store_of_the_first_version_is_lost_or_said_again() {
    let fresh = Stage::new();
    drop(fresh.start(&[]));
    let ours: i64 = one(&store_of(&fresh), "PRAGMA user_version");
    let stage = of_the_first_version();
    let kept =
        "SELECT json_group_array(json_array(chat_jid, text, message_id, sent_at)) FROM outbox
                WHERE state = 'sent' AND id < 5";
    let said: String = one(&store_of(&stage), kept);
    for _start in 1..=2 {
        let mut nanokimi = stage.start(&LATER);
        pass(&nanokimi, "0s");
        stage.stop(&nanokimi);
        assert_eq!(nanokimi.wait(), Some(0));
    }

    let store = store_of(&stage);
    assert_eq!(one::<i64>(&store, "PRAGMA user_version"), ours);
    assert_eq!(one::<String>(&store, "PRAGMA integrity_check"), "ok");
    let broken = "SELECT count(*) FROM pragma_foreign_key_check";
    assert_eq!(one::<i64>(&store, broken), 0);
    assert_eq!(one::<String>(&store, kept), said);
    let taxi = "SELECT json_array(message_id, state, attempts) FROM outbox WHERE id = 5";
    assert_eq!(
        one::<String>(&store, taxi),
        r#"["c5d6e7f8-1a2b-4c3d-9e4f-5a6b7c8d9e04-0","sent",1]"#
    );
    let states = "SELECT group_concat(state, ' ') FROM (SELECT state FROM messages ORDER BY seq)";
    assert_eq!(
        one::<String>(&store, states),
        "answered failed answered answered"
    );
    assert_eq!(asked(&stage).len(), 2, "each is worked at once");
}

/// Makes a store of this version one of a version to come; returns the version we know. Whoever
/// drops the connection has the last writer end in order.
fn as_of_the_future(stage: &Stage, journal: &str) -> (Connection, i64) {
    drop(stage.start(&[]));
    let store = store_of(stage);
    let known = one(&store, "PRAGMA user_version");
    let changes = format!(
        "PRAGMA journal_mode = {journal}; PRAGMA wal_autocheckpoint = 0;
         ALTER TABLE messages ADD COLUMN mood TEXT;
         CREATE TABLE moods (name TEXT PRIMARY KEY) STRICT;
         INSERT INTO moods VALUES ('cheerful');
         PRAGMA user_version = 99;"
    );
    store.execute_batch(&changes).unwrap();
    (store, known)
}

/// The bytes of all files of the store but two: the lock, which says who looked at it last, and
/// the index over the log, which every reader makes anew.
fn bytes_of(stage: &Stage) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs_err::read_dir(stage.root.path().join("store")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name != "lock" && name != "messages.db-shm" {
            files.insert(name, fs_err::read(entry.path()).unwrap());
        }
    }
    files
}

#[track_caller]
fn check_left_alone(stage: &Stage, known: i64) {
    let before = bytes_of(stage);
    let says = format!(
        "messages.db: was written by a newer nanokimi (schema 99, this one knows {known}); run that version, or restore a backup"
    );
    stage.check_refused(3, &says);
    for command in [
        &["status"][..],
        &["tasks", "list"],
        &["sessions", "clear", "ada"],
        &["groups", "register", "http:bob", "--folder", "bob"],
    ] {
        let output = stage.run(command);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{command:?}: {said}");
        assert!(said.contains(&says), "{command:?}: {said}");
    }
    let after = bytes_of(stage);
    assert!(
        before.keys().eq(after.keys()),
        "{:?} became {:?}",
        before.keys(),
        after.keys()
    );
    for (name, bytes) in &before {
        assert!(after[name] == *bytes, "{name} has changed");
    }
}

#[test]
fn a_store_of_the_future_is_refused_untouched() {
    // The second is what no version of ours makes: nothing but its number may be taken for granted.
    for journal in ["WAL", "DELETE"] {
        let stage = Stage::new();
        let (last_writer, known) = as_of_the_future(&stage, journal);
        drop(last_writer);
        check_left_alone(&stage, known);
    }
}

#[test]
fn a_store_of_the_future_whose_writer_was_killed_keeps_what_is_in_its_log() {
    let alive = Stage::new();
    let (last_writer, known) = as_of_the_future(&alive, "WAL");
    let killed = Stage::new();
    let (from, to) = (alive.root.path(), killed.root.path());
    fs_err::create_dir(to.join("store")).unwrap();
    for name in ["messages.db", "messages.db-wal", "messages.db-shm"] {
        let (from, to) = (from.join("store").join(name), to.join("store").join(name));
        fs_err::copy(from, to).unwrap();
    }
    drop(last_writer);

    check_left_alone(&killed, known);

    let moods = "SELECT count(*) FROM moods";
    assert_eq!(one::<i64>(&store_of(&killed), moods), 1);
}
