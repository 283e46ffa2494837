//! The conversation each group goes on with.

use jiff::Timestamp;
use rusqlite::params;
use serde::Serialize;

use super::rows::parsed;
use super::{Store, StoreError};
use crate::ids::{GroupFolder, SessionId};

/// A group's stored session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct StoredSession {
    pub group: GroupFolder,
    pub session: SessionId,
    pub updated_at: Timestamp,
}

impl Store {
    pub(crate) async fn sessions(&self) -> Result<Vec<StoredSession>, StoreError> {
        self.call(|tx| {
            let mut rows = tx.prepare_cached("SELECT * FROM sessions ORDER BY group_folder")?;
            let sessions = rows
                .query_map([], |row| {
                    Ok(StoredSession {
                        group: parsed(row, "group_folder")?,
                        session: parsed(row, "session_id")?,
                        updated_at: parsed(row, "updated_at")?,
                    })
                })?
                .collect::<Result<_, _>>()?;
            Ok(sessions)
        })
        .await
    }

    /// Forgets a session, unless the group has moved on to another one meanwhile.
    pub(crate) async fn drop_session(
        &self,
        group: GroupFolder,
        session: SessionId,
    ) -> Result<(), StoreError> {
        self.call(move |tx| {
            tx.execute(
                "DELETE FROM sessions WHERE group_folder = ?1 AND session_id = ?2",
                params![group.as_str(), session.as_str()],
            )?;
            Ok(())
        })
        .await
    }

    /// Forgets the session of one group, or of all; returns how many there were.
    pub(crate) async fn clear_sessions(
        &self,
        group: Option<GroupFolder>,
    ) -> Result<usize, StoreError> {
        self.call(move |tx| {
            let cleared = match group {
                Some(group) => tx.execute(
                    "DELETE FROM sessions WHERE group_folder = ?1",
                    [group.as_str()],
                )?,
                None => tx.execute("DELETE FROM sessions", [])?,
            };
            Ok(cleared)
        })
        .await
    }
}
