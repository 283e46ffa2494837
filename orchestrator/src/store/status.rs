//! How much of what there is, for operators and metrics.

use std::collections::BTreeMap;

use rusqlite::Transaction;
use serde::Serialize;

use super::{Store, StoreError};

/// Counts by state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct StoreStatus {
    pub groups: i64,
    pub sessions: i64,
    pub messages: BTreeMap<String, i64>,
    pub outbox: BTreeMap<String, i64>,
    pub tasks: BTreeMap<String, i64>,
    pub runs: BTreeMap<String, i64>,
}

impl Store {
    pub(crate) async fn status(&self) -> Result<StoreStatus, StoreError> {
        self.call(|tx| {
            Ok(StoreStatus {
                groups: count(tx, "SELECT count(*) FROM groups")?,
                sessions: count(tx, "SELECT count(*) FROM sessions")?,
                messages: by_state(tx, "SELECT state, count(*) FROM messages GROUP BY state")?,
                outbox: by_state(tx, "SELECT state, count(*) FROM outbox GROUP BY state")?,
                tasks: by_state(tx, "SELECT status, count(*) FROM tasks GROUP BY status")?,
                runs: by_state(tx, "SELECT state, count(*) FROM runs GROUP BY state")?,
            })
        })
        .await
    }
}

fn count(tx: &Transaction<'_>, sql: &str) -> Result<i64, StoreError> {
    Ok(tx.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

fn by_state(tx: &Transaction<'_>, sql: &str) -> Result<BTreeMap<String, i64>, StoreError> {
    let mut rows = tx.prepare_cached(sql)?;
    let counts = rows
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(counts)
}
