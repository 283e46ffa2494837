//! In which order scenarios are played, where they are to be shuffled.

use std::collections::VecDeque;
use std::num::ParseIntError;
use std::str::FromStr;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// What orders are made of: the same ones for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shuffle(u64);

impl FromStr for Shuffle {
    type Err = ParseIntError;

    /// A number, or the word that stands for any.
    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        match text {
            "drawn" => Ok(Self(rand::random())),
            number => number.parse().map(Self),
        }
    }
}

impl Shuffle {
    pub(crate) fn seed(self) -> u64 {
        self.0
    }

    /// The order of one round.
    pub(crate) fn order<T>(self, round: usize, scenarios: VecDeque<T>) -> VecDeque<T> {
        let mut scenarios = Vec::from(scenarios);
        let mut lots = StdRng::seed_from_u64(self.0.wrapping_add(round as u64));
        scenarios.shuffle(&mut lots);
        scenarios.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_has_an_order_of_its_own_and_the_seed_makes_it_again() {
        let all: VecDeque<u32> = (0..50).collect();
        let shuffle: Shuffle = "7".parse().unwrap();
        let first = shuffle.order(1, all.clone());
        assert_eq!(first, shuffle.order(1, all.clone()));
        assert_ne!(first, shuffle.order(2, all.clone()));
        assert_ne!(first, all);
        let mut sorted = Vec::from(first);
        sorted.sort_unstable();
        assert_eq!(sorted, Vec::from(all));
        assert!("seven".parse::<Shuffle>().is_err());
    }
}
