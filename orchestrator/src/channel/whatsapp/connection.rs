//! When to connect, when to wait, and when to leave WhatsApp alone: the rules, as one state
//! machine without a clock, a socket or a random number of its own.
//!
//! One attempt at a time. The first reconnect is immediate, since the server recycles healthy
//! connections; whoever is sent away again soon backs off. Refusals for good are final states:
//! trying again is what gets accounts banned.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);
/// A connection that lasted this long has forgiven all that failed before it.
const STEADY: SignedDuration = SignedDuration::from_secs(30);
/// A ban is not asked about more often than this, whatever the server says.
const SHORTEST_BAN: Duration = Duration::from_secs(60);

/// Where the one connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// An attempt is under way.
    Connecting,
    Connected {
        since: Timestamp,
    },
    /// The next attempt is at `until`.
    Waiting {
        until: Timestamp,
        why: String,
    },
    /// The account is not taken until `until`; then there is one attempt.
    Banned {
        until: Timestamp,
        why: String,
    },
    /// There is no next attempt.
    Over(Verdict),
}

/// Why there is no next attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Another client uses the same link.
    Replaced,
    /// The link is gone; the words are the server's, if it has any.
    LoggedOut {
        why: String,
    },
    /// The server wants a newer version.
    Outdated,
    Passkey,
}

/// How a connection, or an attempt at one, came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The network, or a server that is unwell.
    Lost {
        why: String,
    },
    /// The server asked for a new connection, or we gave up a dead one.
    Renewed,
    /// The server does not take us, and a repeated question will hardly help.
    Refused {
        why: String,
    },
    Banned {
        lasts: Duration,
        why: String,
    },
    Final(Verdict),
}

impl Ending {
    /// Whether it counts although the other one was told before.
    #[must_use]
    pub(super) fn outranks(&self, told_before: &Self) -> bool {
        self.is_decided() && !told_before.is_decided()
    }

    /// Decided by the server, rather than happened to us.
    fn is_decided(&self) -> bool {
        match self {
            Self::Banned { .. } | Self::Final(_) => true,
            Self::Lost { .. } | Self::Renewed | Self::Refused { .. } => false,
        }
    }
}

/// The state machine.
#[derive(Debug)]
pub(super) struct Connection {
    standing: Standing,
    /// Waits since the last steady connection.
    waits: u32,
    /// Whether the immediate reconnect since then is used up.
    hurried: bool,
}

impl Connection {
    /// Begins with the first attempt.
    #[must_use]
    pub(super) fn new() -> Self {
        Self {
            standing: Standing::Connecting,
            waits: 0,
            hurried: false,
        }
    }

    /// Begins in a ban.
    #[must_use]
    pub(super) fn banned(until: Timestamp, why: String) -> Self {
        Self {
            standing: Standing::Banned { until, why },
            ..Self::new()
        }
    }

    #[must_use]
    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    #[must_use]
    pub(super) fn is_connected(&self) -> bool {
        matches!(self.standing, Standing::Connected { .. })
    }

    /// When the next attempt is due; none while one is under way, and none after the last.
    #[must_use]
    pub(super) fn due(&self) -> Option<Timestamp> {
        match &self.standing {
            Standing::Waiting { until, .. } | Standing::Banned { until, .. } => Some(*until),
            Standing::Connecting | Standing::Connected { .. } | Standing::Over(_) => None,
        }
    }

    /// The attempt has succeeded. Says whether that is news.
    pub(super) fn connected(&mut self, now: Timestamp) -> bool {
        match self.standing {
            Standing::Connecting => {
                self.standing = Standing::Connected { since: now };
                true
            }
            // A late word of a connection that is gone, or said twice.
            Standing::Connected { .. }
            | Standing::Waiting { .. }
            | Standing::Banned { .. }
            | Standing::Over(_) => false,
        }
    }

    /// The instant of the next attempt has come. Says whether one is to be made: never a second
    /// one beside the first.
    pub(super) fn retry(&mut self, now: Timestamp) -> bool {
        let due = self.due().is_some_and(|due| due <= now);
        if due {
            self.standing = Standing::Connecting;
        }
        due
    }

    /// The connection has ended. `chance`, from 0 to 1, spreads many clients that lost the same
    /// server over time.
    pub(super) fn ended(&mut self, ending: Ending, now: Timestamp, chance: f64) {
        if matches!(self.standing, Standing::Over(_)) {
            return;
        }
        let lived = match self.standing {
            Standing::Connected { since } => Some(now.duration_since(since)),
            Standing::Connecting
            | Standing::Waiting { .. }
            | Standing::Banned { .. }
            | Standing::Over(_) => None,
        };
        if lived.is_some_and(|lived| lived >= STEADY) {
            self.waits = 0;
            self.hurried = false;
        }
        self.standing = match ending {
            Ending::Final(verdict) => Standing::Over(verdict),
            Ending::Banned { lasts, why } => Standing::Banned {
                until: after(now, lasts.max(SHORTEST_BAN)),
                why,
            },
            Ending::Refused { why } => Standing::Waiting {
                until: after(now, spread(LONGEST_WAIT, chance)),
                why,
            },
            Ending::Renewed | Ending::Lost { .. } if lived.is_some() && !self.hurried => {
                self.hurried = true;
                Standing::Connecting
            }
            Ending::Lost { why } => self.back_off(now, chance, why),
            Ending::Renewed => self.back_off(now, chance, "the server asked again".to_owned()),
        };
    }

