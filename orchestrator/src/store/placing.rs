//! Next runs that were chosen by a clock, or in a zone, that does not hold any more.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::params;

use super::rows::{instant, parsed};
use super::tasks::{Task, readable, task_or_row};
use super::{Store, StoreError};
use crate::events::MovedTask;
use crate::ids::TaskId;
use crate::schedule::Displaced;

/// The instants ahead of now for which tasks have had their runs: those that come again when a
/// clock has been set back.
pub(crate) type RunAhead = BTreeMap<TaskId, BTreeSet<Timestamp>>;

impl Store {
    pub(crate) async fn run_ahead(&self, now: Timestamp) -> Result<RunAhead, StoreError> {
        self.call(move |tx| {
            let mut rows = tx.prepare("SELECT task_id, due_at FROM runs WHERE due_at > ?1")?;
            let runs = rows.query_map([instant(now)], |row| {
                Ok((parsed(row, "task_id")?, parsed(row, "due_at")?))
            })?;
            let mut ahead = RunAhead::new();
            for run in runs {
                let (task, due_at): (TaskId, Timestamp) = run?;
                ahead.entry(task).or_default().insert(due_at);
            }
            Ok(ahead)
        })
        .await
    }

    /// The same for one task.
    pub(crate) async fn had_ahead(
        &self,
        task: TaskId,
        now: Timestamp,
    ) -> Result<BTreeSet<Timestamp>, StoreError> {
        self.call(move |tx| {
            let mut rows =
                tx.prepare("SELECT due_at FROM runs WHERE task_id = ?1 AND due_at > ?2")?;
            let had: BTreeSet<Timestamp> = rows
                .query_map(params![task.as_str(), instant(now)], |row| {
                    parsed::<Timestamp>(row, "due_at")
                })?
                .collect::<Result<_, _>>()?;
            Ok(had)
        })
        .await
    }

    /// Moves the next run of every task that will run again to where it `belongs`, which is none
    /// where it may stand; returns those that were moved.
    pub(crate) async fn put_right(
        &self,
        belongs: impl Fn(&Task, Timestamp) -> Option<(Timestamp, Displaced)> + Send + 'static,
    ) -> Result<Vec<MovedTask>, StoreError> {
        self.call(move |tx| {
            let mut rows = tx
                .prepare("SELECT *, rowid FROM tasks WHERE status <> 'completed' ORDER BY rowid")?;
            let tasks = rows.query_map([], task_or_row)?;
            let tasks = readable(tasks.collect::<Result<_, _>>()?);
            let mut moved = Vec::new();
            for task in tasks {
                let Some(was) = task.next_run else { continue };
                let Some((next_run, reason)) = belongs(&task, was) else {
                    continue;
                };
                tx.execute(
                    "UPDATE tasks SET next_run = ?2 WHERE id = ?1",
                    params![task.id.as_str(), instant(next_run)],
                )?;
                moved.push(MovedTask {
                    task: task.id,
                    group: task.group,
                    was,
                    next_run,
                    reason,
                });
            }
            Ok(moved)
        })
        .await
    }
}
