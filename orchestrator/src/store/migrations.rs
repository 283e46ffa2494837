//! The schema, version by version. A version that has been released is never edited.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err::File;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite_migration::{M, Migrations};

use super::StoreError;

/// A command of the same installation may hold the write lock for a moment.
const BUSY: Duration = Duration::from_secs(5);

const V1: &str = "
CREATE TABLE chats (
    jid TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    is_group INTEGER NOT NULL,
    last_activity TEXT NOT NULL
) STRICT;

CREATE TABLE groups (
    folder TEXT PRIMARY KEY,
    chat_jid TEXT NOT NULL UNIQUE REFERENCES chats(jid),
    name TEXT NOT NULL,
    trigger_pattern TEXT,
    requires_trigger INTEGER NOT NULL,
    is_main INTEGER NOT NULL,
    added_at TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX one_main_group ON groups(is_main) WHERE is_main = 1;

CREATE TABLE messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    chat_jid TEXT NOT NULL REFERENCES chats(jid),
    id TEXT NOT NULL,
    sender TEXT NOT NULL,
    sender_name TEXT NOT NULL,
    content TEXT NOT NULL,
    sent_at TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting','queued','in_flight','answered','failed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    -- How often it was given up; after the first time the next message takes it along.
    given_up INTEGER NOT NULL DEFAULT 0,
    run_id TEXT REFERENCES runs(id),
    UNIQUE (chat_jid, id)
) STRICT;
CREATE INDEX open_messages ON messages(chat_jid, seq) WHERE state IN ('waiting','queued','in_flight');

-- A run is also the claim on what it works at: the messages that name it, or its task.
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    group_folder TEXT NOT NULL REFERENCES groups(folder),
    kind TEXT NOT NULL CHECK (kind IN ('message','task')),
    task_id TEXT,
    due_at TEXT,
    state TEXT NOT NULL CHECK (state IN ('queued','in_flight','ended')),
    attempt INTEGER NOT NULL,
    outcome TEXT CHECK (outcome IN ('answered','silent','failed','interrupted')),
    error TEXT,
    session_id TEXT,
    created_at TEXT NOT NULL,
    started_at TEXT,
    ended_at TEXT
) STRICT;
CREATE INDEX open_runs ON runs(group_folder, created_at) WHERE state <> 'ended';
-- At most one live run per group.
CREATE UNIQUE INDEX one_run_per_group ON runs(group_folder) WHERE state = 'in_flight';

CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    chat_jid TEXT NOT NULL REFERENCES chats(jid),
    run_id TEXT REFERENCES runs(id),
    output_index INTEGER,
    text TEXT NOT NULL,
    -- Chosen before the first attempt, so that a repeated one is the same message.
    message_id TEXT NOT NULL UNIQUE,
    after_seq INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending','sent','failed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    sent_at TEXT,
    UNIQUE (run_id, output_index)
) STRICT;
CREATE INDEX unsent ON outbox(chat_jid, id) WHERE state = 'pending';

CREATE TABLE sessions (
    group_folder TEXT PRIMARY KEY REFERENCES groups(folder),
    session_id TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

CREATE TABLE tasks (
    id TEXT PRIMARY KEY,
    group_folder TEXT NOT NULL REFERENCES groups(folder),
    prompt TEXT NOT NULL,
    schedule_type TEXT NOT NULL CHECK (schedule_type IN ('cron','interval','once')),
    schedule_value TEXT NOT NULL,
    context_mode TEXT NOT NULL CHECK (context_mode IN ('group','isolated')),
    status TEXT NOT NULL CHECK (status IN ('active','paused','completed')),
    next_run TEXT,
    last_run TEXT,
    last_result TEXT,
    created_at TEXT NOT NULL
) STRICT;
CREATE INDEX due_tasks ON tasks(next_run) WHERE status = 'active';

CREATE TABLE task_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT NOT NULL REFERENCES tasks(id) ON DELETE CASCADE,
    run_id TEXT NOT NULL,
    due_at TEXT NOT NULL,
    ended_at TEXT NOT NULL,
    duration_ms INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    result TEXT,
    error TEXT
) STRICT;

