//! How long an agent may take: for its next sign of life, and for its turn in all. Real time, as it
//! is for every process.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Config;

/// An engine that counts by itself may say better what took so long.
const HEADSTART: Duration = Duration::from_secs(2);

/// The patience with one agent.
#[derive(Debug)]
pub(super) struct Patience {
    /// How long it may go without an event.
    silence: Duration,
    /// How long its turn may take in all.
    turn: Duration,
    turn_ends: Instant,
    /// Its last sign of life.
    heard: Instant,
    deadline: Instant,
}

/// What an agent has had too much of, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    Silent(Duration),
    AtWork(Duration),
}

impl Patience {
    pub(super) fn new(config: &Config) -> Self {
        // Who may be silent for longer than that may be at work for as long.
        let silence = config.agent_timeout;
        let turn = config.engine.turn_timeout.max(silence);
        let now = Instant::now();
        let mut patience = Self {
            silence,
            turn,
            turn_ends: now,
            heard: now,
            deadline: now,
        };
        patience.begin();
        patience
    }

    /// Its turn begins.
    pub(super) fn begin(&mut self) {
        self.turn_ends = Instant::now() + self.turn + HEADSTART;
        self.heard();
    }

    /// It has given a sign of life.
    pub(super) fn heard(&mut self) {
        self.heard = Instant::now();
        self.deadline = self.turn_ends.min(self.heard + self.silence);
    }

    /// It has this long, and no more than before.
    pub(super) fn shorten(&mut self, span: Duration) {
        self.deadline = self.deadline.min(Instant::now() + span);
    }

    /// It has this long, whatever it has used up.
    pub(super) fn allow(&mut self, span: Duration) {
        self.deadline = Instant::now() + span;
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What it has had too much of. One that has given no sign of life for more than half of the
    /// time it may be silent hangs, whichever limit comes first.
    pub(super) fn overdue(&self) -> Overdue {
        self.overdue_at(Instant::now())
    }

    fn overdue_at(&self, now: Instant) -> Overdue {
        let silent = now - self.heard;
        if self.deadline < self.turn_ends {
            Overdue::Silent(self.silence)
        } else if silent > self.silence / 2 {
            Overdue::Silent(silent)
        } else {
            Overdue::AtWork(self.turn)
        }
    }
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(silence) => write!(f, "the agent said nothing for {silence:.0?}"),
            Self::AtWork(turn) => write!(f, "the agent was at work for longer than {turn:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent that gives its last sign of life after so long, with half an hour for each.
    #[track_caller]
    fn check(last: Duration, overdue: Overdue) {
        let half_an_hour = Duration::from_secs(1800);
        let begun = Instant::now();
        let mut patience = Patience {
            silence: half_an_hour,
            turn: half_an_hour,
            turn_ends: begun + half_an_hour + HEADSTART,
            heard: begun + last,
            deadline: begun,
        };
        patience.deadline = patience.turn_ends.min(patience.heard + half_an_hour);
        let now = patience.deadline;
        assert_eq!(patience.overdue_at(now), overdue, "{last:?}");
    }

    #[test]
    fn an_agent_that_hangs_is_not_taken_for_one_that_works() {
        let half_an_hour = Duration::from_secs(1800);
        check(Duration::ZERO, Overdue::Silent(half_an_hour));
        let last = Duration::from_secs(5);
        check(last, Overdue::Silent(half_an_hour + HEADSTART - last));
        check(Duration::from_secs(1790), Overdue::AtWork(half_an_hour));
    }
}
