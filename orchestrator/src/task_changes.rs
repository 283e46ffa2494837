//! What pausing, resuming and updating mean for a task, whoever asks: an agent by IPC, or an
//! operator by command.

use agent_protocol::ScheduleType;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::schedule::{Schedule, ScheduleError};
use crate::store::{Task, TaskStatus, TaskUpdate};

/// A change that a task cannot take.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    #[error("the task is completed; schedule a new one")]
    Completed,
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
}

pub(crate) fn pause(task: &Task) -> Result<TaskUpdate, ChangeError> {
    if task.status == TaskStatus::Completed {
        return Err(ChangeError::Completed);
    }
    Ok(TaskUpdate {
        status: Some(TaskStatus::Paused),
        ..TaskUpdate::default()
    })
}

/// A resumed task goes on at its next instant from now; what it missed while paused is past.
pub(crate) fn resume(
    task: &Task,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<TaskUpdate, ChangeError> {
    if task.status == TaskStatus::Completed {
        return Err(ChangeError::Completed);
    }
    let schedule = Schedule::parse(task.schedule_type, &task.schedule_value, zone, now)?;
    let next_run = match task.next_run {
        Some(next) if next > now => None,
        missed => Some(
            schedule
                .next_after(missed.unwrap_or(now), now)
                .unwrap_or(now),
        ),
    };
    Ok(TaskUpdate {
        status: Some(TaskStatus::Active),
        next_run,
        ..TaskUpdate::default()
    })
}

/// Another prompt, another schedule, or both. A new schedule starts from now, and wakes a task
/// that had completed.
pub(crate) fn update(
    task: &Task,
    prompt: Option<String>,
    schedule: (Option<ScheduleType>, Option<String>),
    zone: &TimeZone,
    now: Timestamp,
) -> Result<TaskUpdate, ChangeError> {
    let mut update = TaskUpdate {
        prompt,
        ..TaskUpdate::default()
    };
    if let (None, None) = schedule {
        return Ok(update);
    }
    let kind = schedule.0.unwrap_or(task.schedule_type);
    let value = schedule.1.unwrap_or_else(|| task.schedule_value.clone());
    let first = Schedule::parse(kind, &value, zone, now)?.first_run(now);
    update.next_run = Some(first);
    update.schedule = Some((kind, value));
    if task.status == TaskStatus::Completed {
        update.status = Some(TaskStatus::Active);
    }
    Ok(update)
}
