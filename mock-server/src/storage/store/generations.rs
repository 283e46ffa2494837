//! Numbers for generations, and ids for uploads: from the clock and the seed, so that two runs
//! of a scenario get the same ones.

use jiff::Timestamp;

use crate::scatter::scatter;

/// Hands out generations: microseconds, as the service does, but never one twice.
#[derive(Debug)]
pub(crate) struct Generations {
    seed: u64,
    last: u64,
    ids: u64,
}

impl Generations {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            last: 0,
            ids: 0,
        }
    }

    /// Above all before it. While the clock stands still they go on in small steps.
    pub(crate) fn next(&mut self, now: Timestamp) -> u64 {
        let step = 1 + scatter(self.seed ^ self.last) % 1_000;
        let micros = u64::try_from(now.as_microsecond()).unwrap_or(0);
        self.last = micros.max(self.last.saturating_add(step));
        self.last
    }

    /// The id of an upload: letters and digits that nobody has had before.
    pub(crate) fn upload_id(&mut self) -> String {
        self.ids += 1;
        let first = scatter(self.seed ^ self.ids.rotate_left(32));
        let second = scatter(first ^ self.ids);
        format!("{:08}{first:016x}{second:016x}", self.ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seed: u64) -> Vec<u64> {
        let mut generations = Generations::new(seed);
        let noon: Timestamp = "2026-01-05T12:00:00Z".parse().unwrap();
        let past = noon - jiff::SignedDuration::from_hours(1);
        [
            noon,
            noon,
            past,
            noon,
            noon + jiff::SignedDuration::from_hours(1),
        ]
        .map(|now| generations.next(now))
        .to_vec()
    }

    #[test]
    fn generations_only_rise_even_if_the_clock_does_not_and_belong_to_the_seed() {
        let first = run(1);
        assert_eq!(first[0], 1_767_614_400_000_000);
        assert!(first.is_sorted_by(|a, b| a < b), "{first:?}");
        assert_eq!(first[4], first[0] + 3_600_000_000);
        assert_eq!(run(1), first);
        assert_ne!(run(2), first);
    }

    #[test]
    fn ids_of_uploads_are_all_different_and_belong_to_the_seed() {
        let ids = |seed| {
            let mut generations = Generations::new(seed);
            [(); 3].map(|()| generations.upload_id())
        };
        let [one, two, three] = ids(7);
        assert!(one != two && two != three && one != three);
        assert_eq!(ids(7)[2], three);
        assert_ne!(ids(8)[2], three);
    }
}
