//! Why an attempt to get an answer failed, and whether another one makes sense.

use std::time::Duration;

use agent_protocol::AgentErrorKind;

use crate::failure::Failure;
use crate::settings::Patience;

/// A longer wait is the orchestrator's to keep; an agent that sleeps holds its group's turn.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// One attempt's end without an answer.
#[derive(Debug)]
pub(super) struct Trouble {
    pub kind: AgentErrorKind,
    pub message: String,
    pub remedy: Remedy,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Remedy {
    /// The same request will be refused again.
    None,
    /// Ask again, a little later each time.
    AskAgain,
    /// Ask again, but not before this has passed: the endpoint said so.
    AskAfter(Duration),
}

impl Trouble {
    pub(super) fn lasting(kind: AgentErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            remedy: Remedy::None,
        }
    }

    pub(super) fn passing(kind: AgentErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            remedy: Remedy::AskAgain,
        }
    }

    /// How long to wait before the next attempt; none when there is to be none. `jitter` is
    /// between 0 and 1: agents that failed together should not come back together.
    pub(super) fn wait(&self, attempt: u32, patience: &Patience, jitter: f64) -> Option<Duration> {
        if attempt >= patience.attempts {
            return None;
        }
        match self.remedy {
            Remedy::None => None,
            Remedy::AskAfter(wait) if wait > LONGEST_WAIT => None,
            Remedy::AskAfter(wait) => Some(wait),
            Remedy::AskAgain => {
                let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
                let full = patience.retry_base.saturating_mul(doubled);
                Some(full.min(LONGEST_BACKOFF).mul_f64(0.5 + jitter / 2.0))
            }
        }
    }

    pub(super) fn into_failure(self, attempts: u32) -> Failure {
        let asked = match (self.remedy, attempts) {
            (Remedy::AskAfter(wait), _) if wait > LONGEST_WAIT => {
                format!("; it wants to be left alone for {} s", wait.as_secs())
            }
            (_, 1) => String::new(),
            (_, attempts) => format!("; asked {attempts} times"),
        };
        Failure {
            kind: self.kind,
            message: format!("{}{asked}", self.message),
            retryable: self.remedy != Remedy::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(remedy: Remedy, attempt: u32, jitter: f64, wait: Option<u64>) {
        let patience = Patience {
            attempts: 4,
            retry_base: Duration::from_millis(500),
            stall: Duration::from_secs(120),
            turn: Duration::ZERO,
        };
        let trouble = Trouble {
            kind: AgentErrorKind::Upstream,
            message: String::new(),
            remedy,
        };
        let wait = wait.map(Duration::from_millis);
        assert_eq!(trouble.wait(attempt, &patience, jitter), wait);
    }

    #[test]
    fn waits_double_and_are_spread() {
        check(Remedy::AskAgain, 1, 1.0, Some(500));
        check(Remedy::AskAgain, 2, 1.0, Some(1_000));
        check(Remedy::AskAgain, 3, 1.0, Some(2_000));
        check(Remedy::AskAgain, 3, 0.0, Some(1_000));
    }

    #[test]
    fn the_attempts_are_counted() {
        check(Remedy::AskAgain, 4, 1.0, None);
        check(Remedy::None, 1, 1.0, None);
    }

    #[test]
    fn the_endpoints_wish_counts_up_to_a_minute() {
        check(
            Remedy::AskAfter(Duration::from_secs(60)),
            1,
            0.5,
            Some(60_000),
        );
        check(Remedy::AskAfter(Duration::from_secs(61)), 1, 0.5, None);
    }
}
