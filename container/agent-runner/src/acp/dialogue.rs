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
    RequestPermissionResponse, SelectedPermissionOutcome, SessionNotification, SessionUpdate,
};
use agent_protocol::AgentErrorKind;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout, timeout_at};

use super::lines::Line;
use super::process::{AgentProcess, End};
use super::trouble::{Phase, Trouble};
use super::wire::{self, Said};
use crate::events::note;
use crate::failure::Failure;

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

/// The conversation with the agent.
#[derive(Debug)]
pub(super) struct Dialogue {
    process: AgentProcess,
    told_to_stop: Signal,
    stall: Duration,
    asked: u64,
}

impl Dialogue {
    pub(super) fn new(process: AgentProcess, stall: Duration) -> Result<Self, Failure> {
        let told_to_stop = signal(SignalKind::terminate())
            .map_err(|error| Failure::lasting(AgentErrorKind::Io, &error))?;
        Ok(Self {
            process,
            told_to_stop,
            stall,
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
        Ok(answer.session_id.to_string())
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
        if matches!(answer, Err(Trouble::Stopped | Trouble::Stalled { .. })) {
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
        let mut busy = Busy::Thinking;
        loop {
            match self.listen(phase, busy).await? {
                Said::Answer(to, Ok(answer)) if to == number => {
                    return serde_json::from_value(answer)
                        .map_err(|source| Trouble::NotUnderstood { phase, source });
                }
                Said::Answer(to, Err(error)) if to == number => {
                    return Err(Trouble::Refused { phase, error });
                }
                Said::Answer(..) => note("the agent answers a question that we have not asked"),
                Said::Question { id, method, params } => {
                    self.reply(phase, &id, &method, params).await?;
                }
                Said::News { method, params } => {
                    if let Some(update) = update(&method, params) {
                        busy = hear(update)?;
                    }
                }
            }
        }
    }

    /// The next message, if it comes in time; noise does not count.
    async fn listen(&mut self, phase: Phase, busy: Busy) -> Result<Said, Trouble> {
        let patience = match busy {
            Busy::Thinking => self.stall,
            Busy::InTool => self.stall.max(LONGEST_TOOL),
        };
        let deadline = Instant::now() + patience;
        loop {
            let line = tokio::select! {
                line = timeout_at(deadline, self.process.lines.next()) => line,
                _ = self.told_to_stop.recv() => return Err(Trouble::Stopped),
            };
            let Ok(line) = line else {
                return Err(Trouble::Stalled { phase, patience });
            };
            match line.map_err(Trouble::Pipe)? {
                None => return Err(Trouble::Ended(phase)),
                Some(Line::TooLong) => note("a line of the agent is too long and was dropped"),
                Some(Line::Whole(line)) => match wire::read(&line) {
                    Ok(said) => return Ok(said),
                    Err(noise) => note(&format!("agent: {noise}: {}", beginning(&line))),
                },
            }
        }
    }

    async fn say(&mut self, phase: Phase, message: Vec<u8>) -> Result<(), Trouble> {
        let patience = self.stall;
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
    ) -> Result<(), Trouble> {
        let answer = if method == CLIENT_METHOD_NAMES.session_request_permission {
            wire::answering(id, permission(params))
        } else {
            note(&format!(
                "the agent asks for `{method}`, which we do not offer"
            ));
            wire::answering(id, Err::<Value, _>(Error::method_not_found()))
        };
        self.say(phase, answer?).await
    }

    /// Tells the agent to give up, and waits a moment until it has.
    async fn cancel(&mut self, session: &str) {
        let cancel = CancelNotification::new(session.to_owned());
        let given_up = async {
            let message = wire::asking(None, AGENT_METHOD_NAMES.session_cancel, cancel)?;
            self.say(Phase::Prompt, message).await?;
            while !matches!(
                self.listen(Phase::Prompt, Busy::Thinking).await?,
                Said::Answer(..)
            ) {}
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

/// The news, if it is of the session and of a kind that we know; others may come.
fn update(method: &str, params: Value) -> Option<SessionUpdate> {
    if method != CLIENT_METHOD_NAMES.session_update {
        return None;
    }
    match serde_json::from_value::<SessionNotification>(params) {
        Ok(notification) => Some(notification.update),
        Err(_of_another_kind) => None,
    }
}

/// The box is what protects us, not a question that nobody is there to answer: everything is
/// allowed, each time anew. A choice between several is a question of another kind (the Kimi CLI
/// puts those of `AskUserQuestion` so): it is passed over, since an answer would be made up.
fn permission(params: Value) -> Result<RequestPermissionResponse, Error> {
    let Ok(request) = serde_json::from_value::<RequestPermissionRequest>(params) else {
        return Err(Error::invalid_params());
    };
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
    Ok(RequestPermissionResponse::new(outcome))
}

fn beginning(line: &[u8]) -> String {
    String::from_utf8_lossy(line).chars().take(200).collect()
}
