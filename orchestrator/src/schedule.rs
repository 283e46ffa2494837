//! When a task runs: cron expressions, intervals and single instants, and nothing that acts.

use std::time::Duration;

use agent_protocol::ScheduleType;
use croner::Cron;
use croner::parser::{CronParser, Seconds};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::duration;

/// Below this an interval is a mistake, or an attack.
const SHORTEST: Duration = Duration::from_secs(1);
/// A hundred years.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A schedule that has been read and is known to have a first run.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Cron {
        pattern: Box<Cron>,
        zone: TimeZone,
        first: Timestamp,
    },
    Interval(SignedDuration),
    Once(Timestamp),
}

/// A schedule that cannot be read, and what would have been one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScheduleError {
    #[error(
        "`{0}` is not a cron schedule: expected five fields such as `0 9 * * 1-5` (minute, hour, day, month, weekday), or `@daily`"
    )]
    Cron(String, #[source] croner::errors::CronError),
    #[error("the cron schedule `{0}` never comes")]
    Never(String),
    #[error(
        "`{0}` is not an interval: expected a number with a unit such as `90s`, `5m`, `2h` or `1d`, or plain milliseconds"
    )]
    Interval(String),
    #[error("the interval `{0}` is out of range: at least one second, at most a hundred years")]
    OutOfRange(String),
    #[error(
        "`{0}` is not an instant: expected a local date and time such as `2026-01-05T09:00:00`, or one with an offset such as `2026-01-05T09:00:00+01:00`"
    )]
    Once(String),
    #[error("`{0}` has no time of day: write `{0}T09:00:00`")]
    DateOnly(String),
}

impl Schedule {
    /// Reads a task's schedule; `now` is only asked whether there will be a first run.
    pub(crate) fn parse(
        kind: ScheduleType,
        value: &str,
        zone: &TimeZone,
        now: Timestamp,
    ) -> Result<Self, ScheduleError> {
        let value = value.trim();
        let kind = match kind {
            ScheduleType::Cron => cron(value, zone, now)?,
            ScheduleType::Interval => Kind::Interval(interval(value)?),
            ScheduleType::Once => Kind::Once(once(value, zone)?),
        };
        Ok(Self { kind })
    }

    /// The first instant after a task was made. A single instant in the past is due at once.
    #[must_use]
    pub(crate) fn first_run(&self, now: Timestamp) -> Timestamp {
        match &self.kind {
            Kind::Cron { first, .. } => *first,
            Kind::Interval(every) => now.checked_add(*every).unwrap_or(Timestamp::MAX),
            Kind::Once(at) => *at,
        }
    }

    /// The next instant after `now`, for a task that was due at `due`; none for the last time.
    ///
    /// Intervals keep their rhythm from `due`, and what was missed is skipped.
    #[must_use]
    pub(crate) fn next_after(&self, due: Timestamp, now: Timestamp) -> Option<Timestamp> {
        match &self.kind {
            Kind::Cron { pattern, zone, .. } => next_cron(pattern, zone, now),
            Kind::Interval(every) => Some(next_slot(due, *every, now)),
            Kind::Once(_) => None,
        }
    }
}

fn cron(value: &str, zone: &TimeZone, now: Timestamp) -> Result<Kind, ScheduleError> {
    let pattern = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .build()
        .parse(value)
        .map_err(|error| ScheduleError::Cron(value.to_owned(), error))?;
    let first =
        next_cron(&pattern, zone, now).ok_or_else(|| ScheduleError::Never(value.to_owned()))?;
    Ok(Kind::Cron {
        pattern: Box::new(pattern),
        zone: zone.clone(),
        first,
    })
}

fn next_cron(pattern: &Cron, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    match pattern.find_next_occurrence(&now.to_zoned(zone.clone()), false) {
        Ok(next) => Some(next.timestamp()),
        // The search has a limit in time: beyond it, such as for 31 February, nothing comes.
        Err(_never) => None,
    }
}

fn interval(value: &str) -> Result<SignedDuration, ScheduleError> {
    let every = duration::parse(value).ok_or_else(|| ScheduleError::Interval(value.to_owned()))?;
    let out_of_range = || ScheduleError::OutOfRange(value.to_owned());
    if !(SHORTEST..=LONGEST).contains(&every) {
        return Err(out_of_range());
    }
    SignedDuration::try_from(every).map_err(|_too_long| out_of_range())
}

fn next_slot(due: Timestamp, every: SignedDuration, now: Timestamp) -> Timestamp {
    let late = now.duration_since(due).as_millis().max(0);
    let every_ms = every.as_millis().max(1);
    let slots = late / every_ms + 1;
    let ahead = i64::try_from(slots * every_ms).unwrap_or(i64::MAX);
    due.checked_add(SignedDuration::from_millis(ahead))
        .unwrap_or(Timestamp::MAX)
}

