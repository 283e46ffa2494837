//! How a stage can break, which says nothing about nanokimi.

use testcontainers::TestcontainersError;

use super::paired::PairedError;
use crate::engine::EngineError;

/// The harness or a mock broke, which says nothing about nanokimi.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    #[error("the scenario's folder cannot be made or written")]
    Folder(#[source] std::io::Error),
    #[error("the settings cannot be written as TOML")]
    Settings(#[source] toml::ser::Error),
    #[error("the mock server cannot be started")]
    Mock(#[source] mock_server::StartError),
    #[error("a mock broke")]
    Joined(#[source] std::io::Error),
    #[error("a mock panicked: {0}")]
    Panicked(String),
    #[error("{0}")]
    MockCall(#[source] super::MockError),
    #[error("the trace cannot be written")]
    Trace(#[source] std::io::Error),
    #[error("a process cannot be started")]
    Spawn(#[source] std::io::Error),
    #[error("nanokimi's way to the container engine cannot be made or cut")]
    Relay(#[source] std::io::Error),
    #[error("a signal cannot be sent")]
    Signal(#[source] std::io::Error),
    #[error("nanokimi's HTTP API does not answer")]
    Http(#[from] std::io::Error),
    #[error("nanokimi's events do not come: {0}")]
    Events(String),
    #[error("the clock does not move: {0}")]
    Clock(String),
    #[error("{0}")]
    Store(String),
    #[error("the fixture of a linked device cannot be used")]
    Fixture(#[from] PairedError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the container engine failed to {what}")]
    Container {
        what: &'static str,
        #[source]
        source: Box<TestcontainersError>,
    },
    #[error("{0}")]
    Stuck(String),
    #[error("WhatsApp does not come to rest: {0}")]
    Unsettled(String),
}

impl StageError {
    /// What was wanted of a container and failed.
    pub(crate) fn container(what: &'static str, source: TestcontainersError) -> Self {
        Self::Container {
            what,
            source: Box::new(source),
        }
    }
}
