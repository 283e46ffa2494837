//! `bash`: commands in the group's folder, each on a leash.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::ToolOutcome;
use super::excerpt::Excerpt;
use super::leash::{CommandEnd, InvalidEnd, LEASH};
use super::request;
use crate::events::note;
use crate::failure::chain;
use crate::settings::Settings;

const USUAL: Duration = Duration::from_secs(120);
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// Killing is quick; only a process stuck in the kernel takes longer, and nobody can help that.
const LEASH_ENDS: Duration = Duration::from_secs(5);

/// Runs commands and remembers what they left running.
#[derive(Debug)]
pub(super) struct Shell {
    own_binary: PathBuf,
    folder: PathBuf,
    environment: Vec<(OsString, OsString)>,
    leashes: Vec<Leash>,
    /// Read the output of what runs on in the background, so that it does not block on a full
    /// pipe.
    drains: JoinSet<()>,
}

/// A command and all it has started.
#[derive(Debug)]
struct Leash {
    process: Child,
    /// Dropping it kills everything on the leash.
    lifeline: ChildStdin,
}

struct Started {
    leash: Leash,
    /// Of the command and of all it has started.
    output: ChildStdout,
    /// One line: how the command ended.
    report: BufReader<ChildStderr>,
}

#[derive(Debug, thiserror::Error)]
enum LeashError {
    #[error("cannot start a command in `{}`", folder.display())]
    Start {
        folder: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the process that holds the command's leash has lost a pipe")]
    NoPipe,
    #[error("cannot read the command's output")]
    Read(#[from] io::Error),
    #[error("the process that holds the command's leash ended strangely")]
    Report(#[from] InvalidEnd),
}

impl Shell {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            own_binary: settings.own_binary.clone(),
            folder: settings.folders.group.clone(),
            environment: settings.tool_environment.clone(),
            leashes: Vec::new(),
            drains: JoinSet::new(),
        }
    }

    /// Runs a command to its end or its time limit. What it left in the background runs on.
    pub(super) async fn run(&mut self, command: &request::Command) -> ToolOutcome {
        let limit = command
            .timeout_ms
            .map_or(USUAL, Duration::from_millis)
            .min(LONGEST);
        match self.follow(&command.command, limit).await {
            Ok(outcome) => outcome,
            Err(error) => ToolOutcome::failed(chain(&error)),
        }
    }

    async fn follow(&mut self, command: &str, limit: Duration) -> Result<ToolOutcome, LeashError> {
        let Started {
            leash,
            mut output,
            mut report,
        } = self.start(command)?;
        let mut seen = Excerpt::default();
        let Ok(end) = timeout(limit, follow(&mut output, &mut report, &mut seen)).await else {
            leash.let_go().await;
            read_what_is_there(&output, &mut seen)?;
            let limit = limit.as_millis();
            let reason = format!("killed after {limit} ms, with all it had started");
            return Ok(ToolOutcome::failed(with_output(&reason, seen)));
        };
        let end = end?;
        read_what_is_there(&output, &mut seen)?;
        self.leashes.push(leash);
        self.drains.spawn(drain(output));
        Ok(outcome(end, seen))
    }

    fn start(&self, command: &str) -> Result<Started, LeashError> {
        let mut process = Command::new(&self.own_binary)
            .arg(LEASH)
            .arg(command)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Whoever kills the agent's group must not kill the leash before its work is done.
            .process_group(0)
            .spawn()
            .map_err(|source| LeashError::Start {
                folder: self.folder.clone(),
                source,
            })?;
        let output = process.stdout.take().ok_or(LeashError::NoPipe)?;
        let report = process.stderr.take().ok_or(LeashError::NoPipe)?;
        let lifeline = process.stdin.take().ok_or(LeashError::NoPipe)?;
        Ok(Started {
            leash: Leash { process, lifeline },
            output,
            report: BufReader::new(report),
        })
    }

    /// Kills what is still running and waits until it is gone.
    pub(super) async fn close(&mut self) {
        for leash in self.leashes.drain(..) {
            leash.let_go().await;
        }
        while self.drains.join_next().await.is_some() {}
    }
}

impl Leash {
    async fn let_go(mut self) {
        drop(self.lifeline);
        match timeout(LEASH_ENDS, self.process.wait()).await {
            Ok(Ok(_ended)) => {}
            Ok(Err(error)) => note(&format!("a leash was lost: {error}")),
            Err(_elapsed) => note("a process of a command cannot be killed"),
        }
    }
}

/// Takes in the output until the leash reports the command's end.
async fn follow(
    output: &mut ChildStdout,
    report: &mut BufReader<ChildStderr>,
    seen: &mut Excerpt,
) -> Result<CommandEnd, LeashError> {
    // One reading of the line for the whole wait: begun anew, it would lose what it had.
    let mut lines = report.lines();
    let mut piece = vec![0; 16 * 1024];
    let mut open = true;
    loop {
        tokio::select! {
            line = lines.next_line() => {
                return Ok(line?.unwrap_or_default().parse()?);
            }
            read = output.read(&mut piece), if open => {
                let length = read?;
                open = length > 0;
                seen.push(&piece[..length]);
            }
        }
    }
}

/// Takes in what an ended command has written. What runs on in the background may hold the
/// pipe open, so its end cannot be waited for; but all the command wrote is in the pipe.
fn read_what_is_there(output: &ChildStdout, seen: &mut Excerpt) -> io::Result<()> {
    let mut piece = vec![0; 16 * 1024];
    loop {
        // The pipe does not block: tokio has set it so.
        match rustix::io::read(output.as_fd(), &mut piece) {
            Ok(0) | Err(Errno::AGAIN) => return Ok(()),
            Ok(length) => seen.push(&piece[..length]),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

async fn drain(mut output: ChildStdout) {
    // What nobody reads any more may break as it likes.
    let (Ok(_) | Err(_)) = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
}

fn outcome(end: CommandEnd, seen: Excerpt) -> ToolOutcome {
    match end {
        CommandEnd::Exited(0) => ToolOutcome::done(with_output("exit code 0", seen)),
        CommandEnd::Exited(code) => {
            ToolOutcome::failed(with_output(&format!("exit code {code}"), seen))
        }
        CommandEnd::Killed(signal) => {
            ToolOutcome::failed(with_output(&format!("killed by signal {signal}"), seen))
        }
        CommandEnd::NotStarted(reason) => {
            ToolOutcome::failed(format!("bash could not be started: {reason}"))
        }
    }
}

fn with_output(first_line: &str, seen: Excerpt) -> String {
    format!("{first_line}\n{}", seen.into_text())
}
