//! A look at the store that leaves no trace, whether an orchestrator runs or not.

use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use super::StoreError;
use super::channels::channels_in;
use super::migrations::schema_of;
use super::rows::{parsed, parsed_or_null};
use super::workspaces::{OwedRelease, owed_in};
use crate::channel::ChannelStatus;
use crate::ids::GroupFolder;

/// How the store stands.
#[derive(Clone, Debug)]
pub(crate) struct Checkup {
    pub(crate) schema: usize,
    /// The first thing that is wrong with the file.
    pub(crate) damage: Option<String>,
    /// When the newest message was sent, or the newest run was begun.
    pub(crate) newest: Option<Timestamp>,
    pub(crate) channels: Vec<ChannelStatus>,
    /// Releases of workspaces that have not been made.
    pub(crate) owed: Vec<OwedRelease>,
    /// Groups that go on with a conversation.
    pub(crate) sessions: Vec<GroupFolder>,
}

impl Checkup {
    /// Reads the store below `root`, whatever its version; none if there is none.
    pub(crate) fn of(root: &Path) -> Result<Option<Self>, StoreError> {
        let file = root.join("store/messages.db");
        match fs_err::metadata(&file) {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            // Opening it says what is wrong.
            Ok(_) | Err(_) => {}
        }
        let opened = |source| StoreError::Open {
            file: file.clone(),
            source,
        };
        let connection = open(&file).map_err(opened)?;
        // Files are not read before something is asked.
        let asked = connection.pragma_query_value(None, "schema_version", |_| Ok(()));
        asked.map_err(opened)?;
        let schema = schema_of(&file, &connection)?;
        let damage: String =
            connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if damage != "ok" || schema == 0 {
            return Ok(Some(Self {
                schema,
                damage: (damage != "ok").then_some(damage),
                newest: None,
                channels: Vec::new(),
                owed: Vec::new(),
                sessions: Vec::new(),
            }));
        }
        Ok(Some(Self {
            schema,
            damage: None,
            newest: newest(&connection)?,
            channels: match schema {
                1 => Vec::new(),
                _later => channels_in(&connection)?,
            },
            owed: match schema {
                1 | 2 => Vec::new(),
                _later => owed_in(&connection)?,
            },
            sessions: sessions(&connection)?,
        }))
    }
}

fn newest(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let newest = "SELECT max(at) AS at FROM (SELECT max(sent_at) AS at FROM messages
                  UNION ALL SELECT max(created_at) FROM runs)";
    Ok(connection.query_row(newest, [], |row| parsed_or_null(row, "at"))?)
}

fn sessions(connection: &Connection) -> Result<Vec<GroupFolder>, StoreError> {
    let mut rows = connection.prepare("SELECT group_folder FROM sessions ORDER BY group_folder")?;
    let groups = rows.query_map([], |row| parsed(row, "group_folder"))?;
    Ok(groups.collect::<Result<_, _>>()?)
}

/// Opens for reading alone. A reader of a store at rest would make the files that readers and
/// writers meet by, and leave them; where there are none, nobody writes, and it is told so.
fn open(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    if Path::new(&log).exists() {
        return Connection::open_with_flags(file, flags);
    }
    let mut address = "file:".to_owned();
    for byte in file.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => address.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => address.push(char::from(*byte)),
            byte => {
                address.push('%');
                for digit in [byte >> 4, byte & 15] {
                    address.extend(char::from_digit(digit.into(), 16));
                }
            }
        }
    }
    address.push_str("?immutable=1");
    Connection::open_with_flags(address, flags | OpenFlags::SQLITE_OPEN_URI)
}
