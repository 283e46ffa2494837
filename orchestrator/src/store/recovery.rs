//! What a process that died left behind, put back into a state that can go on.

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use super::giving_back::queue_messages_again;
use super::rows::{instant, parsed};
use super::runs::outputs_of;
use super::{Store, StoreError};
use crate::ids::{GroupFolder, RunId};

/// What was found at start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// Runs that were cut off before they had said anything: their work is queued again.
    pub requeued: usize,
    /// Runs that were cut off after they had answered: they are not repeated.
    pub answered: usize,
    /// Groups with work to do.
    pub groups: Vec<GroupFolder>,
}

impl Store {
    /// Ends the runs of the process before us. Call once, before anything is claimed.
    pub(crate) async fn recover(&self, now: Timestamp) -> Result<Recovered, StoreError> {
        self.call(move |tx| {
            let mut recovered = Recovered::default();
            for run in cut_off(tx)? {
                if outputs_of(tx, run.as_str())? == 0 {
                    requeue(tx, &run, now)?;
                    recovered.requeued += 1;
                } else {
                    settle_answered(tx, &run, now)?;
                    recovered.answered += 1;
                }
            }
            recovered.groups = with_work(tx)?;
            Ok(recovered)
        })
        .await
    }

    /// Whether a group has something to do.
    pub(crate) async fn has_work(&self, folder: GroupFolder) -> Result<bool, StoreError> {
        self.call(move |tx| Ok(with_work(tx)?.contains(&folder)))
            .await
    }
}

fn cut_off(tx: &Transaction<'_>) -> Result<Vec<RunId>, StoreError> {
    let mut rows =
        tx.prepare("SELECT id FROM runs WHERE state = 'in_flight' ORDER BY started_at")?;
    let runs = rows
        .query_map([], |row| parsed(row, "id"))?
        .collect::<Result<_, _>>()?;
    Ok(runs)
}

fn requeue(tx: &Transaction<'_>, run: &RunId, now: Timestamp) -> Result<(), StoreError> {
    // It may have been the message that killed us.
    queue_messages_again(tx, run.as_str(), true)?;
    tx.execute(
        "UPDATE runs SET state = 'queued', attempt = attempt + 1, started_at = NULL
         WHERE id = ?1 AND kind = 'task'",
        [run.as_str()],
    )?;
    tx.execute(
        "UPDATE runs SET state = 'ended', outcome = 'interrupted', ended_at = ?2
         WHERE id = ?1 AND kind = 'message'",
        params![run.as_str(), instant(now)],
    )?;
    Ok(())
}

fn settle_answered(tx: &Transaction<'_>, run: &RunId, now: Timestamp) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE messages SET state = 'answered' WHERE run_id = ?1 AND state = 'in_flight'",
        [run.as_str()],
    )?;
    tx.execute(
        "UPDATE runs SET state = 'ended', outcome = 'interrupted', ended_at = ?2 WHERE id = ?1",
        params![run.as_str(), instant(now)],
    )?;
    tx.execute(
        "INSERT INTO task_runs (task_id, run_id, due_at, ended_at, duration_ms, outcome)
         SELECT task_id, id, due_at, ?2, 0, 'interrupted' FROM runs
         WHERE id = ?1 AND task_id IN (SELECT id FROM tasks)",
        params![run.as_str(), instant(now)],
    )?;
    tx.execute(
        "UPDATE tasks SET last_run = ?2,
                last_result = 'interrupted after it had spoken',
                status = CASE WHEN next_run IS NULL THEN 'completed' ELSE status END
         WHERE id = (SELECT task_id FROM runs WHERE id = ?1)",
        params![run.as_str(), instant(now)],
    )?;
    Ok(())
}

// The conditions of the indices are said as well: they do not follow from `queued` for SQLite.
fn with_work(tx: &Transaction<'_>) -> Result<Vec<GroupFolder>, StoreError> {
    let mut rows = tx.prepare(
        "SELECT folder FROM groups
         WHERE EXISTS (SELECT 1 FROM messages WHERE messages.chat_jid = groups.chat_jid
                         AND state IN ('waiting','queued','in_flight') AND state = 'queued')
            OR EXISTS (SELECT 1 FROM runs WHERE runs.group_folder = groups.folder
                         AND state <> 'ended' AND state = 'queued')
         ORDER BY folder",
    )?;
    let groups = rows
        .query_map([], |row| parsed(row, "folder"))?
        .collect::<Result<_, _>>()?;
    Ok(groups)
}
