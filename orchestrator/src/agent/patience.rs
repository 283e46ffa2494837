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
        let (silence, turn) = (config.agent_timeout, config.engine.turn_timeout);
        let now = Instant::now();
        let mut patience = Self {
            silence,
            turn,
            turn_ends: now,
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
        self.deadline = self.turn_ends.min(Instant::now() + self.silence);
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

    /// Which limit the deadline was.
    pub(super) fn overdue(&self) -> Overdue {
        if self.deadline < self.turn_ends {
            Overdue::Silent(self.silence)
        } else {
            Overdue::AtWork(self.turn)
        }
    }
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(silence) => write!(f, "the agent said nothing for {silence:?}"),
            Self::AtWork(turn) => write!(f, "the agent was at work for longer than {turn:?}"),
        }
    }
}
