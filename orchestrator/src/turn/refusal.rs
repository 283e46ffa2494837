//! A key or login that the model's provider refuses: everybody's message fails by it, so the
//! operator is told once, until an agent succeeds again.

use std::sync::{Arc, Mutex, PoisonError};

use agent_protocol::AgentErrorKind;

use crate::agent::{AgentEnd, AgentFault};

/// Whether the operator has been told.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusal(Arc<Mutex<bool>>);

impl Refusal {
    /// Looks at how an agent has ended.
    pub(super) fn note(&self, end: &AgentEnd) {
        let refused = match end {
            AgentEnd::Done => None,
            AgentEnd::Failed(fault) if fault.kind == Some(AgentErrorKind::Auth) => Some(fault),
            AgentEnd::Failed(_) | AgentEnd::Interrupted => return,
        };
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *told != refused.is_some();
        *told = refused.is_some();
        match refused {
            Some(AgentFault { message, .. }) if is_news => tracing::error!(
                "agents are not let in: {message}; `nanokimi doctor` says how the key or the login stands"
            ),
            None if is_news => tracing::info!("agents are let in again"),
            Some(_) | None => {}
        }
    }
}
