//! Agents: one process for one turn, from the prepared folder to the last line it says.
//!
//! What its words mean for chats and messages is decided in `turn`; here they are only read.

mod bootstrap;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "the runtime that puts agents into boxes comes next"
    )
)]
mod door;
mod guard;
mod guards;
mod home;
mod lines;
mod process;
mod prompt;
mod run_log;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use agent_protocol::AgentErrorKind;

use crate::house::House;
use crate::ids::SessionId;
use crate::ipc::IpcWatch;
use crate::store::Claim;

pub use guard::{Guard, guard};
pub(crate) use guards::Guards;
pub(crate) use home::{HomeError, prepare_credentials};
pub(crate) use process::AgentProcess;

/// Starts agents. The host runtime is the one there is; containers join it at this seam.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    house: House,
    ipc: IpcWatch,
    /// Our own executable, which guards each agent.
    guard: Arc<PathBuf>,
    guards: Guards,
}

/// How an agent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AgentEnd {
    Done,
    Failed(AgentFault),
    /// We stopped it because we are stopping.
    Interrupted,
}

/// Why an agent failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentFault {
    /// What the agent itself called it; none if it could not say.
    pub kind: Option<AgentErrorKind>,
    pub message: String,
    /// The same work may succeed later.
    pub retryable: bool,
}

impl AgentFault {
    pub(crate) fn retryable(message: impl Into<String>) -> Self {
        Self {
            kind: None,
            message: message.into(),
            retryable: true,
        }
    }

    pub(crate) fn no_result() -> Self {
        Self::retryable("the agent ended without a result")
    }

    /// The kind as it is spelt on the wire, e.g. `rate_limit`.
    pub(crate) fn kind_word(&self) -> Option<String> {
        let kind = serde_json::to_value(self.kind?);
        match kind {
            Ok(serde_json::Value::String(word)) => Some(word),
            Ok(_) | Err(_) => None,
        }
    }
}

impl fmt::Display for AgentFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind_word() {
            Some(kind) => write!(f, "{} ({kind})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl Agent {
    #[must_use]
    pub(crate) fn new(house: House, ipc: IpcWatch, guard: PathBuf, guards: Guards) -> Self {
        Self {
            house,
            ipc,
            guard: Arc::new(guard),
            guards,
        }
    }

    /// Prepares the group's folder and starts an agent on what was claimed.
    pub(crate) async fn start(
        &self,
        claim: &Claim,
        session: Option<&SessionId>,
    ) -> Result<AgentProcess, AgentFault> {
        let failed = |error: HomeError| AgentFault::retryable(crate::chain(&error));
        let home = home::Home::prepare(&self.house, &claim.group).map_err(failed)?;
        self.ipc
            .publish_snapshots(&claim.group)
            .await
            .map_err(|error| AgentFault::retryable(crate::chain(&error)))?;
        let input = prompt::input(&self.house, claim, session);
        tracing::info!(
            group = %claim.group.folder, run = %claim.run, runtime = "host",
            "Spawning agent process"
        );
        AgentProcess::spawn(&self.house, (&self.guard, &self.guards), home, &input)
            .map_err(|error| AgentFault::retryable(crate::chain(&error)))
    }
}
