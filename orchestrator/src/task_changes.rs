//! What pausing, resuming and updating mean for a task, whoever asks: an agent by IPC, or an
//! operator by command.

use std::collections::BTreeSet;

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

/// A resumed task goes on at its next instant from now that has not `had` its run; what it missed
/// while paused is past.
pub(crate) fn resume(
    task: &Task,
    zone: &TimeZone,
    (now, had): (Timestamp, &BTreeSet<Timestamp>),
) -> Result<TaskUpdate, ChangeError> {
    if task.status == TaskStatus::Completed {
        return Err(ChangeError::Completed);
    }
    let schedule = Schedule::parse(task.schedule_type, &task.schedule_value, zone, now)?;
    let next_run = match task.next_run {
        Some(next) if next > now => None,
        missed => Some(
            schedule
                .next_but(missed.unwrap_or(now), now, had)
                .unwrap_or(now),
        ),
    };
    Ok(TaskUpdate {
        status: Some(TaskStatus::Active),
        next_run,
        ..TaskUpdate::default()
    })
}

/// Another prompt, another schedule, or both. A new schedule starts from now, but for instants that
/// have `had` their run, and wakes a task that had completed.
pub(crate) fn update(
    task: &Task,
    prompt: Option<String>,
    schedule: (Option<ScheduleType>, Option<String>),
    zone: &TimeZone,
    (now, had): (Timestamp, &BTreeSet<Timestamp>),
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
    let first = Schedule::parse(kind, &value, zone, now)?.first_but(now, had);
    update.next_run = Some(first);
    update.schedule = Some((kind, value));
    if task.status == TaskStatus::Completed {
        update.status = Some(TaskStatus::Active);
    }
    Ok(update)
}

#[cfg(test)]
mod tests {
    use agent_protocol::ContextMode;

    use super::*;

    fn at(time: &str) -> Timestamp {
        format!("2026-01-05T{time}:00Z").parse().unwrap()
    }

    /// A task of every full hour that stands at `next_run`.
    fn hourly(next_run: Option<&str>) -> Task {
        Task {
            id: "t1".parse().unwrap(),
            group: "ada".parse().unwrap(),
            prompt: "water the plants".to_owned(),
            schedule_type: ScheduleType::Cron,
            schedule_value: "0 * * * *".to_owned(),
            context_mode: ContextMode::Isolated,
            status: TaskStatus::Paused,
            next_run: next_run.map(at),
            last_run: None,
            last_result: None,
        }
    }

    #[test]
    fn what_has_been_run_ahead_of_a_clock_set_back_is_not_run_again() {
        let (now, had) = (at("08:30"), BTreeSet::from([at("09:00"), at("10:00")]));
        for stands in [None, Some("07:00")] {
            let resumed = resume(&hourly(stands), &TimeZone::UTC, (now, &had)).unwrap();
            assert_eq!(resumed.next_run, Some(at("11:00")), "{stands:?}");
        }
        let half_hourly = (None, Some("*/30 * * * *".to_owned()));
        let task = hourly(Some("11:00"));
        let updated = update(&task, None, half_hourly, &TimeZone::UTC, (now, &had)).unwrap();
        assert_eq!(updated.next_run, Some(at("09:30")));
    }
}
