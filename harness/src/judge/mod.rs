//! Says whether what happened is what the scenario wanted, and if not, how far off it was.

mod final_word;
mod matching;

pub(crate) use final_word::final_word;
pub(crate) use matching::{Comparison, Mismatch, compare, told};
