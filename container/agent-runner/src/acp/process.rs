//! The agent's process: on a leash, with a short environment, and with its stderr in the run log.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use agent_protocol::AgentErrorKind;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::lines::{LONGEST, Line, Lines};
use super::notes::Notes;
use crate::events::note;
use crate::failure::{Failure, chain};
use crate::settings::{AcpAgent, Settings};
use crate::tools::AGENT_LEASH;

/// The leash gives the agent three seconds to say goodbye.
const TO_END: Duration = Duration::from_secs(5);
/// Bytes: the longest line of its stderr that is kept.
const LONGEST_NOTE: usize = 8 * 1024;

/// A running agent.
#[derive(Debug)]
pub(super) struct AgentProcess {
    leash: Child,
    pub stdin: Option<ChildStdin>,
    pub lines: Lines<ChildStdout>,
    stderr: JoinSet<String>,
    command: String,
}

/// How the agent has ended, in words.
#[derive(Debug, Default)]
pub(super) struct End {
    pub command: String,
    pub code: Option<i32>,
    /// The last line on its stderr.
    pub last_words: String,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("the agent's leash cannot be started")]
    Spawn(#[source] io::Error),
    #[error("the agent's leash has lost a pipe")]
    NoPipe,
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::lasting(AgentErrorKind::Io, &error)
    }
}

impl AgentProcess {
    pub(super) fn start(
        settings: &Settings,
        agent: &AcpAgent,
        environment: Vec<(OsString, OsString)>,
        notes: Notes,
    ) -> Result<Self, StartError> {
        let mut leash = Command::new(&settings.own_binary)
            .arg(AGENT_LEASH)
            .arg(&agent.command)
            .env_clear()
            .envs(environment)
            .current_dir(&settings.folders.group)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Whoever kills our group must not kill the leash before its work is done.
            .process_group(0)
            .spawn()
            .map_err(StartError::Spawn)?;
        let stdin = leash.stdin.take().ok_or(StartError::NoPipe)?;
        let stdout = leash.stdout.take().ok_or(StartError::NoPipe)?;
        let words = leash.stderr.take().ok_or(StartError::NoPipe)?;
        let mut stderr = JoinSet::new();
        stderr.spawn(pass_on(words, notes));
        Ok(Self {
            leash,
            stdin: Some(stdin),
            lines: Lines::new(stdout, LONGEST),
            stderr,
            command: agent.command.clone(),
        })
    }

    /// Closes the agent's stdin and waits for its end. What it still says is not for anybody, but
    /// must be read: it may wait for that.
    pub(super) async fn end(mut self) -> End {
        drop(self.stdin.take());
        let leash = &mut self.leash;
        let lines = &mut self.lines;
        let drain = async { while let Ok(Some(_)) = lines.next().await {} };
        let (ended, _) = tokio::join!(timeout(TO_END, leash.wait()), timeout(TO_END, drain));
        let code = match ended {
            Ok(Ok(status)) => status.code(),
            Ok(Err(error)) => {
                note(&format!("the agent's leash was lost: {error}"));
                None
            }
            Err(_elapsed) => {
                note("a process of the agent cannot be killed");
                None
            }
        };
        End {
            command: self.command.clone(),
            code,
            last_words: self.last_words().await,
        }
    }

    async fn last_words(&mut self) -> String {
        match timeout(TO_END, self.stderr.join_next()).await {
            Ok(Some(Ok(last_words))) => last_words,
            Ok(Some(Err(error))) => chain(&error),
            Ok(None) | Err(_) => String::new(),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "exit code {code}")?,
            None => write!(f, "killed")?,
        }
        if !self.last_words.is_empty() {
            write!(f, "; its last words: {}", self.last_words)?;
        }
        Ok(())
    }
}

/// Passes the agent's stderr on to ours, so that it stands in the run log; returns the last line.
async fn pass_on(stderr: ChildStderr, mut notes: Notes) -> String {
    let mut lines = Lines::new(stderr, LONGEST_NOTE);
    let mut last = String::new();
    // A stderr that cannot be read is one that says no more.
    while let Ok(Some(line)) = lines.next().await {
        let text = match &line {
            Line::Whole(line) => String::from_utf8_lossy(line),
            Line::TooLong => "[a line too long]".into(),
        };
        if text.trim().is_empty() {
            continue;
        }
        last = text.trim().to_owned();
        notes.keep(&last);
    }
    last
}