    fn back_off(&mut self, now: Timestamp, chance: f64, why: String) -> Standing {
        // 2^9 s is beyond the longest wait already.
        let wait = FIRST_WAIT * 2u32.pow(self.waits.min(9));
        self.waits += 1;
        Standing::Waiting {
            until: after(now, spread(wait.min(LONGEST_WAIT), chance)),
            why,
        }
    }
}

/// Between half of the wait and all of it.
fn spread(wait: Duration, chance: f64) -> Duration {
    wait.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
}

fn after(now: Timestamp, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    now.checked_add(span).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_767_603_600 + seconds).unwrap()
    }

    fn lost() -> Ending {
        Ending::Lost {
            why: "the socket is gone".to_owned(),
        }
    }

    /// Seconds until the next attempt; none if it is made at once, or never.
    fn wait(connection: &Connection, now: i64) -> Option<f64> {
        let due = connection.due()?;
        Some(due.duration_since(at(now)).as_secs_f64())
    }

    fn connected(at_second: i64) -> Connection {
        let mut connection = Connection::new();
        assert!(connection.connected(at(at_second)));
        connection
    }

    #[test]
    fn the_first_reconnect_is_immediate_and_the_next_ones_back_off() {
        let mut connection = connected(0);
        connection.ended(lost(), at(0), 1.0);
        assert_eq!(connection.standing(), &Standing::Connecting);

        let mut waits = Vec::new();
        let mut now = 0;
        for _ in 0..12 {
            connection.ended(lost(), at(now), 1.0);
            waits.push(wait(&connection, now).unwrap());
            now += 300;
            assert!(connection.retry(at(now)));
        }

        let grown = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
        assert_eq!(waits[..9], grown);
        assert_eq!(waits[9..], [300.0, 300.0, 300.0]);
    }

    #[test]
    fn a_server_that_takes_us_and_sends_us_away_makes_no_storm() {
        let mut connection = connected(0);
        let mut waits = Vec::new();
        for _ in 0..4 {
            connection.ended(Ending::Renewed, at(0), 1.0);
            waits.push(wait(&connection, 0));
            assert!(connection.due().is_none() || connection.retry(at(60)));
            assert!(connection.connected(at(0)));
        }
        assert_eq!(waits, [None, Some(1.0), Some(2.0), Some(4.0)]);
    }

    #[test]
    fn a_steady_connection_forgives_what_failed_before() {
        let mut connection = connected(0);
        for _ in 0..6 {
            connection.ended(lost(), at(0), 1.0);
            connection.retry(at(600));
        }
        assert!(connection.connected(at(600)));

        connection.ended(lost(), at(630), 1.0);
        assert_eq!(connection.standing(), &Standing::Connecting);
        connection.ended(lost(), at(630), 1.0);
        assert_eq!(wait(&connection, 630), Some(1.0));
    }

    #[test]
    fn a_first_attempt_that_fails_is_not_repeated_at_once() {
        let mut connection = Connection::new();
        connection.ended(lost(), at(0), 1.0);
        assert_eq!(wait(&connection, 0), Some(1.0));
        assert!(!connection.retry(at(0)));
        assert!(connection.retry(at(1)));
    }

    #[test]
    fn jitter_stays_between_half_of_a_wait_and_all_of_it() {
        for (chance, waited) in [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0), (7.0, 1.0), (-1.0, 0.5)] {
            let mut connection = Connection::new();
            connection.ended(lost(), at(0), chance);
            assert_eq!(wait(&connection, 0), Some(waited), "chance {chance}");
        }
    }

    #[test]
    fn there_is_never_a_second_attempt_beside_the_first() {
        let mut connection = Connection::new();
        assert!(!connection.retry(at(0)));
        connection.connected(at(0));
        assert!(!connection.retry(at(1000)));
        assert!(!connection.connected(at(0)), "said twice");
    }

    #[test]
    fn a_ban_is_waited_out_and_asked_about_once() {
        let banned = |seconds| Ending::Banned {
            lasts: Duration::from_secs(seconds),
            why: "too many messages".to_owned(),
        };
        let mut connection = Connection::new();
        connection.ended(banned(3600), at(0), 0.0);
        assert!(matches!(connection.standing(), Standing::Banned { .. }));
        assert!(!connection.retry(at(3599)));
        assert!(connection.retry(at(3600)));
        assert!(!connection.retry(at(3600)));

        connection.ended(banned(0), at(3600), 0.0);
        assert_eq!(wait(&connection, 3600), Some(60.0));
    }

    #[test]
    fn a_refusal_is_not_repeated_soon() {
        let mut connection = connected(0);
        let why = "400".to_owned();
        connection.ended(Ending::Refused { why }, at(0), 0.0);
        assert_eq!(wait(&connection, 0), Some(150.0));
    }

    #[test]
    fn a_verdict_counts_whenever_it_is_told() {
        let replaced = Ending::Final(Verdict::Replaced);
        let passkey = Ending::Final(Verdict::Passkey);
        assert!(replaced.outranks(&lost()));
        assert!(!lost().outranks(&replaced));
        assert!(!Ending::Renewed.outranks(&lost()), "its consequence");
        assert!(!passkey.outranks(&replaced));
    }

    #[test]
    fn nothing_comes_after_a_verdict() {
        let why = "the owner unlinked us".to_owned();
        for verdict in [
            Verdict::Replaced,
            Verdict::LoggedOut { why },
            Verdict::Outdated,
            Verdict::Passkey,
        ] {
            let mut connection = connected(0);
            connection.ended(Ending::Final(verdict.clone()), at(0), 0.0);
            connection.ended(lost(), at(0), 0.0);
            assert_eq!(connection.standing(), &Standing::Over(verdict));
            assert!(!connection.retry(Timestamp::MAX));
            assert!(!connection.connected(at(1)));
        }
    }
}
