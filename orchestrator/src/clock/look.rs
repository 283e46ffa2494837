//! When somebody looked at the clock last, so that he sees that it has been set back, whatever it
//! was that woke him.

use jiff::Timestamp;

/// The last look of one who waits for instants, and looks whenever something wakes him.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LastLook {
    /// None before the first.
    showed: Option<Timestamp>,
}

impl LastLook {
    /// Looks, at `now`: up to which instant things are due. That is now; or, if the clock has been
    /// set back since the last look, the end of time, so that nothing waits for an hour a second
    /// time.
    #[must_use]
    pub(crate) fn due_until(&mut self, now: Timestamp) -> Timestamp {
        match self.showed.replace(now) {
            Some(before) if now < before => Timestamp::MAX,
            Some(_) | None => now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_back_is_seen_once_at_the_next_look() {
        let at = |time: &str| -> Timestamp { format!("2026-01-05T{time}Z").parse().unwrap() };
        let mut look = LastLook::default();
        for (shows, due_until) in [
            ("09:00:00", at("09:00:00")),
            ("09:00:00", at("09:00:00")),
            ("09:30:00", at("09:30:00")),
            ("09:10:00", Timestamp::MAX),
            ("09:10:00", at("09:10:00")),
            ("09:20:00", at("09:20:00")),
        ] {
            assert_eq!(look.due_until(at(shows)), due_until, "{shows}");
        }
    }
}
