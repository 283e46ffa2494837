//! How fast a stream was: until it said something, and from one token to the next.

use std::time::Duration;

/// Times of a stream, to be played again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) first_token: Duration,
    /// The median: one pause of the network says nothing about a model.
    pub(crate) per_token: Duration,
}

impl Pace {
    /// From where the frames end that say something, and from when the bytes came.
    pub(crate) fn of(spoken: &[usize], arrivals: &[(usize, Duration)]) -> Option<Self> {
        let came = |end: &usize| {
            let arrival = arrivals.iter().find(|(length, _)| length >= end)?;
            Some(arrival.1)
        };
        let times: Vec<Duration> = spoken.iter().filter_map(came).collect();
        let mut gaps: Vec<Duration> = times
            .iter()
            .zip(times.iter().skip(1))
            .map(|(one, next)| next.saturating_sub(*one))
            .collect();
        gaps.sort_unstable();
        Some(Self {
            first_token: *times.first()?,
            per_token: gaps.get(gaps.len() / 2).copied().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_token_and_the_usual_gap_are_taken() {
        #[track_caller]
        fn check(spoken: &[usize], first: u64, gap: u64) {
            let ms = Duration::from_millis;
            let arrivals = [(10, ms(300)), (20, ms(320)), (30, ms(340)), (40, ms(990))];
            let pace = Pace::of(spoken, &arrivals).unwrap();
            assert_eq!((pace.first_token, pace.per_token), (ms(first), ms(gap)));
        }
        check(&[10, 20, 30, 40], 300, 20);
        // Two frames in one piece came at once.
        check(&[8, 10], 300, 0);
        check(&[15], 320, 0);
    }

    #[test]
    fn a_stream_that_says_nothing_has_no_pace() {
        assert_eq!(Pace::of(&[], &[]), None);
    }
}
