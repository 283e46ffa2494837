//! Scheduled tasks, their claims and their run log.
//!
//! Invariant: when a task is due, moving its next run forward and queueing the run are one
//! transaction, so one due instant is one run, whoever crashes when.

use agent_protocol::{ContextMode, ScheduleType, TaskSnapshot};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::Serialize;

use super::receipts::{Receipt, give_receipt};
use super::rows::{UnknownWord, instant, parsed, parsed_or_null, words};
use super::runs::{Claim, ClaimedTask};
use super::{Store, StoreError};
use crate::events::RunOutcome;
use crate::ids::{GroupFolder, RunId, TaskId};

/// How much of a result the task list shows.
const SHOWN: usize = 200;

/// A task as it is stored.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Task {
    pub id: TaskId,
    pub group: GroupFolder,
    pub prompt: String,
    pub schedule_type: ScheduleType,
    pub schedule_value: String,
    pub context_mode: ContextMode,
    pub status: TaskStatus,
    pub next_run: Option<Timestamp>,
    pub last_run: Option<Timestamp>,
    pub last_result: Option<String>,
}

/// Whether a task will run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TaskStatus {
    Active,
    Paused,
    Completed,
}

words!(TaskStatus, "task status", {
    Active => "active",
    Paused => "paused",
    Completed => "completed",
});

/// A task to keep.
#[derive(Clone, Debug)]
pub(crate) struct NewTask {
    pub id: TaskId,
    pub group: GroupFolder,
    pub prompt: String,
    pub schedule_type: ScheduleType,
    pub schedule_value: String,
    pub context_mode: ContextMode,
    pub next_run: Timestamp,
}

/// What to change in a task; none leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct TaskUpdate {
    pub prompt: Option<String>,
    pub schedule: Option<(ScheduleType, String)>,
    pub status: Option<TaskStatus>,
    pub next_run: Option<Timestamp>,
}

/// A task whose instant came, now queued as a run.
#[derive(Clone, Debug)]
pub(crate) struct DueTask {
    pub task: TaskId,
    pub group: GroupFolder,
    /// None when an earlier run of the task still waits for its turn: they are one.
    pub run: Option<RunId>,
    pub due_at: Timestamp,
    pub next_run: Option<Timestamp>,
    /// The stored schedule could not be read any more, so the task is paused.
    pub broken: Option<String>,
}

impl Store {
    /// All tasks, or those of one group. A row that is none holds up nobody.
    pub(crate) async fn tasks(&self, group: Option<GroupFolder>) -> Result<Vec<Task>, StoreError> {
        self.call(move |tx| {
            let mut rows = tx.prepare_cached(
                "SELECT *, rowid FROM tasks WHERE ?1 IS NULL OR group_folder = ?1
                 ORDER BY created_at, rowid",
            )?;
            let group = group.as_ref().map(GroupFolder::as_str);
            let rows = rows.query_map([group], task_or_row)?;
            Ok(readable(rows.collect::<Result<_, _>>()?))
        })
        .await
    }

    pub(crate) async fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        self.call(move |tx| {
            let found = tx
                .prepare_cached("SELECT * FROM tasks WHERE id = ?1")?
                .query_row([id.as_str()], task)
                .optional()?;
            Ok(found)
        })
        .await
    }

    /// Keeps a new task; says whether its id was free.
    pub(crate) async fn create_task(
        &self,
        new: NewTask,
        receipt: Option<Receipt>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.call(move |tx| {
            if let Some(receipt) = &receipt {
                give_receipt(tx, receipt, now)?;
            }
            let created = tx.execute(
                "INSERT INTO tasks (id, group_folder, prompt, schedule_type, schedule_value, context_mode, status, next_run, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'active', ?7, ?8) ON CONFLICT (id) DO NOTHING",
                params![
                    new.id.as_str(),
                    new.group.as_str(),
                    new.prompt,
                    new.schedule_type.word(),
                    new.schedule_value,
                    new.context_mode.word(),
                    instant(new.next_run),
                    instant(now)
                ],
            )?;
            Ok(created > 0)
        })
        .await
    }

    /// Changes a task; says whether there was one.
    pub(crate) async fn update_task(
        &self,
        id: TaskId,
        update: TaskUpdate,
    ) -> Result<bool, StoreError> {
        self.call(move |tx| write_update(tx, &id, update)).await
    }

    /// Forgets a task and its run log; says whether there was one.
    pub(crate) async fn cancel_task(&self, id: TaskId) -> Result<bool, StoreError> {
        self.call(move |tx| forget(tx, &id)).await
    }

    /// When the next active task is due.
    pub(crate) async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.call(|tx| {
            let next = tx
                .prepare_cached("SELECT min(next_run) AS next FROM tasks WHERE status = 'active'")?
                .query_row([], |row| parsed_or_null(row, "next"))?;
            Ok(next)
        })
        .await
    }

    /// Queues a run for every task that is due and moves each on with `next`, which gives the
    /// instant after now, none for the last time, or why the schedule cannot be read. A row that
    /// is no task is paused.
    pub(crate) async fn claim_due(
        &self,
        now: Timestamp,
        next: impl Fn(&Task, Timestamp) -> Result<Option<Timestamp>, String> + Send + 'static,
    ) -> Result<Vec<DueTask>, StoreError> {
        self.call(move |tx| {
            let mut rows = tx.prepare_cached(
                "SELECT *, rowid FROM tasks WHERE status = 'active' AND next_run <= ?1
                 ORDER BY next_run, rowid",
            )?;
            let due = rows.query_map([instant(now)], task_or_row)?;
            let due: Vec<_> = due.collect::<Result<_, _>>()?;
            for row in due.iter().filter_map(|read| read.as_ref().err()) {
                pause_row(tx, row)?;
            }
            readable(due)
                .iter()
                .map(|task| {
                    let due_at = task.next_run.unwrap_or(now);
                    queue_due(tx, task, due_at, next(task, due_at), now)
                })
                .collect()
        })
        .await
    }
}

