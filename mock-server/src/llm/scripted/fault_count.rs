//! How often the faults beside the turns came: a story that was not broken as it should be
//! has not been played.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::llm::score::strikes::Strike;
use crate::llm::script::Nth;

/// A fault beside the turns, and how often it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultCount {
    pub fault: String,
    /// The word that says what goes wrong.
    pub word: String,
    pub nth: Nth,
    /// Whether it must come as often as `nth` says.
    pub must: bool,
    /// How many requests it has counted.
    pub asked: u32,
    /// How often it came.
    pub came: u32,
}

impl FaultCount {
    pub(super) fn of(rule: &Strike) -> Self {
        Self {
            fault: rule.id.to_string(),
            word: rule.word().to_owned(),
            nth: rule.nth,
            must: rule.must,
            asked: rule.asked(),
            came: rule.struck(),
        }
    }

    /// Whether it must come, and has not as often as it should.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        self.must && self.came < self.nth.wanted()
    }
}

impl fmt::Display for FaultCount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "fault `{}` ({} at request {}) came {} of {} times; it counted {} requests",
            self.fault,
            self.word,
            self.nth,
            self.came,
            self.nth.wanted(),
            self.asked
        )
    }
}
