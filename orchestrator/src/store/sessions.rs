//! The conversation each group goes on with.

use jiff::Timestamp;
use rusqlite::{Params, Row, Transaction, params};
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
            let sessions = rows.query_map([], stored)?.collect::<Result<_, _>>()?;
            Ok(sessions)
        })
        .await
    }

    /// Has a group go on with a session no more, unless it has moved on to another one meanwhile;
    /// returns all that it has left.
    pub(crate) async fn drop_session(
        &self,
        group: GroupFolder,
        session: SessionId,
    ) -> Result<Vec<StoredSession>, StoreError> {
        self.call(move |tx| {
            leave(
                tx,
                "group_folder = ?1 AND session_id = ?2",
                params![group.as_str(), session.as_str()],
            )?;
            left_by(tx, &group)
        })
        .await
    }

    /// The same for whatever session one group, or each, goes on with; returns how many there were.
    pub(crate) async fn clear_sessions(
        &self,
        group: Option<GroupFolder>,
    ) -> Result<usize, StoreError> {
        self.call(move |tx| match group {
            Some(group) => leave(tx, "group_folder = ?1", [group.as_str()]),
            None => leave(tx, "true", []),
        })
        .await
    }

    /// Forgets a session that was left, for it is written down.
    pub(crate) async fn forget_left_session(
        &self,
        group: GroupFolder,
        session: SessionId,
    ) -> Result<(), StoreError> {
        self.call(move |tx| {
            tx.execute(
                "DELETE FROM left_sessions WHERE group_folder = ?1 AND session_id = ?2",
                params![group.as_str(), session.as_str()],
            )?;
            Ok(())
        })
        .await
    }
}

/// Moves sessions to those that were left; returns how many there were.
fn leave(
    tx: &Transaction<'_>,
    which: &str,
    values: impl Params + Copy,
) -> Result<usize, StoreError> {
    let kept = format!(
        "INSERT OR REPLACE INTO left_sessions (group_folder, session_id, updated_at)
         SELECT group_folder, session_id, updated_at FROM sessions WHERE {which}"
    );
    tx.execute(&kept, values)?;
    let gone = format!("DELETE FROM sessions WHERE {which}");
    Ok(tx.execute(&gone, values)?)
}

/// What a group has left and nobody has written down yet, oldest first.
pub(super) fn left_by(
    tx: &Transaction<'_>,
    group: &GroupFolder,
) -> Result<Vec<StoredSession>, StoreError> {
    let mut rows = tx.prepare_cached(
        "SELECT * FROM left_sessions WHERE group_folder = ?1 ORDER BY updated_at, session_id",
    )?;
    let left = rows.query_map([group.as_str()], stored)?;
    Ok(left.collect::<Result<_, _>>()?)
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredSession> {
    Ok(StoredSession {
        group: parsed(row, "group_folder")?,
        session: parsed(row, "session_id")?,
        updated_at: parsed(row, "updated_at")?,
    })
}
