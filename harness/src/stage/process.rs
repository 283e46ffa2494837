//! A child process: started under the guard, its output read, ended within a deadline.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::StageError;
use super::guard::GUARD;
use super::output::Output;

/// The output of an ended process is read to its end, unless a leaked child holds it open.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Code(i32),
    Signal(i32),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(9) => f.write_str("SIGKILL"),
            Self::Signal(15) => f.write_str("SIGTERM"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, signal) => Self::Signal(signal.unwrap_or(0)),
        }
    }
}

/// What a process is started with, beside its arguments.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) folder: &'a Path,
    /// The whole environment; nothing of ours is handed on.
    pub(crate) environment: Vec<(&'a str, String)>,
}

/// A running process of which we are the parent.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pid: Pid,
    stdout: Output,
    stderr: Output,
    readers: JoinSet<()>,
}

impl Process {
    /// Starts `program` in a process group of its own.
    ///
    /// It must be called on the thread that lives as long as the scenario: the guard's
    /// signal comes when that thread ends.
    pub(crate) fn start(
        program: &Path,
        args: &[impl AsRef<OsStr>],
        surroundings: Surroundings<'_>,
    ) -> Result<Self, StageError> {
        // Not by its path: cargo may have put a newer build there meanwhile.
        let ourselves = Path::new("/proc/self/exe");
        let mut command = Command::new(ourselves);
        command
            .arg(GUARD)
            .arg(std::process::id().to_string())
            .arg(program)
            .args(args)
            .current_dir(surroundings.folder)
            .env_clear()
            .envs(surroundings.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(StageError::Spawn)?;
        let (stdout, stderr) = (Output::default(), Output::default());
        let mut readers = JoinSet::new();
        if let Some(stream) = child.stdout.take() {
            readers.spawn(stdout.clone().drain(stream));
        }
        if let Some(stream) = child.stderr.take() {
            readers.spawn(stderr.clone().drain(stream));
        }
        let pid = child
            .id()
            .and_then(|id| i32::try_from(id).map_or(None, Pid::from_raw));
        let gone = || StageError::Spawn(std::io::Error::other("the process has no id"));
        let pid = pid.ok_or_else(gone)?;
        Ok(Self {
            child,
            pid,
            stdout,
            stderr,
            readers,
        })
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<(), StageError> {
        if self.child.id().is_none() {
            // It has ended, and its id may be another's by now.
            return Ok(());
        }
        kill_process(self.pid, signal).map_err(|error| StageError::Signal(error.into()))
    }

    /// Waits for the end, and for the last words. `None` after `patience`.
    pub(crate) async fn ended(&mut self, patience: Duration) -> Result<Option<Ended>, StageError> {
        let Ok(status) = timeout(patience, self.child.wait()).await else {
            return Ok(None);
        };
        let status = status.map_err(StageError::Spawn)?;
        let last_words = async { while self.readers.join_next().await.is_some() {} };
        if timeout(LAST_WORDS, last_words).await.is_err() {
            self.readers.abort_all();
        }
        Ok(Some(status.into()))
    }

    /// Kills the whole process group, whatever is left of it.
    pub(crate) fn kill_group(&self) {
        // There is nothing to do about a group that has gone already.
        let (Ok(()) | Err(_)) = kill_process_group(self.pid, Signal::KILL);
    }

    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Its stdout, to be read while somebody waits for its end.
    pub(crate) fn printing(&self) -> Output {
        self.stdout.clone()
    }

    /// Returns when there is more on stderr since the last call. Cancel-safe.
    pub(crate) async fn says_more(&self) {
        self.stderr.grown().await;
    }
}