-- An IPC file that has been handled, until it is gone from the disk.
CREATE TABLE ipc_receipts (
    group_folder TEXT NOT NULL,
    file TEXT NOT NULL,
    handled_at TEXT NOT NULL,
    PRIMARY KEY (group_folder, file)
) STRICT;
";

/// WhatsApp: who wrote, what was quoted, edited and taken back; texts in parts, with media, and
/// how far they got; the state of channels.
const V2: &str = "
-- Written with the number that the assistant uses: by its owner, or by itself.
ALTER TABLE messages ADD COLUMN from_me INTEGER NOT NULL DEFAULT 0;
-- The assistant's own words, come back from the network.
ALTER TABLE messages ADD COLUMN is_bot INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN quoted_id TEXT;
ALTER TABLE messages ADD COLUMN quoted_from TEXT;
ALTER TABLE messages ADD COLUMN quoted_text TEXT;
-- A file below the group's folder.
ALTER TABLE messages ADD COLUMN media TEXT;
-- What the content says of it, which a new caption leaves as it is.
ALTER TABLE messages ADD COLUMN media_note TEXT;
ALTER TABLE messages ADD COLUMN edited_at TEXT;
-- Taken back by whoever wrote it: its content is gone.
ALTER TABLE messages ADD COLUMN revoked_at TEXT;

CREATE TABLE outbox_v2 (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    chat_jid TEXT NOT NULL REFERENCES chats(jid),
    run_id TEXT REFERENCES runs(id),
    output_index INTEGER,
    -- A text too long for its channel leaves in parts, counted from 0.
    part INTEGER NOT NULL DEFAULT 0,
    text TEXT NOT NULL,
    -- A file to send with the text: in which group's folder, and where below it.
    media_group TEXT,
    media_path TEXT,
    -- Chosen before the first attempt, so that a repeated one is the same message.
    message_id TEXT NOT NULL UNIQUE,
    after_seq INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending','sent','delivered','read','failed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    -- Why the last attempt failed.
    error TEXT,
    created_at TEXT NOT NULL,
    sent_at TEXT,
    delivered_at TEXT,
    read_at TEXT,
    UNIQUE (run_id, output_index, part)
) STRICT;
INSERT INTO outbox_v2 (id, chat_jid, run_id, output_index, text, message_id, after_seq, state, attempts, created_at, sent_at)
    SELECT id, chat_jid, run_id, output_index, text, message_id, after_seq, state, attempts, created_at, sent_at FROM outbox;
DROP TABLE outbox;
ALTER TABLE outbox_v2 RENAME TO outbox;
CREATE INDEX unsent ON outbox(chat_jid, id) WHERE state = 'pending';

-- How each channel stands.
CREATE TABLE channels (
    name TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    detail TEXT,
    retry_at TEXT,
    since TEXT NOT NULL
) STRICT;

-- When something was last read from the network.
CREATE TABLE syncs (
    what TEXT PRIMARY KEY,
    at TEXT NOT NULL
) STRICT;
";

/// Workspaces that outlive the machine.
const V3: &str = "
-- A release that is owed to the store, kept until it has been made.
CREATE TABLE workspace_releases (
    group_folder TEXT PRIMARY KEY,
    owed_since TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    retry_at TEXT,
    -- Why the last attempt failed.
    problem TEXT
) STRICT;
";

/// Conversations that a group goes on with no more.
const V4: &str = "
-- Until an agent of the group has written it down.
CREATE TABLE left_sessions (
    group_folder TEXT NOT NULL REFERENCES groups(folder),
    session_id TEXT NOT NULL,
    -- Of its last turn.
    updated_at TEXT NOT NULL,
    PRIMARY KEY (group_folder, session_id)
) STRICT;
";

/// What groups see of this machine besides their own folders.
const V5: &str = "
-- As it was asked for; whether it is allowed is looked up each time.
CREATE TABLE group_mounts (
    group_folder TEXT NOT NULL REFERENCES groups(folder) ON DELETE CASCADE,
    -- Below /workspace/extra.
    name TEXT NOT NULL,
    host_path TEXT NOT NULL,
    writable INTEGER NOT NULL,
    PRIMARY KEY (group_folder, name)
) STRICT;
";

