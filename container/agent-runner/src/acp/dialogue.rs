//! Questions and answers, one at a time, with an end to every wait.

use std::io;
use std::path::Path;
use std::time::Duration;

use agent_client_protocol_schema::ProtocolVersion;
use agent_client_protocol_schema::v1::{
    AGENT_METHOD_NAMES, CLIENT_METHOD_NAMES, CancelNotification, ContentBlock, Error,
    Implementation, InitializeRequest, InitializeResponse, LoadSessionRequest, LoadSessionResponse,
    McpServer, NewSessionRequest, NewSessionResponse, PermissionOption, PermissionOptionKind,
    PromptRequest, PromptResponse, RequestPermissionOutcome, RequestPermissionRequest,
    RequestPermissionResponse, SelectedPermissionOutcome, SessionId, SessionNotification,
    SessionUpdate,
};
use agent_protocol::AgentErrorKind;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout, timeout_at};

use super::lines::Line;
use super::notes::Notes;
use super::process::{AgentProcess, End};
use super::trouble::{Phase, Trouble};
use super::wire::{self, Said};
use crate::failure::Failure;
use crate::settings::Patience;

/// A tool of the agent's own may be silent for as long as one of ours.
const LONGEST_TOOL: Duration = Duration::from_secs(30 * 60);
/// How long an agent may take to say that it has given up. Whoever sent SIGTERM waits two
/// seconds for all of it.
const TO_CANCEL: Duration = Duration::from_secs(1);

/// What the agent is at, as far as it has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Busy {
    /// It waits for the model, which must say something now and then.
    Thinking,
    /// A tool of its own runs.
    InTool,
}

/// How long is waited for something of use, and until when.
#[derive(Clone, Copy, Debug)]
struct Wait {
    busy: Busy,
    patience: Duration,
    deadline: Instant,
}

/// Whom a question concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Ours,
    NotOurs,
}

/// The conversation with the agent.
#[derive(Debug)]
pub(super) struct Dialogue {
    process: AgentProcess,
    notes: Notes,
    told_to_stop: Signal,
    patience: Patience,
    turn_ends: Instant,
    /// Whose updates are ours.
    session: Option<String>,
    asked: u64,
}

impl Dialogue {
    pub(super) fn new(
        process: AgentProcess,
        notes: Notes,
        patience: Patience,
    ) -> Result<Self, Failure> {
        let told_to_stop = signal(SignalKind::terminate())
            .map_err(|error| Failure::lasting(AgentErrorKind::Io, &error))?;
        Ok(Self {
            process,
            notes,
            told_to_stop,
            patience,
            turn_ends: Instant::now() + patience.turn,
            session: None,
            asked: 0,
        })
    }

    /// Shakes hands, and learns whether the agent can go on with an earlier session. We offer
    /// neither files nor terminals: the agent is in the same box as its files.
    pub(super) async fn initialize(&mut self) -> Result<bool, Trouble> {
        let us = Implementation::new("nanokimi", env!("CARGO_PKG_VERSION"));
        let hello = InitializeRequest::new(ProtocolVersion::V1).client_info(us);
        let answer: InitializeResponse = self.ask(Phase::Initialize, hello, nothing).await?;
        if answer.protocol_version == ProtocolVersion::V1 {
            Ok(answer.agent_capabilities.load_session)
        } else {
            Err(Trouble::Version(answer.protocol_version))
        }
    }

    pub(super) async fn new_session(
        &mut self,
        folder: &Path,
        tools: Vec<McpServer>,
    ) -> Result<String, Trouble> {
        let request = NewSessionRequest::new(folder).mcp_servers(tools);
        let answer: NewSessionResponse = self.ask(Phase::NewSession, request, nothing).await?;
        let id = answer.session_id.to_string();
        self.session = Some(id.clone());
        Ok(id)
    }

    /// What the agent tells of the session's past is not told again.
    pub(super) async fn load_session(
        &mut self,
        id: &str,
        can_load: bool,
        folder: &Path,
        tools: Vec<McpServer>,
    ) -> Result<(), Trouble> {
        if !can_load {
            return Err(Trouble::CannotLoad);
        }
        self.session = Some(id.to_owned());
        let request = LoadSessionRequest::new(id.to_owned(), folder).mcp_servers(tools);
        // Some answer null.
        let _answer: Option<LoadSessionResponse> =
            self.ask(Phase::LoadSession, request, nothing).await?;
        Ok(())
    }

