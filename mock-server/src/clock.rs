//! Waiting for time to pass: on the scenario's clock if the journal has been told one, else
//! on the real one.
//!
//! Waits follow upon each other without a gap, so that a clock which is moved far ahead
//! ends all of them at once, in order.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::journal::Journal;

/// The time of one undertaking.
#[derive(Debug)]
pub(crate) enum Pace {
    /// The scenario's: who moves it, and what was waited for last.
    Told(watch::Receiver<Option<Timestamp>>, Timestamp),
    Real(Instant),
}

impl Pace {
    pub(crate) fn from_now(journal: &Journal) -> Self {
        // Nobody tells most mocks the time, and then there is nothing to follow.
        if journal.now().is_none() {
            return Self::Real(Instant::now());
        }
        let moves = journal.moves();
        let now = *moves.borrow();
        now.map_or_else(|| Self::Real(Instant::now()), |now| Self::Told(moves, now))
    }

    /// Waits until so much has passed since what was waited for last.
    pub(crate) async fn wait(&mut self, lapse: Duration) {
        match self {
            Self::Told(moves, due) => {
                *due = later(*due, lapse);
                let due = *due;
                let is_due = |now: &Option<Timestamp>| now.is_some_and(|now| now >= due);
                if moves.wait_for(is_due).await.is_err() {
                    // Nobody is left to move the clock: it stands still for good.
                    std::future::pending::<()>().await;
                }
            }
            Self::Real(due) => {
                *due += lapse;
                sleep_until(*due).await;
            }
        }
    }

    /// When so much will have passed, on the scenario's clock.
    pub(crate) fn due_after(&self, lapse: Duration) -> Option<Timestamp> {
        match self {
            Self::Told(_, due) => Some(later(*due, lapse)),
            Self::Real(_) => None,
        }
    }
}

fn later(now: Timestamp, lapse: Duration) -> Timestamp {
    let lapse = SignedDuration::try_from(lapse).unwrap_or(SignedDuration::MAX);
    now.checked_add(lapse).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    fn at(seconds: i64) -> Timestamp {
        START + SignedDuration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_told_time_it_is_the_real_one() {
        let (journal, began) = (Journal::open(), Instant::now());
        let mut pace = Pace::from_now(&journal);
        pace.wait(Duration::from_secs(2)).await;
        pace.wait(Duration::from_secs(3)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        assert_eq!(pace.due_after(Duration::ZERO), None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_move_of_the_told_clock_ends_all_waits_that_are_due() {
        let (journal, began) = (Journal::open(), Instant::now());
        journal.clock_moved(START);
        let mut pace = Pace::from_now(&journal);
        assert_eq!(pace.due_after(Duration::from_secs(5)), Some(at(5)));
        let waits = async {
            pace.wait(Duration::from_secs(2)).await;
            pace.wait(Duration::from_secs(3)).await;
        };
        let hour = Duration::from_secs(3_600);
        let (ended, ()) = tokio::join!(tokio::time::timeout(hour, waits), async {
            tokio::task::yield_now().await;
            journal.clock_moved(at(5));
        });
        ended.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_told_clock_that_stands_still_ends_no_wait() {
        let journal = Journal::open();
        journal.clock_moved(START);
        let mut pace = Pace::from_now(&journal);
        let wait = pace.wait(Duration::from_secs(2));
        let hour = Duration::from_secs(3_600);
        let waited = tokio::time::timeout(hour, wait).await;
        assert!(waited.is_err(), "it ended on the real clock");
    }
}
