//! When a task runs: cron expressions, intervals and single instants, and nothing that acts.

use std::collections::BTreeSet;
use std::time::Duration;

use agent_protocol::ScheduleType;
use croner::Cron;
use croner::parser::{CronParser, Seconds};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::duration;

#[cfg(test)]
mod tests;

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

/// Why a next run that was chosen once is right no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Displaced {
    /// The clock that it was chosen by has been set back since.
    Clock,
    /// In the zone that holds now, its schedule does not come then.
    Zone,
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

    /// The same for a task that was there before, where some instants of a cron schedule have `had`
    /// their run already: after a clock has been set back they come again, and the task does not.
    #[must_use]
    pub(crate) fn first_but(&self, now: Timestamp, had: &BTreeSet<Timestamp>) -> Timestamp {
        match &self.kind {
            Kind::Cron {
                pattern,
                zone,
                first,
            } => next_cron_but(pattern, zone, now, had).unwrap_or(*first),
            Kind::Interval(_) | Kind::Once(_) => self.first_run(now),
        }
    }

    /// The next instant after `now`, for a task that was due at `due`, that has not `had` its run;
    /// none for the last time.
    ///
    /// Intervals keep their rhythm from `due`, and what was missed is skipped.
    #[must_use]
    pub(crate) fn next_but(
        &self,
        due: Timestamp,
        now: Timestamp,
        had: &BTreeSet<Timestamp>,
    ) -> Option<Timestamp> {
        match &self.kind {
            Kind::Cron { pattern, zone, .. } => next_cron_but(pattern, zone, now, had),
            Kind::Interval(every) => Some(next_slot(due, *every, now)),
            Kind::Once(_) => None,
        }
    }

    /// Where a next run belongs that stands at `stands`, and may have been chosen by another clock
    /// or in another zone; none if it is right there. What was missed is left, to be made up for.
    ///
    /// An interval goes on in its rhythm, within one interval from now. A single instant that was
    /// given as the wall's clock shows it is that of the wall where we are now.
    #[must_use]
    pub(crate) fn belongs(
        &self,
        stands: Timestamp,
        now: Timestamp,
        had: &BTreeSet<Timestamp>,
    ) -> Option<(Timestamp, Displaced)> {
        let (next, why) = match &self.kind {
            Kind::Cron { pattern, zone, .. } => {
                let comes = comes_at(pattern, zone, stands);
                if comes && stands <= now {
                    return None;
                }
                let why = if comes {
                    Displaced::Clock
                } else {
                    Displaced::Zone
                };
                (next_cron_but(pattern, zone, now, had)?, why)
            }
            Kind::Interval(every) => (slot_before(stands, *every, now), Displaced::Clock),
            Kind::Once(_) if stands <= now => return None,
            Kind::Once(at) => (*at, Displaced::Zone),
        };
        (next != stands).then_some((next, why))
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

fn next_cron_but(
    pattern: &Cron,
    zone: &TimeZone,
    now: Timestamp,
    had: &BTreeSet<Timestamp>,
) -> Option<Timestamp> {
    let mut next = next_cron(pattern, zone, now)?;
    while had.contains(&next) {
        next = next_cron(pattern, zone, next)?;
    }
    Some(next)
}

fn comes_at(pattern: &Cron, zone: &TimeZone, at: Timestamp) -> bool {
    let before = at.checked_sub(SignedDuration::from_secs(1));
    before.is_ok_and(|before| next_cron(pattern, zone, before) == Some(at))
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

/// The slot within one interval from now, of those in which `stands` is one; `stands` itself if it
/// is no further ahead.
fn slot_before(stands: Timestamp, every: SignedDuration, now: Timestamp) -> Timestamp {
    let ahead = stands.duration_since(now).as_millis().max(1);
    let every_ms = every.as_millis().max(1);
    let too_far = (ahead - 1) / every_ms * every_ms;
    let back = i64::try_from(too_far).unwrap_or(i64::MAX);
    stands
        .checked_sub(SignedDuration::from_millis(back))
        .unwrap_or(stands)
}

/// To the millisecond, as the store keeps it: a finer one would never stand where it belongs.
fn once(value: &str, zone: &TimeZone) -> Result<Timestamp, ScheduleError> {
    let at = once_exactly(value, zone)?;
    Timestamp::from_millisecond(at.as_millisecond())
        .map_err(|_out_of_range| ScheduleError::Once(value.to_owned()))
}

fn once_exactly(value: &str, zone: &TimeZone) -> Result<Timestamp, ScheduleError> {
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