    /// Asks, and lets `hear` know of all that the agent tells on the way to its answer.
    pub(super) async fn prompt(
        &mut self,
        session: &str,
        prompt: Vec<ContentBlock>,
        hear: impl FnMut(SessionUpdate) -> Result<Busy, Failure>,
    ) -> Result<PromptResponse, Trouble> {
        let request = PromptRequest::new(session.to_owned(), prompt);
        let answer = self.ask(Phase::Prompt, request, hear).await;
        if answer.as_ref().is_err_and(Trouble::leaves_it_at_work) {
            self.cancel(session).await;
        }
        answer
    }

    /// Closes the agent's stdin and waits for its end.
    pub(super) async fn close(self) -> End {
        self.process.end().await
    }

    async fn ask<R: DeserializeOwned>(
        &mut self,
        phase: Phase,
        request: impl Serialize,
        mut hear: impl FnMut(SessionUpdate) -> Result<Busy, Failure>,
    ) -> Result<R, Trouble> {
        self.asked += 1;
        let number = self.asked;
        self.say(phase, wire::asking(Some(number), phase.method(), request)?)
            .await?;
        let mut wait = self.wait(Busy::Thinking);
        loop {
            match self.listen(phase, wait).await? {
                Said::Answer(to, Ok(answer)) if to == number => {
                    return serde_json::from_value(answer)
                        .map_err(|source| Trouble::NotUnderstood { phase, source });
                }
                Said::Answer(to, Err(error)) if to == number => {
                    return Err(Trouble::Refused { phase, error });
                }
                Said::Answer(..) => self.notes.keep("[an answer to no question of ours]"),
                Said::Question { id, method, params } => {
                    if self.reply(phase, &id, &method, params).await? == Whose::Ours {
                        wait = self.wait(wait.busy);
                    }
                }
                Said::News { method, params } => {
                    if let Some(update) = self.update(&method, params) {
                        wait = self.wait(hear(update)?);
                    }
                }
            }
        }
    }

    /// A wait that begins now.
    fn wait(&self, busy: Busy) -> Wait {
        let patience = match busy {
            Busy::Thinking => self.patience.stall,
            Busy::InTool => self.patience.stall.max(LONGEST_TOOL),
        };
        Wait {
            busy,
            patience,
            deadline: Instant::now() + patience,
        }
    }

    /// The next message, if it comes in time. A wait goes on from one message to the next until
    /// one of use has come; nothing moves the end of the turn.
    async fn listen(&mut self, phase: Phase, wait: Wait) -> Result<Said, Trouble> {
        let deadline = wait.deadline.min(self.turn_ends);
        loop {
            // A line that lies ready comes before the deadline, so it is looked at here.
            let now = Instant::now();
            if now >= self.turn_ends {
                return Err(Trouble::TooLong(self.patience.turn));
            }
            if now >= wait.deadline {
                let patience = wait.patience;
                return Err(Trouble::Stalled { phase, patience });
            }
            let line = tokio::select! {
                line = timeout_at(deadline, self.process.lines.next()) => line,
                _ = self.told_to_stop.recv() => return Err(Trouble::Stopped),
            };
            let Ok(line) = line else {
                continue;
            };
            match line.map_err(Trouble::Pipe)? {
                None => return Err(Trouble::Ended(phase)),
                Some(Line::TooLong) => self
                    .notes
                    .keep("[a line of the agent is too long and was dropped]"),
                Some(Line::Whole(line)) => match wire::read(&line) {
                    Ok(said) => return Ok(said),
                    Err(noise) => self.notes.keep(&format!(
                        "[{noise}] {}",
                        beginning(&String::from_utf8_lossy(&line))
                    )),
                },
            }
        }
    }