fn migrations() -> Migrations<'static> {
    Migrations::new([V1, V2, V3, V4, V5].map(M::up).into())
}

/// Whoever is the last to close a store writes its log into it; with this they do not.
const NO_LAST_WRITE: DbConfig = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;

/// Opens the store, and brings it up to date. One that we do not know is looked at before
/// anything is set, and what its last writer has left in the log or half done stays there.
pub(super) fn open(file: &Path) -> Result<Connection, StoreError> {
    let opened = |source| StoreError::Open {
        file: file.to_owned(),
        source,
    };
    refuse_half_written(file)?;
    let mut connection = Connection::open(file).map_err(opened)?;
    connection.busy_timeout(BUSY).map_err(opened)?;
    look(file, &connection).map_err(opened)?;
    schema_of(file, &connection)?;
    connection
        .set_db_config(NO_LAST_WRITE, false)
        .map_err(opened)?;
    // FULL: a commit survives the loss of power, at under two milliseconds each.
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
        )
        .map_err(opened)?;
    migrate(file, &mut connection)?;
    Ok(connection)
}

/// Refuses what a writer that we do not know has left in the middle: whoever reads it as a database
/// takes that back first.
fn refuse_half_written(file: &Path) -> Result<(), StoreError> {
    if !beside(file, "-journal").exists() {
        return Ok(());
    }
    match written_version(file) {
        Ok(found) => known(file, found),
        // What cannot be read, or is too short, is told of when it is opened.
        Err(_unreadable) => Ok(()),
    }
}

/// The schema version as it stands in the file's first page, at byte 60.
fn written_version(file: &Path) -> std::io::Result<usize> {
    let mut file = File::open(file)?;
    file.seek(SeekFrom::Start(60))?;
    let mut version = [0; 4];
    file.read_exact(&mut version)?;
    Ok(usize::try_from(i32::from_be_bytes(version)).unwrap_or(usize::MAX))
}

/// A file that SQLite keeps beside the database.
fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Reads something, and sees to it that nothing is written if that remains all.
fn look(file: &Path, connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(NO_LAST_WRITE, beside(file, "-wal").exists())?;
    // Files are not read before something is asked.
    connection.pragma_query_value(None, "schema_version", |_| Ok(()))
}

fn migrate(file: &Path, connection: &mut Connection) -> Result<(), StoreError> {
    migrations()
        .to_latest(connection)
        .map_err(|source| StoreError::Migrate {
            file: file.to_owned(),
            source,
        })
}

/// The schema version of a database; one that this program does not know is refused.
pub(super) fn schema_of(file: &Path, connection: &Connection) -> Result<usize, StoreError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let found = usize::try_from(found).unwrap_or(usize::MAX);
    known(file, found)?;
    Ok(found)
}

fn known(file: &Path, found: usize) -> Result<(), StoreError> {
    if found <= KNOWN {
        return Ok(());
    }
    Err(StoreError::Newer {
        file: file.to_owned(),
        found,
        known: KNOWN,
    })
}

