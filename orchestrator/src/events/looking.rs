//! Looking for the newest events of some kind, among those that are kept.

use super::{Event, EventLog};

impl EventLog {
    /// The number to read on from to see the newest `count` events that are wanted, or as many
    /// as are kept.
    #[must_use]
    pub(crate) fn before_newest(&self, count: usize, is_wanted: impl Fn(&Event) -> bool) -> u64 {
        let record = self.lock();
        let newest = record.kept.iter().rev();
        let wanted = newest.filter(|event| is_wanted(&event.event));
        let oldest = wanted.take(count).last();
        oldest.map_or(record.newest, |event| event.number - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::KEPT;
    use super::super::tests::told;
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn the_newest_of_what_is_wanted_are_read_and_none_before_them() {
        let log = EventLog::new(Clock::system());
        for reason in ["a", "b", "a", "b", "b"] {
            told(&log, reason);
        }
        let is_a = |event: &Event| {
            let wanted = r#""reason":"a""#;
            serde_json::to_string(event).unwrap().contains(wanted)
        };
        let all = |_: &Event| true;
        assert_eq!(log.before_newest(1, is_a), 2);
        assert_eq!(log.before_newest(2, is_a), 0);
        assert_eq!(log.before_newest(9, is_a), 0);
        assert_eq!(log.before_newest(2, all), 3);
        assert_eq!(log.before_newest(0, all), 5);
        assert_eq!(log.before_newest(9, |_| false), 5);
    }

    #[tokio::test]
    async fn the_record_forgets_the_oldest_and_keeps_counting() {
        let log = EventLog::new(Clock::system());
        for _ in 0..KEPT + 5 {
            told(&log, "x");
        }
        assert_eq!(log.read_after(0).next().await.unwrap().number, 6);
        log.close();
        assert!(log.read_after(10_005).next().await.is_none());
        assert_eq!(log.counts()["ipc.quarantined"], 10_005);
    }
}
