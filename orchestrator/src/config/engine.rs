//! The settings of who thinks, which agents are told through their environment.

use std::ffi::OsString;
use std::time::Duration;

use super::sources::Sources;
use super::{DURATION, duration, parsed};

/// Who plays an agent's turn, and how patiently.
#[derive(Clone, Debug)]
pub(crate) struct EngineSettings {
    pub engine: Engine,
    /// What starts the program of [`Engine::Acp`].
    pub acp_command: String,
    /// How long the model may say nothing useful.
    pub stall_timeout: Duration,
    /// How long a turn may take in all, in real time.
    pub turn_timeout: Duration,
    /// Bytes: the longest session on disk that [`Engine::Builtin`] goes on with.
    pub session_limit: u64,
}

/// Who plays an agent's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// The agent itself asks the model.
    Builtin,
    /// A program that speaks the Agent Client Protocol.
    Acp,
}

impl EngineSettings {
    pub(super) fn read(sources: &mut Sources) -> Option<Self> {
        // Each is read before any is missed, so that all problems are told at once.
        let engine = sources.read("engine", "`builtin` or `acp`", engine);
        let command = sources.read("acp_command", "a command such as `kimi acp`", command);
        let stall_timeout = sources.read("llm_stall_timeout", DURATION, duration);
        let turn_timeout = sources.read("turn_timeout", DURATION, duration);
        let session_limit = sources.read("session_limit", LIMIT, limit);
        Some(Self {
            engine: engine?,
            acp_command: command?,
            stall_timeout: stall_timeout?,
            turn_timeout: turn_timeout?,
            session_limit: session_limit?,
        })
    }

    /// How an agent is told.
    pub(crate) fn environment(&self) -> [(&'static str, OsString); 5] {
        let milliseconds = |span: Duration| format!("{}ms", span.as_millis());
        let stall = milliseconds(self.stall_timeout);
        let turn = milliseconds(self.turn_timeout);
        [
            ("NANOKIMI_ENGINE", self.engine.word().into()),
            ("NANOKIMI_ACP_COMMAND", self.acp_command.clone().into()),
            ("NANOKIMI_LLM_STALL_TIMEOUT", stall.into()),
            ("NANOKIMI_TURN_TIMEOUT", turn.into()),
            (
                "NANOKIMI_SESSION_LIMIT",
                self.session_limit.to_string().into(),
            ),
        ]
    }
}

impl Engine {
    fn word(self) -> &'static str {
        match self {
            Self::Builtin => "builtin",
            Self::Acp => "acp",
        }
    }
}

const LIMIT: &str = "a number of bytes, at least 16384";

/// Less would not hold the system prompt and one answer.
fn limit(text: &str) -> Option<u64> {
    parsed(text).filter(|bytes| *bytes >= 16 * 1024)
}

fn engine(text: &str) -> Option<Engine> {
    match text {
        "builtin" => Some(Engine::Builtin),
        "acp" => Some(Engine::Acp),
        _unknown => None,
    }
}

fn command(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = !text.is_empty() && !text.contains(char::is_control);
    fits.then(|| text.to_owned())
}