fn once(value: &str, zone: &TimeZone) -> Result<Timestamp, ScheduleError> {
    if let Ok(at) = value.parse::<Timestamp>() {
        return Ok(at);
    }
    if value.parse::<Date>().is_ok() && !value.contains(['T', 't', ' ', ':']) {
        return Err(ScheduleError::DateOnly(value.to_owned()));
    }
    let local: DateTime = value
        .parse()
        .map_err(|_not_local| ScheduleError::Once(value.to_owned()))?;
    // In a gap the later instant, in an overlap the earlier: what RFC 5545 says.
    zone.to_ambiguous_zoned(local)
        .compatible()
        .map(|zoned| zoned.timestamp())
        .map_err(|_out_of_range| ScheduleError::Once(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    /// The runs of a cron schedule after `from`, in local time.
    #[track_caller]
    fn check_cron(value: &str, name: &str, from: &str, runs: &[&str]) {
        let zone = zone(name);
        let mut now = at(from);
        let schedule = Schedule::parse(ScheduleType::Cron, value, &zone, now).unwrap();
        let mut seen = Vec::new();
        for _ in runs {
            let next = schedule.next_after(now, now).unwrap();
            assert!(
                next > now,
                "`{value}` in {name} does not move on from {now}"
            );
            now = next;
            let local = next.to_zoned(zone.clone());
            seen.push(local.strftime("%m-%d %H:%M %:z").to_string());
        }
        assert_eq!(seen, runs, "`{value}` in {name}");
    }

    #[test]
    fn cron_follows_the_clock_on_the_wall_through_summer_time() {
        // 02:30 does not exist on 8 March in New York.
        check_cron(
            "30 2 * * *",
            "America/New_York",
            "2026-03-07T08:00:00Z",
            &["03-08 03:00 -04:00", "03-09 02:30 -04:00"],
        );
        // 01:30 comes twice on 1 November, and the task once.
        check_cron(
            "30 1 * * *",
            "America/New_York",
            "2026-10-31T08:00:00Z",
            &["11-01 01:30 -04:00", "11-02 01:30 -05:00"],
        );
        // Every half hour means every half hour, in the hour that comes twice too.
        check_cron(
            "*/30 * * * *",
            "America/New_York",
            "2026-11-01T05:15:00Z",
            &[
                "11-01 01:30 -04:00",
                "11-01 01:00 -05:00",
                "11-01 01:30 -05:00",
                "11-01 02:00 -05:00",
            ],
        );
        check_cron(
            "0 0 * * *",
            "Africa/Cairo",
            "2026-04-23T08:00:00Z",
            &["04-24 01:00 +03:00", "04-25 00:00 +03:00"],
        );
        check_cron(
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T00:00:00Z",
            &["10-04 02:30 +11:00", "10-05 02:15 +11:00"],
        );
        check_cron(
            "0 * * * *",
            "Europe/Rome",
            "2026-03-29T00:30:00Z",
            &["03-29 03:00 +02:00", "03-29 04:00 +02:00"],
        );
    }

    #[test]
    fn cron_days_are_what_crontab_says() {
        check_cron(
            "0 9 13 * 5",
            "UTC",
            "2026-02-01T00:00:00Z",
            &["02-06 09:00 +00:00", "02-13 09:00 +00:00"],
        );
        check_cron(
            "0 9 * * 1-5",
            "UTC",
            "2026-01-02T10:00:00Z",
            &["01-05 09:00 +00:00"],
        );
        check_cron(
            "0 0 29 2 *",
            "UTC",
            "2026-01-01T00:00:00Z",
            &["02-29 00:00 +00:00"],
        );
    }

    #[track_caller]
    fn check_error(kind: ScheduleType, value: &str, says: &str) {
        let now = at("2026-01-05T09:00:00Z");
        let error = Schedule::parse(kind, value, &zone("UTC"), now).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_way_out() {
        check_error(ScheduleType::Cron, "* * * * * *", "five fields");
        check_error(ScheduleType::Cron, "99 * * * *", "five fields");
        check_error(ScheduleType::Cron, "@reboot", "five fields");
        check_error(ScheduleType::Cron, "0 0 31 2 *", "never comes");
        check_error(ScheduleType::Interval, "5 minutes", "`5m`");
        check_error(ScheduleType::Interval, "1e3", "`5m`");
        check_error(ScheduleType::Interval, "-5m", "`5m`");
        check_error(ScheduleType::Interval, "", "`5m`");
        check_error(ScheduleType::Interval, "5", "at least one second");
        check_error(ScheduleType::Interval, "99999999999999999999d", "`5m`");
        check_error(ScheduleType::Interval, "99999999d", "out of range");
        check_error(ScheduleType::Once, "tomorrow", "local date and time");
        check_error(ScheduleType::Once, "2026-02-01", "2026-02-01T09:00:00");
    }

    #[track_caller]
    fn check_slot(every: &str, due: &str, now: &str, next: &str) {
        let schedule =
            Schedule::parse(ScheduleType::Interval, every, &zone("UTC"), at(now)).unwrap();
        assert_eq!(schedule.next_after(at(due), at(now)), Some(at(next)));
    }

    #[test]
    fn an_interval_keeps_its_rhythm_and_skips_what_it_missed() {
        check_slot(
            "5m",
            "2026-01-05T09:00:00Z",
            "2026-01-05T09:00:02Z",
            "2026-01-05T09:05:00Z",
        );
        check_slot(
            "300000",
            "2026-01-05T09:00:00Z",
            "2026-01-05T10:01:00Z",
            "2026-01-05T10:05:00Z",
        );
        check_slot(
            "5m",
            "2026-01-05T09:00:00Z",
            "2026-01-05T09:05:00Z",
            "2026-01-05T09:10:00Z",
        );
    }

    #[test]
    fn a_single_instant_is_local_unless_it_says_otherwise_and_comes_once() {
        let now = at("2026-01-05T09:00:00Z");
        let paris = zone("Europe/Paris");
        for (value, instant) in [
            ("2026-07-01T09:00:00", "2026-07-01T07:00:00Z"),
            ("2026-07-01T09:00:00Z", "2026-07-01T09:00:00Z"),
            ("2026-07-01T09:00:00+01:00", "2026-07-01T08:00:00Z"),
            ("2026-03-29T02:30:00", "2026-03-29T01:30:00Z"),
        ] {
            let once = Schedule::parse(ScheduleType::Once, value, &paris, now).unwrap();
            assert_eq!(once.first_run(now), at(instant), "{value}");
            assert_eq!(once.next_after(at(instant), now), None);
        }
    }
}
