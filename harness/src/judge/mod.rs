//! Says whether what happened is what the scenario wanted, and if not, how far off it was.

mod final_word;
mod matching;
mod traces_left;
mod values;
mod wire;
mod words;

pub(crate) use final_word::{final_word, unexpected};
pub(crate) use matching::{Comparison, Mismatch, compare};
pub(crate) use words::told;
