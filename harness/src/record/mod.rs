//! The record of a scenario as it is kept: made the same from run to run, and in an order
//! that does not depend on which of two concurrent things came first.

mod canonical;
mod known;
mod redact;

pub(crate) use canonical::{canonical_journal, transcript};
pub(crate) use redact::Redactor;
