//! A running agent: its events, its patience and its end, the same in every runtime.
//!
//! What differs (how it is started, stopped and waited for) is [`Body`]'s. Time here is real
//! time: a process does not care what the clock of schedules says.

use std::fmt;
use std::time::Duration;

use agent_protocol::{AgentEvent, AgentInput, CLOSE, FollowUp};
use tokio::io::{AsyncRead, BufReader};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::container::Container;
use super::home::Home;
use super::host::{GUARD_TO_END, HostProcess};
use super::lines::{Line, Lines};
use super::patience::{Overdue, Patience};
use super::run_log::RunLog;
use super::{AgentEnd, AgentFault};
use crate::clock::{Busy, Clock, Work};
use crate::house::House;
use crate::ids::RunId;

/// How long an agent may take to end once it was asked to, or once it closed its stdout.
pub(super) const TO_END: Duration = Duration::from_secs(2);
/// How long the last of stderr may take once every process of the agent is gone.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How much of stderr an error quotes.
const QUOTED: usize = 200;

/// What the agent runs in. An enum and no trait: there are these two, and each is used as
/// itself wherever it is not used as either.
#[derive(Debug)]
pub(super) enum Body {
    Host(HostProcess),
    Container(Container),
}

/// What an agent was told to do after its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterResult {
    Ends,
    Waits,
}

impl AfterResult {
    pub(super) fn of(input: &AgentInput) -> Self {
        if input.waits { Self::Waits } else { Self::Ends }
    }
}

/// The streams of an agent that has been started.
pub(super) struct Started {
    pub(super) stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// Feeds stdin; drains stderr and returns its last part.
    pub(super) tasks: JoinSet<String>,
}

/// How what the agent ran in came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) is_success: bool,
    /// For the run log.
    pub(super) status: String,
    /// What to say if the agent itself said nothing.
    pub(super) fault: String,
}

/// An agent that could not be started as a process.
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
    #[error("the agent's next input cannot be left for it")]
    HandIn(#[source] std::io::Error),
}

/// A running agent.
pub(crate) struct RunningAgent {
    body: Body,
    stdout: Lines<BufReader<Box<dyn AsyncRead + Send + Unpin>>>,
    tasks: JoinSet<String>,
    log: RunLog,
    home: Home,
    clock: Clock,
    patience: Patience,
    grace: Duration,
    after_result: AfterResult,
    stopping: bool,
    /// It has had its time, or is not listened to any more.
    overdue: bool,
    /// It has said that it is done.
    finished: bool,
    started: Instant,
}

impl Body {
    /// How long ending one that does not want to end may take.
    fn time_to_end(&self) -> Duration {
        match self {
            Self::Host(_) => TO_END + GUARD_TO_END,
            Self::Container(_) => TO_END + Container::TO_REMOVE,
        }
    }

    /// Waits for the end, or brings it about; afterwards nothing of the agent is alive.
    async fn end(&mut self, at_once: bool, log: &RunLog, busy: Busy) -> Result<Ended, String> {
        match self {
            Self::Host(process) => process.end(at_once, log).await.map_err(|e| e.to_string()),
            Self::Container(container) => {
                let ended = Box::pin(container.end(at_once, log, busy)).await;
                ended.map_err(|error| crate::chain(&error))
            }
        }
    }
}

