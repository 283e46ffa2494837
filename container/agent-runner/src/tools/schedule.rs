//! Schedules as the model writes them, checked before they are asked for.
//!
//! The orchestrator judges them again and alone decides when a task is due; here a mistake is
//! only caught while the model can still mend it.

use agent_protocol::ScheduleType;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::civil::DateTime;

use crate::span::{InvalidSpan, Span};

#[derive(Debug, thiserror::Error)]
pub(super) enum ScheduleError {
    #[error("`{value}` is not a cron line of five fields such as `0 9 * * 1-5`: {problem}")]
    Cron { value: String, problem: String },
    #[error(transparent)]
    Interval(#[from] InvalidSpan),
    #[error("an interval of nothing never ends: write one such as `5m`")]
    NoInterval,
    #[error(
        "`{0}` is not a date and time: write a local one such as `2026-01-05T09:00`, or one with an offset such as `2026-01-05T09:00:00+01:00`"
    )]
    Once(String),
}

/// Whether the orchestrator will be able to read this schedule.
pub(super) fn check_schedule(kind: ScheduleType, value: &str) -> Result<(), ScheduleError> {
    match kind {
        ScheduleType::Cron => check_cron(value),
        ScheduleType::Interval => check_interval(value),
        ScheduleType::Once => check_once(value),
    }
}

fn check_cron(value: &str) -> Result<(), ScheduleError> {
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    match parser.parse(value) {
        Ok(_) => Ok(()),
        Err(problem) => Err(ScheduleError::Cron {
            value: value.to_owned(),
            problem: problem.to_string(),
        }),
    }
}

fn check_interval(value: &str) -> Result<(), ScheduleError> {
    let value = value.trim();
    let is_plain = !value.is_empty() && value.chars().all(|c| c.is_ascii_digit());
    // Plain milliseconds are the ancestors' spelling.
    let span = if is_plain {
        format!("{value}ms").parse::<Span>()
    } else {
        value.parse()
    };
    if span?.0.is_zero() {
        return Err(ScheduleError::NoInterval);
    }
    Ok(())
}

fn check_once(value: &str) -> Result<(), ScheduleError> {
    let value = value.trim();
    let has_time = value.contains(':');
    let is_local = value.parse::<DateTime>().is_ok();
    if has_time && (is_local || value.parse::<Timestamp>().is_ok()) {
        return Ok(());
    }
    Err(ScheduleError::Once(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: ScheduleType, value: &str, complaint: Option<&str>) {
        match (check_schedule(kind, value), complaint) {
            (Ok(()), None) => {}
            (Err(error), Some(complaint)) => {
                let told = error.to_string();
                assert!(told.contains(complaint), "{told}");
            }
            (judged, _) => panic!("`{value}` was judged {judged:?}"),
        }
    }

    #[test]
    fn cron_lines_have_five_fields() {
        check(ScheduleType::Cron, "0 9 * * 1-5", None);
        check(ScheduleType::Cron, "*/30 * * * *", None);
        check(ScheduleType::Cron, "@daily", None);
        check(
            ScheduleType::Cron,
            "0 0 9 * * 1-5",
            Some("five fields such as"),
        );
        check(
            ScheduleType::Cron,
            "61 9 * * *",
            Some("`61 9 * * *` is not a cron line"),
        );
        check(
            ScheduleType::Cron,
            "every morning",
            Some("is not a cron line"),
        );
        check(ScheduleType::Cron, "", Some("is not a cron line"));
    }

    #[test]
    fn intervals_have_a_unit_or_are_milliseconds() {
        check(ScheduleType::Interval, "5m", None);
        check(ScheduleType::Interval, "300000", None);
        check(
            ScheduleType::Interval,
            "5 minutes",
            Some("write a number and a unit, e.g. `5m`"),
        );
        check(ScheduleType::Interval, "1e3", Some("is not a span of time"));
        check(ScheduleType::Interval, "0", Some("an interval of nothing"));
        check(ScheduleType::Interval, "", Some("is not a span of time"));
    }

    #[test]
    fn once_needs_a_date_and_a_time() {
        check(ScheduleType::Once, "2026-01-05T09:00", None);
        check(ScheduleType::Once, "2026-01-05T09:00:00", None);
        check(ScheduleType::Once, "2026-01-05T09:00:00Z", None);
        check(ScheduleType::Once, "2026-01-05T09:00:00+01:00", None);
        check(
            ScheduleType::Once,
            "2026-01-05",
            Some("is not a date and time"),
        );
        check(
            ScheduleType::Once,
            "2026-02-30T09:00",
            Some("is not a date and time"),
        );
        check(
            ScheduleType::Once,
            "tomorrow",
            Some("write a local one such as"),
        );
    }
}
