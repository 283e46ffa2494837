//! How a call to the mocks can go wrong: they say no, or they cannot be talked with.

use std::fmt::Display;

use crate::failure::{Failure, Trouble};
use crate::stage::StageError;

/// A call to the mocks that did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MockError {
    /// They say no, in their own words.
    #[error("{0}")]
    Refused(String),
    /// They cannot be talked with.
    #[error("the mock server does not do its part: {0}")]
    Gone(String),
}

impl MockError {
    pub(crate) fn refused(fault: impl Display) -> Self {
        Self::Refused(fault.to_string())
    }
}

impl From<MockError> for StageError {
    fn from(error: MockError) -> Self {
        Self::MockCall(error)
    }
}

/// What the mocks refuse is the scenario's fault; the rest is ours.
impl From<MockError> for Trouble {
    fn from(error: MockError) -> Self {
        match error {
            MockError::Refused(words) => Failure::new(words).into(),
            gone @ MockError::Gone(_) => Self::Broke(gone.into()),
        }
    }
}
