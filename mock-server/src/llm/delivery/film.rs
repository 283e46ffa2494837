//! Where the frames of a course come from.

use std::vec;

use crate::llm::delivery::dress::Dressed;
use crate::llm::dialect::{Frame, Frames};

/// Frames that are still to be sent. A copy goes through them without taking them.
#[derive(Clone, Debug)]
pub(crate) enum Film {
    /// They are all there.
    Whole(vec::IntoIter<Frame>),
    /// They are made as they are wanted.
    Unwinding(Box<Dressed<Frames>>),
}

impl Default for Film {
    fn default() -> Self {
        Self::Whole(vec::IntoIter::default())
    }
}

impl Iterator for Film {
    type Item = serde_json::Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Whole(frames) => frames.next().map(Ok),
            Self::Unwinding(frames) => frames.next(),
        }
    }
}
