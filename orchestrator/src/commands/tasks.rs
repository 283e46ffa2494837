//! `nanokimi tasks list|pause|resume|cancel`.
//!
//! A running orchestrator sees a change within a minute.

use std::io::Write;
use std::path::Path;

use jiff::Timestamp;

use super::{CommandError, Shown, open, show};
use crate::config::Config;
use crate::ids::TaskId;
use crate::store::{Store, Task, TaskUpdate};
use crate::task_changes;

/// What to do with tasks.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum TasksCommand {
    /// Show the scheduled tasks.
    List,
    /// Do not run a task until it is resumed.
    Pause { id: TaskId },
    /// Let a paused task run again, from now on.
    Resume { id: TaskId },
    /// Forget a task and its run log.
    Cancel { id: TaskId },
}

pub async fn tasks(
    root: &Path,
    config: &Config,
    command: TasksCommand,
    shown: Shown,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let store = open(root)?;
    match command {
        TasksCommand::List => show(
            out,
            shown,
            &store.tasks(None).await?,
            line,
            "no tasks are scheduled",
        ),
        TasksCommand::Pause { id } => {
            let task = existing(&store, &id).await?;
            let update = task_changes::pause(&task)
                .map_err(|error| CommandError::Refused(crate::chain(&error)))?;
            change(&store, id, update, "paused", out).await
        }
        TasksCommand::Resume { id } => {
            let task = existing(&store, &id).await?;
            let now = Timestamp::now();
            let had = store.had_ahead(id.clone(), now).await?;
            let update = task_changes::resume(&task, &config.time_zone, (now, &had))
                .map_err(|error| CommandError::Refused(crate::chain(&error)))?;
            change(&store, id, update, "resumed", out).await
        }
        TasksCommand::Cancel { id } => {
            if !store.cancel_task(id.clone()).await? {
                return Err(no_such(&id));
            }
            writeln!(out, "cancelled {id}")?;
            Ok(())
        }
    }
}

fn line(task: &Task) -> String {
    let next = task
        .next_run
        .map_or_else(|| "-".to_owned(), |next| next.to_string());
    let (kind, value) = (task.snapshot().schedule_type, &task.schedule_value);
    let prompt: String = task.prompt.chars().take(50).collect();
    format!(
        "{}\t{}\t{}\t{kind:?} {value}\tnext {next}\t{prompt}",
        task.id,
        task.group,
        task.status.word()
    )
}

async fn existing(store: &Store, id: &TaskId) -> Result<Task, CommandError> {
    store.task(id.clone()).await?.ok_or_else(|| no_such(id))
}

fn no_such(id: &TaskId) -> CommandError {
    CommandError::Refused(format!(
        "there is no task `{id}`; `nanokimi tasks list` shows them"
    ))
}

async fn change(
    store: &Store,
    id: TaskId,
    update: TaskUpdate,
    done: &str,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    if !store.update_task(id.clone(), update).await? {
        return Err(no_such(&id));
    }
    writeln!(out, "{done} {id}")?;
    Ok(())
}