    async fn say(&mut self, phase: Phase, message: Vec<u8>) -> Result<(), Trouble> {
        let patience = self.patience.stall;
        let Some(stdin) = &mut self.process.stdin else {
            return Err(Trouble::Ended(phase));
        };
        let written = async {
            stdin.write_all(&message).await?;
            stdin.flush().await
        };
        match timeout(patience, written).await {
            Ok(Ok(())) => Ok(()),
            // It has ended; what it had to say about that is still to be read.
            Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                Err(Trouble::Ended(phase))
            }
            Ok(Err(error)) => Err(Trouble::Pipe(error)),
            Err(_elapsed) => Err(Trouble::Stalled { phase, patience }),
        }
    }

    async fn reply(
        &mut self,
        phase: Phase,
        id: &Value,
        method: &str,
        params: Value,
    ) -> Result<Whose, Trouble> {
        let (answer, whose) = if method == CLIENT_METHOD_NAMES.session_request_permission {
            let (answer, whose) = self.permission(params);
            (wire::answering(id, answer), whose)
        } else {
            let method = beginning(method);
            self.notes
                .keep(&format!("[asks for `{method}`, which we do not offer]"));
            let refusal = Err::<Value, _>(Error::method_not_found());
            (wire::answering(id, refusal), Whose::NotOurs)
        };
        self.say(phase, answer?).await?;
        Ok(whose)
    }

    /// The news, if it is of our session and of a kind that we know; others may come.
    fn update(&self, method: &str, params: Value) -> Option<SessionUpdate> {
        if method != CLIENT_METHOD_NAMES.session_update {
            return None;
        }
        match serde_json::from_value::<SessionNotification>(params) {
            Ok(news) if self.is_ours(&news.session_id) => Some(news.update),
            Ok(_) | Err(_) => None,
        }
    }

    fn permission(&self, params: Value) -> (Result<RequestPermissionResponse, Error>, Whose) {
        match serde_json::from_value::<RequestPermissionRequest>(params) {
            Ok(request) if self.is_ours(&request.session_id) => {
                (Ok(permission(&request)), Whose::Ours)
            }
            Ok(_) => {
                let outcome = RequestPermissionOutcome::Cancelled;
                (Ok(RequestPermissionResponse::new(outcome)), Whose::NotOurs)
            }
            Err(_of_another_shape) => (Err(Error::invalid_params()), Whose::NotOurs),
        }
    }

    fn is_ours(&self, session: &SessionId) -> bool {
        self.session.as_deref() == Some(&*session.0)
    }

    /// Tells the agent to give up, and waits a moment until it has.
    async fn cancel(&mut self, session: &str) {
        let cancel = CancelNotification::new(session.to_owned());
        let given_up = async {
            let message = wire::asking(None, AGENT_METHOD_NAMES.session_cancel, cancel)?;
            self.say(Phase::Prompt, message).await?;
            // The turn may have come to its end; the agent still has its moment.
            self.turn_ends = Instant::now() + TO_CANCEL;
            let wait = self.wait(Busy::Thinking);
            while !matches!(self.listen(Phase::Prompt, wait).await?, Said::Answer(..)) {}
            Ok::<(), Trouble>(())
        };
        // The turn has failed already; the agent is ended in any case.
        let (Ok(_) | Err(_)) = timeout(TO_CANCEL, given_up).await;
    }
}

/// Listens to nothing: what is told before the prompt is of the past.
fn nothing(_update: SessionUpdate) -> Result<Busy, Failure> {
    Ok(Busy::Thinking)
}

/// The box is what protects us, not a question that nobody is there to answer: everything is
/// allowed, each time anew. A choice between several is a question of another kind (the Kimi CLI
/// puts those of `AskUserQuestion` so): it is passed over, since an answer would be made up.
fn permission(request: &RequestPermissionRequest) -> RequestPermissionResponse {
    let find = |kind: PermissionOptionKind| {
        let of_kind = move |option: &&PermissionOption| option.kind == kind;
        request.options.iter().filter(of_kind)
    };
    let mut once = find(PermissionOptionKind::AllowOnce);
    let option = match (once.next(), once.next()) {
        (Some(option), None) => Some(option),
        (None, _) => find(PermissionOptionKind::AllowAlways).next(),
        (Some(_), Some(_)) => find(PermissionOptionKind::RejectOnce).next(),
    };
    let outcome = option.map_or(RequestPermissionOutcome::Cancelled, |option| {
        RequestPermissionOutcome::Selected(SelectedPermissionOutcome::new(option.option_id.clone()))
    });
    RequestPermissionResponse::new(outcome)
}

fn beginning(text: &str) -> String {
    text.chars().take(200).collect()
}
