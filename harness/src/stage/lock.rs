//! A lock on nanokimi's store, as a backup or a curious person with `sqlite3` would have it: what
//! nanokimi wants to keep waits, so that it can be stopped just before it is kept.

use rusqlite::{Connection, OpenFlags};

use super::{Stage, StageError};

/// The store is free again when this is dropped.
#[derive(Debug)]
pub(super) struct StoreLock {
    _connection: Connection,
}

impl Stage {
    /// From now on nanokimi can read its store, but not write to it.
    pub(crate) fn lock_store(&mut self) -> Result<(), StageError> {
        let locked = || {
            let store = self.root().join("store/messages.db");
            let store = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            store.busy_timeout(std::time::Duration::from_secs(2))?;
            store.execute_batch("BEGIN IMMEDIATE")?;
            Ok::<_, rusqlite::Error>(store)
        };
        let unlocked = |error| StageError::Store(format!("the store cannot be locked: {error}"));
        let connection = locked().map_err(unlocked)?;
        self.lock = Some(StoreLock {
            _connection: connection,
        });
        Ok(())
    }

    /// Says whether it was locked.
    pub(crate) fn free_store(&mut self) -> bool {
        self.lock.take().is_some()
    }
}
