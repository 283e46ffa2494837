//! How the container engine stands, as operators are told.

use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;

use super::boxes::{EngineState, Facts};
use super::engine::Engine;
use crate::config::Config;

/// Who asks for a status waits for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// `{"state": "up"}`, or `{"state": "down", "problem": "…"}`; with `stuck` while it refuses to
/// remove containers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct EngineStatus {
    pub(crate) state: &'static str,
    /// Why it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
    /// What should be gone and is not; it is tried again and again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) stuck: Vec<StuckContainer>,
}

/// A container that the engine did not remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct StuckContainer {
    /// Its name.
    pub(crate) container: String,
    /// What the engine said.
    pub(crate) problem: String,
}

impl From<EngineState> for EngineStatus {
    fn from(state: EngineState) -> Self {
        Self {
            state: state.word(),
            problem: match state {
                EngineState::Down(why) => Some(why),
                EngineState::Up(_) | EngineState::Unknown => None,
            },
            stuck: Vec::new(),
        }
    }
}

impl EngineStatus {
    /// Asks the engine itself, whether an orchestrator runs or not.
    pub(crate) async fn of(config: &Config) -> Self {
        Self::from(asked(&config.container.engine, PATIENCE).await)
    }
}

async fn asked(address: &str, patience: Duration) -> EngineState {
    let answer = async { Engine::at(address)?.info().await };
    match timeout(patience, answer).await {
        Ok(Ok(info)) => EngineState::Up(Facts::of(&info)),
        Ok(Err(error)) => EngineState::Down(crate::chain(&error)),
        Err(_elapsed) => EngineState::Down(format!(
            "the container engine at `{address}` has said nothing for {patience:?}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_down(state: EngineState, why: &str) {
        let status = EngineStatus::from(state);
        assert_eq!(status.state, "down");
        let problem = status.problem.unwrap();
        assert!(problem.contains(why), "{problem}");
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_or_says_nothing_is_down() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let address = format!("unix://{}", socket.display());
        let patience = Duration::from_millis(50);
        check_down(asked(&address, PATIENCE).await, "does not answer; start it");

        // It takes connections, and no more.
        let _dumb = tokio::net::UnixListener::bind(&socket).unwrap();
        check_down(asked(&address, patience).await, "has said nothing for 50ms");
    }
}
