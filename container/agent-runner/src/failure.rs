//! Why a turn failed, as the orchestrator is told.

use std::error::Error;

use agent_protocol::{AgentErrorKind, AgentEvent};

/// The end of a turn without a result.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub kind: AgentErrorKind,
    /// The whole chain of causes, since the event is where it is told.
    pub message: String,
    /// The same input may succeed later.
    pub retryable: bool,
}

impl Failure {
    /// A failure that the same input would meet again.
    pub(crate) fn lasting(kind: AgentErrorKind, cause: &dyn Error) -> Self {
        Self {
            kind,
            message: chain(cause),
            retryable: false,
        }
    }

    /// A failure that may be gone the next time.
    pub(crate) fn passing(kind: AgentErrorKind, cause: &dyn Error) -> Self {
        Self {
            retryable: true,
            ..Self::lasting(kind, cause)
        }
    }

    pub(crate) fn event(self) -> AgentEvent {
        AgentEvent::Error {
            kind: self.kind,
            message: self.message,
            retryable: self.retryable,
        }
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