/// A row of the table that is no task: whoever wrote it, it was not us.
#[derive(Debug)]
pub(super) struct UnreadableRow {
    rowid: i64,
    why: String,
}

/// Reads a row together with its `rowid`.
pub(super) fn task_or_row(row: &Row<'_>) -> rusqlite::Result<Result<Task, UnreadableRow>> {
    let rowid = row.get("rowid")?;
    Ok(task(row).map_err(|error| UnreadableRow {
        rowid,
        why: error.to_string(),
    }))
}

/// The tasks among the rows; says which are none.
pub(super) fn readable(rows: Vec<Result<Task, UnreadableRow>>) -> Vec<Task> {
    let mut tasks = Vec::with_capacity(rows.len());
    for read in rows {
        match read {
            Ok(task) => tasks.push(task),
            Err(UnreadableRow { rowid, why }) => tracing::error!(
                rowid,
                why,
                "a row of `tasks` in store/messages.db is no task and left out: mend or delete it"
            ),
        }
    }
    tasks
}

fn pause_row(tx: &Transaction<'_>, row: &UnreadableRow) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE tasks SET status = 'paused', last_result = ?2 WHERE rowid = ?1",
        params![row.rowid, row.why],
    )?;
    Ok(())
}

pub(super) fn write_update(
    tx: &Transaction<'_>,
    id: &TaskId,
    update: TaskUpdate,
) -> Result<bool, StoreError> {
    let (kind, value) = update.schedule.map_or((None, None), |(kind, value)| {
        (Some(kind.word()), Some(value))
    });
    let changed = tx.execute(
        "UPDATE tasks SET prompt = coalesce(?2, prompt),
                schedule_type = coalesce(?3, schedule_type),
                schedule_value = coalesce(?4, schedule_value),
                status = coalesce(?5, status),
                next_run = coalesce(?6, next_run)
         WHERE id = ?1",
        params![
            id.as_str(),
            update.prompt,
            kind,
            value,
            update.status.map(TaskStatus::word),
            update.next_run.map(instant)
        ],
    )?;
    Ok(changed > 0)
}

pub(super) fn forget(tx: &Transaction<'_>, id: &TaskId) -> Result<bool, StoreError> {
    Ok(tx.execute("DELETE FROM tasks WHERE id = ?1", [id.as_str()])? > 0)
}

fn queue_due(
    tx: &Transaction<'_>,
    task: &Task,
    due_at: Timestamp,
    next: Result<Option<Timestamp>, String>,
    now: Timestamp,
) -> Result<DueTask, StoreError> {
    let mut due = DueTask {
        task: task.id.clone(),
        group: task.group.clone(),
        run: None,
        due_at,
        next_run: None,
        broken: None,
    };
    let next_run = match next {
        Ok(next_run) => next_run,
        Err(broken) => {
            tx.execute(
                "UPDATE tasks SET status = 'paused', last_result = ?2 WHERE id = ?1",
                params![task.id.as_str(), broken],
            )?;
            due.broken = Some(broken);
            return Ok(due);
        }
    };
    due.next_run = next_run;
    tx.execute(
        "UPDATE tasks SET next_run = ?2,
                status = CASE WHEN ?2 IS NULL THEN 'completed' ELSE status END
         WHERE id = ?1",
        params![task.id.as_str(), next_run.map(instant)],
    )?;
    let waiting: bool = tx.query_row(
        "SELECT EXISTS (SELECT 1 FROM runs WHERE task_id = ?1 AND state = 'queued')",
        [task.id.as_str()],
        |row| row.get(0),
    )?;
    if !waiting {
        let run = RunId::new_random();
        tx.execute(
            "INSERT INTO runs (id, group_folder, kind, task_id, due_at, state, attempt, created_at)
             VALUES (?1, ?2, 'task', ?3, ?4, 'queued',
                     CASE ?6 WHEN 'once' THEN 1 + (SELECT count(*) FROM runs
                       WHERE task_id = ?3 AND state = 'ended' AND outcome = 'failed') ELSE 1 END, ?5)",
            params![
                run.as_str(),
                task.group.as_str(),
                task.id.as_str(),
                instant(due_at),
                instant(now),
                task.schedule_type.word()
            ],
        )?;
        due.run = Some(run);
    }
    Ok(due)
}

