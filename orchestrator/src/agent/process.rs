//! The host runtime: an agent as a child process, spoken to over its standard streams.
//!
//! Time here is real time: a process does not care what the clock of schedules says.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use agent_protocol::{AgentEvent, AgentInput};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::guards::Guards;
use super::home::Home;
use super::lines::{Line, Lines};
use super::run_log::RunLog;
use super::{AgentEnd, AgentFault};
use crate::house::House;

/// How long an agent may take to end once it was asked to, or once it closed its stdout.
const TO_END: Duration = Duration::from_secs(2);
/// How much longer its guard may take.
const GUARD_TO_END: Duration = Duration::from_secs(1);
/// How much of stderr an error quotes.
const QUOTED: usize = 200;

/// A running agent.
#[derive(Debug)]
pub(crate) struct AgentProcess {
    guard: Child,
    pid: Pid,
    guards: Guards,
    stdout: Lines<BufReader<ChildStdout>>,
    /// Feeds stdin; drains stderr and returns its last part.
    streams: JoinSet<String>,
    log: RunLog,
    home: Home,
    /// How long it may go without an event.
    patience: Duration,
    deadline: Instant,
    grace: Duration,
    stopping: bool,
    /// It has had its time, or is not listened to any more.
    overdue: bool,
    /// It has said that it is done.
    finished: bool,
    started: Instant,
}

