//! The model: one question, one whole answer.
//!
//! An answer is complete or it does not exist. Text is held back until its stream has ended
//! well, so a broken attempt leaves no trace beside the note in the run log.

mod answer;
mod client;
mod refusal;
mod sse;
mod trouble;
mod wire;

pub(crate) use answer::{Answer, RequestedCall};
pub(crate) use client::{Completion, Question};