/// Writes the run log of a task that has ended. A task cancelled meanwhile has none.
pub(super) fn end_task_run(
    tx: &Transaction<'_>,
    claim: &Claim,
    task: &ClaimedTask,
    (outcome, error): (RunOutcome, Option<&str>),
    now: Timestamp,
) -> Result<(), StoreError> {
    let said: Option<String> = tx
        .prepare_cached(
            "SELECT group_concat(text, char(10)) FROM
               (SELECT text FROM outbox WHERE run_id = ?1 AND output_index IS NOT NULL ORDER BY output_index)",
        )?
        .query_row([claim.run.as_str()], |row| row.get(0))?;
    tx.execute(
        "INSERT INTO task_runs (task_id, run_id, due_at, ended_at, duration_ms, outcome, result, error)
         SELECT id, ?2, ?3, ?4,
                max(0, CAST((julianday(?4) - julianday((SELECT started_at FROM runs WHERE id = ?2))) * 86400000 AS INTEGER)),
                ?5, ?6, ?7
         FROM tasks WHERE id = ?1",
        params![
            task.id.as_str(),
            claim.run.as_str(),
            instant(task.due_at),
            instant(now),
            outcome.word(),
            said,
            error
        ],
    )?;
    let shown: String = match (error, said) {
        (Some(error), _) => format!("Error: {error}"),
        (None, Some(said)) => said.chars().take(SHOWN).collect(),
        (None, None) => "Completed".to_owned(),
    };
    tx.execute(
        "UPDATE tasks SET last_run = ?2, last_result = ?3 WHERE id = ?1",
        params![task.id.as_str(), instant(now), shown],
    )?;
    Ok(())
}

/// Has a task for one instant be due once more, so that it is tried again; says whether it is one.
/// Others have their next instant.
pub(super) fn is_due_once_more(
    tx: &Transaction<'_>,
    task: &ClaimedTask,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let moved = tx.execute(
        "UPDATE tasks SET next_run = ?2, status = 'active'
         WHERE id = ?1 AND schedule_type = 'once' AND status = 'completed' AND next_run IS NULL",
        params![task.id.as_str(), instant(at)],
    )?;
    Ok(moved > 0)
}

/// Whether the task has no instant left. One cancelled meanwhile is nobody's business any more.
pub(super) fn was_its_last(tx: &Transaction<'_>, task: &ClaimedTask) -> Result<bool, StoreError> {
    let last = tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM tasks WHERE id = ?1 AND next_run IS NULL)")?
        .query_row([task.id.as_str()], |row| row.get(0))?;
    Ok(last)
}

impl Task {
    /// The task as the agent reads it in `current_tasks.json`.
    #[must_use]
    pub(crate) fn snapshot(&self) -> TaskSnapshot {
        TaskSnapshot {
            id: self.id.to_string(),
            group_folder: self.group.to_string(),
            prompt: self.prompt.clone(),
            schedule_type: self.schedule_type,
            schedule_value: self.schedule_value.clone(),
            status: self.status.word().to_owned(),
            next_run: self.next_run,
        }
    }
}

/// The protocol's enums in the store's words: they are the serialised ones.
trait Word {
    fn word(self) -> &'static str;
}

impl Word for ScheduleType {
    fn word(self) -> &'static str {
        match self {
            Self::Cron => "cron",
            Self::Interval => "interval",
            Self::Once => "once",
        }
    }
}

impl Word for ContextMode {
    fn word(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Isolated => "isolated",
        }
    }
}

pub(super) fn read_context_mode(row: &Row<'_>) -> rusqlite::Result<ContextMode> {
    match row.get::<_, String>("context_mode")?.as_str() {
        "group" => Ok(ContextMode::Group),
        "isolated" => Ok(ContextMode::Isolated),
        other => Err(unknown("context mode", other)),
    }
}

fn read_schedule_type(row: &Row<'_>) -> rusqlite::Result<ScheduleType> {
    match row.get::<_, String>("schedule_type")?.as_str() {
        "cron" => Ok(ScheduleType::Cron),
        "interval" => Ok(ScheduleType::Interval),
        "once" => Ok(ScheduleType::Once),
        other => Err(unknown("schedule type", other)),
    }
}

fn unknown(what: &'static str, word: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        0,
        rusqlite::types::Type::Text,
        Box::new(UnknownWord::new(what, word)),
    )
}

fn task(row: &Row<'_>) -> rusqlite::Result<Task> {
    Ok(Task {
        id: parsed(row, "id")?,
        group: parsed(row, "group_folder")?,
        prompt: row.get("prompt")?,
        schedule_type: read_schedule_type(row)?,
        schedule_value: row.get("schedule_value")?,
        context_mode: read_context_mode(row)?,
        status: parsed(row, "status")?,
        next_run: parsed_or_null(row, "next_run")?,
        last_run: parsed_or_null(row, "last_run")?,
        last_result: row.get("last_result")?,
    })
}