impl RunningAgent {
    pub(super) fn new(
        house: &House,
        home: Home,
        log: RunLog,
        (body, Started { stdout, tasks }): (Body, Started),
        after_result: AfterResult,
    ) -> Self {
        let config = &house.config;
        Self {
            stdout: Lines::new(BufReader::new(stdout), config.agent_max_output),
            tasks,
            log,
            home,
            clock: house.clock.clone(),
            patience: Patience::new(config),
            grace: config.shutdown_grace.saturating_sub(body.time_to_end()),
            body,
            after_result,
            stopping: false,
            overdue: false,
            finished: false,
            started: Instant::now(),
        }
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
                () = tokio::time::sleep_until(self.patience.deadline()) => {
                    self.overdue = true;
                    return None;
                }
                () = stop.cancelled(), if !self.stopping => {
                    self.stopping = true;
                    self.patience.shorten(self.grace);
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
                    self.patience.heard();
                }
                Some(event)
            }
            // Noise is for the log alone.
            Ok(_) | Err(_) => None,
        }
    }

    /// Whether it waits for more, now that it has given its result.
    pub(crate) fn waits(&self) -> bool {
        self.after_result == AfterResult::Waits && !self.stopping
    }

    /// Returns when it has ended although it was to wait. Cancel-safe.
    pub(crate) async fn ends(&mut self) {
        while let Ok(Some(line)) = self.stdout.next().await {
            // Nothing was asked, so nothing can be answered: it is for the log alone.
            self.read(&line);
        }
    }

    /// Gives it its next turn, and the time for it.
    pub(super) fn hand_in(&mut self, run: &RunId, next: &FollowUp) -> Result<(), StartError> {
        let text = serde_json::to_vec(next).map_err(StartError::Input)?;
        self.log.line(&format!("\nFollow-up: run {run}"));
        let at = self.clock.now().as_millisecond();
        let handed_in = self.home.hand_in(&format!("{at}-{run}.json"), &text);
        handed_in.map_err(StartError::HandIn)?;
        self.patience.begin();
        Ok(())
    }

    /// Tells it to wait no more.
    pub(crate) fn close(&mut self) {
        if let Err(error) = self.home.hand_in(CLOSE, b"") {
            self.log
                .line(&format!("the agent cannot be told to end: {error}"));
            self.give_up();
        }
    }

    /// The agent has said that it is done: it has a moment to end, and has succeeded even if it
    /// does not.
    pub(crate) fn has_finished(&mut self) {
        self.finished = true;
        if self.stopping {
            self.patience.shorten(TO_END);
        } else {
            // One that has waited for long has used its time up, but had nothing to do with it.
            self.patience.allow(TO_END);
        }
    }

    /// Does not listen any more; [`Self::end`] will not wait.
    pub(crate) fn give_up(&mut self) {
        self.overdue = true;
    }

    pub(crate) fn is_overdue(&self) -> bool {
        self.overdue
    }

    /// Does in the group's folder what is due after a turn.
    pub(crate) fn settle_home(&self) {
        self.home.settle_or_tell();
    }

    /// Ends the agent if it has not ended, and says how it went.
    pub(crate) async fn end(mut self) -> AgentEnd {
        let busy = self.clock.busy(Work::Run);
        let ended = self.body.end(self.overdue, &self.log, busy).await;
        // What it may still have to say is not read: who waits to say it may go.
        drop(self.stdout);
        let stderr = last_words(&mut self.tasks).await;
        let status = ended.as_ref().map_or("unknown", |ended| &ended.status);
        self.log.line(&format!(
            "\nExit Code: {status}\nDuration: {} ms",
            self.started.elapsed().as_millis()
        ));
        self.home.settle_or_tell();
        if self.finished {
            return AgentEnd::Done;
        }
        if self.overdue && self.stopping {
            return AgentEnd::Interrupted;
        }
        let overdue = self.overdue.then(|| self.patience.overdue());
        let message = match (ended, overdue) {
            (Err(error), Some(overdue)) => format!("{overdue} and could not be stopped: {error}"),
            (Ok(_), Some(overdue)) => format!("{overdue} and was stopped"),
            (Ok(ended), None) if ended.is_success => return AgentEnd::Done,
            (Ok(ended), None) => with_stderr(ended.fault, &stderr),
            (Err(error), None) => format!("the end of the agent cannot be waited for: {error}"),
        };
        AgentEnd::Failed(match overdue {
            Some(Overdue::AtWork(_)) => AgentFault::lasting(format!(
                "{message}: ask for less at once, or set turn_timeout to a longer span"
            )),
            Some(Overdue::Silent(_)) | None => AgentFault::retryable(message),
        })
    }
}

impl fmt::Debug for RunningAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningAgent")
            .field("body", &self.body)
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

async fn last_words(tasks: &mut JoinSet<String>) -> String {
    let mut stderr = String::new();
    // Every process of the agent is gone, so its streams are closed.
    while let Ok(Some(ended)) = tokio::time::timeout(LAST_WORDS, tasks.join_next()).await {
        match ended {
            Ok(text) => stderr.push_str(&text),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    stderr
}

fn with_stderr(fault: String, stderr: &str) -> String {
    let stderr = stderr.trim();
    if stderr.is_empty() {
        return fault;
    }
    let from = stderr
        .char_indices()
        .rev()
        .nth(QUOTED - 1)
        .map_or(0, |(at, _)| at);
    format!("{fault}: {}", &stderr[from..])
}

pub(super) fn open_log(
    house: &House,
    home: &Home,
    input: &AgentInput,
) -> Result<RunLog, StartError> {
    let at = format!("{:.3}", house.clock.now()).replace([':', '.'], "-");
    let run = &uuid::Uuid::new_v4().to_string()[..8];
    let cleared = RunLog::clear_old(&home.logs);
    let file = home.logs.create_new(&format!("container-{at}-{run}.log"));
    let secrets = house.config.secrets();
    let file = file.map_err(StartError::Log)?;
    let log = RunLog::new(file, house.config.agent_max_output, secrets);
    if let Err(error) = cleared {
        log.line(&format!("older logs are still here: {error}"));
    }
    log.head(&[
        ("Timestamp", &house.clock.now()),
        ("Group", &home.folder),
        ("Runtime", &house.config.agent_runtime.word()),
        ("IsMain", &home.is_main),
        ("Prompt length", &input.prompt.len()),
        ("Session", &input.session_id.as_deref().unwrap_or("new")),
    ]);
    Ok(log)
}
