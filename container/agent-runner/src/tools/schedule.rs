//! Schedules as the model writes them, checked before they are asked for.
//!
//! The orchestrator judges them again and alone decides when a task is due; here a mistake is
//! only caught while the model can still mend it.

use std::time::Duration;

use agent_protocol::ScheduleType;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::span::{InvalidSpan, Span};

/// The orchestrator refuses anything below.
const SHORTEST: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub(super) enum ScheduleError {
    #[error("`{value}` is not a cron line of five fields such as `0 9 * * 1-5`: {problem}")]
    Cron { value: String, problem: String },
    #[error(transparent)]
    Interval(#[from] InvalidSpan),
    #[error("the cron line `{0}` names a day that never comes")]
    Never(String),
    #[error("`{0}` is too short an interval: at least a second, e.g. `5m`")]
    TooShort(String),
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
    let cron = parser.parse(value).map_err(|problem| ScheduleError::Cron {
        value: value.to_owned(),
        problem: problem.to_string(),
    })?;
    // In which zone does not matter to whether it ever comes.
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    match cron.find_next_occurrence(&now, false) {
        Ok(_next) => Ok(()),
        Err(_search_gave_up) => Err(ScheduleError::Never(value.to_owned())),
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
    if span?.0 < SHORTEST {
        return Err(ScheduleError::TooShort(value.to_owned()));
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
        check(ScheduleType::Cron, "0 0 31 2 *", Some("never comes"));
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
        check(ScheduleType::Interval, "0", Some("too short an interval"));
        check(ScheduleType::Interval, "999", Some("too short an interval"));
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
