//! What happens to scheduled tasks.

use jiff::Timestamp;
use serde::Serialize;

use crate::ids::{GroupFolder, TaskId};
use crate::schedule::Displaced;

/// How a task changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskChange {
    Created,
    Updated,
    Paused,
    Resumed,
    Cancelled,
    Completed,
}

impl TaskChange {
    /// The SSE event name.
    pub(super) fn event_name(self) -> &'static str {
        match self {
            Self::Created => "task.created",
            Self::Updated => "task.updated",
            Self::Paused => "task.paused",
            Self::Resumed => "task.resumed",
            Self::Cancelled => "task.cancelled",
            Self::Completed => "task.completed",
        }
    }
}

/// A task's next run is at another instant, although nobody has changed the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MovedTask {
    pub task: TaskId,
    pub group: GroupFolder,
    /// When it was to be.
    pub was: Timestamp,
    pub next_run: Timestamp,
    pub reason: Displaced,
}