/// The schema version this program writes.
const KNOWN: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_applies() {
        migrations().validate().unwrap();
    }

    #[test]
    fn the_known_version_is_the_last_migration() {
        let folder = tempfile::tempdir().unwrap();
        let connection = open(&folder.path().join("messages.db")).unwrap();
        let version: i64 = connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap();
        assert_eq!(usize::try_from(version).unwrap(), KNOWN);
    }

    #[test]
    fn the_first_version_is_as_it_was_released() {
        let schema_after = |statements: &str| -> String {
            let store = Connection::open_in_memory().unwrap();
            store.execute_batch(statements).unwrap();
            let all = "SELECT group_concat(sql, char(10)) FROM (SELECT sql FROM sqlite_master ORDER BY name)";
            store.query_row(all, [], |row| row.get(0)).unwrap()
        };
        let released = include_str!("../../../fixtures/store/first-version.sql");
        assert_eq!(schema_after(V1), schema_after(released));
    }

    #[test]
    fn a_database_of_the_first_version_keeps_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("messages.db");
        let first = Connection::open(&file).unwrap();
        first.execute_batch(V1).unwrap();
        first.pragma_update(None, "user_version", 1).unwrap();
        first
            .execute_batch(
                "INSERT INTO chats VALUES ('http:a', 'a', 1, '2026-01-05T09:00:00.000Z');
                 INSERT INTO groups VALUES ('a', 'http:a', 'a', NULL, 0, 0, '2026-01-05T09:00:00.000Z');
                 INSERT INTO runs (id, group_folder, kind, state, attempt, created_at)
                   VALUES ('r', 'a', 'message', 'ended', 1, '2026-01-05T09:00:00.000Z');
                 INSERT INTO messages (chat_jid, id, sender, sender_name, content, sent_at, state, run_id)
                   VALUES ('http:a', 'm1', 'ada', 'Ada', 'hi', '2026-01-05T09:00:00.000Z', 'answered', 'r');
                 INSERT INTO outbox (id, chat_jid, run_id, output_index, text, message_id, after_seq, state, attempts, created_at)
                   VALUES (7, 'http:a', 'r', 0, 'hello', 'r-0', 1, 'pending', 3, '2026-01-05T09:00:00.000Z');",
            )
            .unwrap();
        drop(first);

        let migrated = open(&file).unwrap();

        let row: String = migrated
            .query_row(
                "SELECT json_array(outbox.id, part, text, message_id, outbox.state, outbox.attempts, media_path,
                        content, from_me, is_bot, revoked_at)
                 FROM outbox JOIN messages ON messages.seq = after_seq",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(row, r#"[7,0,"hello","r-0","pending",3,null,"hi",0,0,null]"#);
        let broken: i64 = migrated
            .query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(broken, 0);
        let next = "INSERT INTO outbox (chat_jid, text, message_id, after_seq, state, created_at)
                    VALUES ('http:a', 'x', 'y', 1, 'pending', '') RETURNING id";
        let id: i64 = migrated.query_row(next, [], |row| row.get(0)).unwrap();
        assert_eq!(id, 8);
    }

    #[test]
    fn a_newer_database_is_refused_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("messages.db");
        drop(open(&file).unwrap());
        Connection::open(&file)
            .unwrap()
            .pragma_update(None, "user_version", 99)
            .unwrap();

        let refused = open(&file).unwrap_err().to_string();

        let says = format!("schema 99, this one knows {KNOWN}");
        assert!(refused.contains(&says), "{refused}");
    }

    /// A store of a later version as its writer left it that was killed in the middle: it has
    /// written into the file what the journal beside it takes back.
    fn killed_writer(folder: &Path) -> PathBuf {
        let file = folder.join("written.db");
        let writer = Connection::open(&file).unwrap();
        writer
            .execute_batch(
                "CREATE TABLE later (text TEXT) STRICT;
                 INSERT INTO later VALUES ('kept');
                 PRAGMA user_version = 99;
                 PRAGMA cache_size = 10;
                 BEGIN IMMEDIATE;
                 UPDATE later SET text = 'half done';
                 WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 500)
                   INSERT INTO later SELECT hex(randomblob(1000)) FROM n;",
            )
            .unwrap();
        let left = folder.join("messages.db");
        fs_err::copy(&file, &left).unwrap();
        fs_err::copy(beside(&file, "-journal"), beside(&left, "-journal")).unwrap();
        left
    }

    #[test]
    fn a_newer_database_keeps_what_its_writer_left_half_done() {
        let folder = tempfile::tempdir().unwrap();
        let file = killed_writer(folder.path());
        let bytes =
            || [file.clone(), beside(&file, "-journal")].map(|at| fs_err::read(at).unwrap());
        let before = bytes();

        let refused = open(&file).unwrap_err().to_string();

        assert!(refused.contains("schema 99"), "{refused}");
        assert!(bytes() == before, "the store or its journal has changed");
        // Its own version takes back what was not done.
        let kept: String = Connection::open(&file)
            .unwrap()
            .query_row("SELECT group_concat(text) FROM later", [], |row| row.get(0))
            .unwrap();
        assert_eq!(kept, "kept");
        assert!(!beside(&file, "-journal").exists());
    }
}
