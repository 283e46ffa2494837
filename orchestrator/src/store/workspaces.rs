//! Workspaces that are to be released, kept until they are; and what of a group goes with its
//! workspace.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};
use serde::Serialize;

use super::rows::{instant, parsed, parsed_or_null};
use super::runs::{session_of, store_session};
use super::{Store, StoreError};
use crate::ids::{GroupFolder, SessionId};

/// A release that has not been made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct OwedRelease {
    pub group: GroupFolder,
    pub owed_since: Timestamp,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// None while it waits for nothing but its turn.
    pub retry_at: Option<Timestamp>,
    /// Why the last attempt failed, or that of the restore which comes first.
    pub problem: Option<String>,
}

impl Store {
    /// Notes that a group's workspace is to be released.
    pub(crate) async fn owe_release(
        &self,
        group: GroupFolder,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.call(move |tx| {
            tx.prepare_cached(
                "INSERT INTO workspace_releases (group_folder, owed_since) VALUES (?1, ?2)
                 ON CONFLICT (group_folder) DO NOTHING",
            )?
            .execute(params![group.as_str(), instant(now)])?;
            Ok(())
        })
        .await
    }

    /// Notes that an attempt was in vain, and when it is tried again; also where it was the first
    /// that anybody hears of. A folder may be asked for that is no group's: nothing is owed to it,
    /// unless it is awaited from where workspaces are kept.
    pub(crate) async fn note_failed_release(
        &self,
        (group, is_awaited): (GroupFolder, bool),
        problem: String,
        (now, retry_at): (Timestamp, Timestamp),
    ) -> Result<(), StoreError> {
        self.call(move |tx| {
            tx.execute(
                "INSERT INTO workspace_releases (group_folder, owed_since, attempts, problem, retry_at)
                 SELECT ?1, ?2, 1, ?3, ?4
                 WHERE ?5 OR EXISTS (SELECT 1 FROM groups WHERE folder = ?1)
                 ON CONFLICT (group_folder)
                 DO UPDATE SET attempts = attempts + 1, problem = ?3, retry_at = ?4",
                params![group.as_str(), instant(now), problem, instant(retry_at), is_awaited],
            )?;
            Ok(())
        })
        .await
    }

    /// Forgets what is owed to any but these groups.
    pub(crate) async fn keep_releases_of(
        &self,
        groups: Vec<GroupFolder>,
    ) -> Result<(), StoreError> {
        self.call(move |tx| {
            for owed in owed_in(tx)? {
                if !groups.contains(&owed.group) {
                    forget(tx, &owed.group)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Notes that there is nothing to release any more.
    pub(crate) async fn settle_release(&self, group: GroupFolder) -> Result<(), StoreError> {
        self.call(move |tx| forget(tx, &group)).await
    }

    /// What is to be released, longest owed first.
    pub(crate) async fn owed_releases(&self) -> Result<Vec<OwedRelease>, StoreError> {
        self.call(|tx| owed_in(tx)).await
    }

    /// The conversation that a group goes on with.
    pub(crate) async fn session_of_group(
        &self,
        group: GroupFolder,
    ) -> Result<Option<SessionId>, StoreError> {
        self.call(move |tx| session_of(tx, group.as_str())).await
    }

    /// Has a group go on with a conversation, or begin a new one.
    pub(crate) async fn set_session(
        &self,
        group: GroupFolder,
        session: Option<SessionId>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.call(move |tx| {
            match session {
                Some(session) => store_session(tx, &group, &session, now)?,
                None => {
                    tx.execute(
                        "DELETE FROM sessions WHERE group_folder = ?1",
                        [group.as_str()],
                    )?;
                }
            }
            Ok(())
        })
        .await
    }
}

/// Nothing is owed to a group any more.
pub(super) fn forget(tx: &Transaction<'_>, group: &GroupFolder) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM workspace_releases WHERE group_folder = ?1")?
        .execute([group.as_str()])?;
    Ok(())
}

pub(super) fn owed_in(connection: &Connection) -> Result<Vec<OwedRelease>, StoreError> {
    let mut rows = connection
        .prepare_cached("SELECT * FROM workspace_releases ORDER BY owed_since, group_folder")?;
    let owed = rows
        .query_map([], |row| {
            Ok(OwedRelease {
                group: parsed(row, "group_folder")?,
                owed_since: parsed(row, "owed_since")?,
                attempts: row.get("attempts")?,
                retry_at: parsed_or_null(row, "retry_at")?,
                problem: row.get("problem")?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(owed)
}

#[cfg(test)]
mod tests {
    use crate::ids::GroupFolder;
    use crate::store::tests::{at, house};

    #[tokio::test]
    async fn only_a_group_that_is_here_or_awaited_is_owed_anything() {
        let here = house().await;
        let group = |name: &str| -> GroupFolder { name.parse().unwrap() };
        let owed = async || -> Vec<String> {
            let owed = here.store.owed_releases().await.unwrap();
            let owed = owed.into_iter();
            owed.map(|one| format!("{} {}", one.group, one.attempts))
                .collect()
        };
        let times = (at("09:00:00"), at("09:00:05"));
        for (name, is_awaited) in [("ada", false), ("asked-for", false), ("awaited", true)] {
            for _attempt in 0..2 {
                let noted = (group(name), is_awaited);
                let noted = here.store.note_failed_release(noted, "why".into(), times);
                noted.await.unwrap();
            }
        }
        assert_eq!(owed().await, ["ada 2", "awaited 2"]);

        let kept = vec![group("ada"), group("new")];
        here.store.keep_releases_of(kept).await.unwrap();
        assert_eq!(owed().await, ["ada 2"]);
        here.store.remove_group(group("ada")).await.unwrap();
        assert!(owed().await.is_empty());
    }
}