/// An agent that could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("the run log cannot be created")]
    Log(#[source] std::io::Error),
    #[error("`{}` is not there; set agent_runner to the agent-runner binary", .0.display())]
    NoRunner(std::path::PathBuf),
    #[error("the agent process cannot be started")]
    Spawn(#[source] std::io::Error),
    #[error("the agent's input cannot be written as JSON")]
    Input(#[source] serde_json::Error),
}

impl AgentProcess {
    pub(super) fn spawn(
        house: &House,
        (guard, guards): (&Path, &Guards),
        home: Home,
        input: &AgentInput,
    ) -> Result<Self, StartError> {
        let config = &house.config;
        if !config.agent_runner.is_file() {
            return Err(StartError::NoRunner(config.agent_runner.clone()));
        }
        let log = open_log(house, &home, input).map_err(StartError::Log)?;
        let mut child = Command::new(guard)
            .arg("agent-guard")
            .args(["--parent".into(), std::process::id().to_string()])
            .args(["--grace-ms".into(), TO_END.as_millis().to_string()])
            .arg("--lock")
            .arg(&home.lock)
            .arg("--")
            .arg(&config.agent_runner)
            .env_clear()
            .envs(environment(house, &home))
            .current_dir(&home.group)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(StartError::Spawn)?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let pid = pid.ok_or_else(|| StartError::Spawn(std::io::Error::other("it has ended")))?;
        guards.started(pid);
        let text = serde_json::to_vec(input).map_err(StartError::Input)?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(StartError::Spawn(std::io::Error::other(
                "a stream is missing",
            )));
        };
        let mut streams = JoinSet::new();
        streams.spawn(feed(stdin, text));
        streams.spawn(drain(stderr, log.clone()));
        let started = Instant::now();
        Ok(Self {
            guard: child,
            pid,
            guards: guards.clone(),
            stdout: Lines::new(BufReader::new(stdout), config.agent_max_output),
            streams,
            log,
            home,
            patience: config.agent_timeout,
            deadline: started + config.agent_timeout,
            grace: config.shutdown_grace.saturating_sub(TO_END + GUARD_TO_END),
            stopping: false,
            overdue: false,
            finished: false,
            started,
        })
    }

    /// The next event; none when the agent has said its last, or has run out of time.
    pub(crate) async fn next_event(&mut self, stop: &CancellationToken) -> Option<AgentEvent> {
        loop {
            tokio::select! {
                line = self.stdout.next() => match line {
                    Ok(Some(line)) => {
                        if let Some(event) = self.read(&line) {
                            return Some(event);
                        }
                    }
                    Ok(None) => return None,
                    Err(error) => {
                        self.log.line(&format!("stdout cannot be read: {error}"));
                        return None;
                    }
                },
                () = tokio::time::sleep_until(self.deadline) => {
                    self.overdue = true;
                    return None;
                }
                () = stop.cancelled(), if !self.stopping => {
                    self.stopping = true;
                    self.deadline = self.deadline.min(Instant::now() + self.grace);
                }
            }
        }
    }

    fn read(&mut self, line: &Line) -> Option<AgentEvent> {
        let (bytes, cut) = match line {
            Line::Whole(bytes) => (bytes, false),
            Line::Cut(bytes) => (bytes, true),
        };
        self.log.output("stdout", bytes, cut);
        let event = serde_json::from_slice(bytes);
        match event {
            Ok(event) if !cut => {
                if !self.stopping && !self.finished {
                    self.deadline = Instant::now() + self.patience;
                }
                Some(event)
            }
            // Noise is for the log alone.
            Ok(_) | Err(_) => None,
        }
    }

    /// The agent has said that it is done: it has a moment to end, and has succeeded even if it
    /// does not.
    pub(crate) fn has_finished(&mut self) {
        self.finished = true;
        self.deadline = self.deadline.min(Instant::now() + TO_END);
    }

    /// Does not listen any more; [`Self::end`] will not wait.
    pub(crate) fn give_up(&mut self) {
        self.overdue = true;
    }

    /// Ends the process if it has not ended, and says how it went.
    pub(crate) async fn end(mut self) -> AgentEnd {
        let status = match self.wait_or_stop().await {
            Ok(status) => status,
            Err(error) => {
                let message = format!("the agent process cannot be waited for: {error}");
                return AgentEnd::Failed(AgentFault::retryable(message));
            }
        };
        let was_killed = status.signal().is_some();
        if let Err(error) = self.guards.ended(self.pid, was_killed) {
            tracing::error!(group = %self.home.folder, %error, "what a killed guard left behind cannot be ended");
        }
        let stderr = self.collect_stderr().await;
        self.log.line(&format!(
            "\nExit Code: {status}\nDuration: {} ms",
            self.started.elapsed().as_millis()
        ));
        if let Err(error) = self.home.settle() {
            tracing::warn!(group = %self.home.folder, %error, "BOOTSTRAP.md could not be settled");
        }
        if self.finished {
            return AgentEnd::Done;
        }
        if self.overdue && self.stopping {
            return AgentEnd::Interrupted;
        }
        if self.overdue {
            let message = format!(
                "the agent said nothing for {:?} and was stopped",
                self.patience
            );
            return AgentEnd::Failed(AgentFault::retryable(message));
        }
        if status.success() {
            return AgentEnd::Done;
        }
        AgentEnd::Failed(AgentFault::retryable(exit_message(status, &stderr)))
    }

    async fn wait_or_stop(&mut self) -> std::io::Result<ExitStatus> {
        if !self.overdue
            && let Ok(status) = tokio::time::timeout(TO_END, self.guard.wait()).await
        {
            return status;
        }
        if self.guard.id().is_some()
            && let Err(error) = kill_process(self.pid, Signal::TERM)
        {
            self.log
                .line(&format!("the guard cannot be told to stop: {error}"));
        }
        if let Ok(status) = tokio::time::timeout(TO_END + GUARD_TO_END, self.guard.wait()).await {
            return status;
        }
        self.guard.kill().await?;
        self.guard.wait().await
    }

    async fn collect_stderr(&mut self) -> String {
        let mut stderr = String::new();
        // Every process of the agent is gone, so its streams are closed.
        while let Ok(Some(ended)) =
            tokio::time::timeout(GUARD_TO_END, self.streams.join_next()).await
        {
            match ended {
                Ok(text) => stderr.push_str(&text),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        stderr
    }
}

fn exit_message(status: ExitStatus, stderr: &str) -> String {
    let code = status
        .code()
        .map_or_else(|| status.to_string(), |code| format!("code {code}"));
    let stderr = stderr.trim();
    if stderr.is_empty() {
        return format!("the agent exited with {code}");
    }
    let from = stderr
        .char_indices()
        .rev()
        .nth(QUOTED - 1)
        .map_or(0, |(at, _)| at);
    format!("the agent exited with {code}: {}", &stderr[from..])
}

fn open_log(house: &House, home: &Home, input: &AgentInput) -> std::io::Result<RunLog> {
    let at = format!("{:.3}", house.clock.now()).replace([':', '.'], "-");
    let run = &uuid::Uuid::new_v4().to_string()[..8];
    let file = home.logs.create_new(&format!("container-{at}-{run}.log"))?;
    let secrets = house.config.secrets();
    let log = RunLog::new(file, house.config.agent_max_output, secrets);
    log.head(&[
        ("Timestamp", &house.clock.now()),
        ("Group", &home.folder),
        ("Runtime", &"host"),
        ("IsMain", &home.is_main),
        ("Prompt length", &input.prompt.len()),
        ("Session", &input.session_id.as_deref().unwrap_or("new")),
    ]);
    Ok(log)
}

/// The whole environment of an agent; no secret is in it.
fn environment(house: &House, home: &Home) -> Vec<(&'static str, OsString)> {
    let config = &house.config;
    let mut environment: Vec<(&'static str, OsString)> = vec![
        ("PATH", config.search_path.clone()),
        ("HOME", home.home.clone().into()),
        ("TZ", config.time_zone_name.clone().into()),
        ("NANOKIMI_GROUP_DIR", home.group.clone().into()),
        ("NANOKIMI_IPC_DIR", home.ipc.clone().into()),
        ("NANOKIMI_CREDENTIALS", home.credentials.clone().into()),
        ("NANOKIMI_KIMI_LOGIN", home.login.clone().into()),
    ];
    environment.extend(config.engine.environment());
    if home.is_main {
        environment.push(("NANOKIMI_PROJECT_DIR", house.root.clone().into()));
    } else {
        environment.push(("NANOKIMI_GLOBAL_DIR", home.global.clone().into()));
    }
    for (name, value) in [
        ("NANOKIMI_LLM_BASE_URL", &config.llm_base_url),
        ("NANOKIMI_LLM_MODEL", &config.llm_model),
    ] {
        environment.extend(value.as_ref().map(|value| (name, value.into())));
    }
    environment
}

async fn feed(mut stdin: ChildStdin, text: Vec<u8>) -> String {
    let fed = async {
        stdin.write_all(&text).await?;
        stdin.shutdown().await
    };
    if let Err(error) = fed.await {
        // The agent ended before it had read its input; its exit code tells the rest.
        tracing::debug!(%error, "the agent did not read its input");
    }
    String::new()
}

async fn drain(stderr: ChildStderr, log: RunLog) -> String {
    let mut lines = Lines::new(BufReader::new(stderr), 64 * 1024);
    let mut last = String::new();
    while let Ok(Some(Line::Whole(line) | Line::Cut(line))) = lines.next().await {
        log.output("stderr", &line, false);
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            last = text.into_owned();
        }
    }
    last
}
