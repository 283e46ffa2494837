//! One turn of a group: claim what stands in the store, run the agent, keep what it says,
//! give the claim back.
//!
//! It neither decides when a group runs (the queue does) nor how an agent is run (`agent` does).

use std::time::Duration;

use agent_protocol::{AgentErrorKind, AgentEvent};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::agent::{Agent, AgentEnd, AgentFault};
use crate::clock::{Clock, Work};
use crate::events::{Event, RunOutcome};
use crate::house::House;
use crate::ids::{GroupFolder, SessionId};
use crate::ipc::IpcWatch;
use crate::outbox::Outbox;
use crate::store::{Claim, Queued, Release, Released, StoreError, Unit};

/// A batch of messages is tried once, and again this often.
const RETRIES: u32 = 5;
/// Before the first retry; doubled for each one after.
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// When the store itself refuses, e.g. because the disk is full.
const STORE_RETRY: Duration = Duration::from_secs(5);

/// Takes turns; one handle serves all groups.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    house: House,
    agent: Agent,
    outbox: Outbox,
    ipc: IpcWatch,
}

/// What a group does after its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It had nothing to do.
    Idle,
    /// It may have more to do.
    Again,
    /// It failed, and what it had to do stands in the store again.
    RetryAt(Timestamp),
}

/// What one agent left behind.
struct Ran {
    end: AgentEnd,
    session: Option<SessionId>,
}

impl Turns {
    #[must_use]
    pub(crate) fn new(house: House, agent: Agent, outbox: Outbox, ipc: IpcWatch) -> Self {
        Self {
            house,
            agent,
            outbox,
            ipc,
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.house.clock
    }

    /// Takes one unit of work of the group, if it has one.
    pub(crate) async fn take(&self, folder: &GroupFolder, stop: CancellationToken) -> Next {
        match self.claim_and_run(folder, stop).await {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(group = %folder, error = crate::chain(&error), "the turn could not be kept in the store");
                Next::RetryAt(self.house.clock.after(STORE_RETRY))
            }
        }
    }

    async fn claim_and_run(
        &self,
        folder: &GroupFolder,
        stop: CancellationToken,
    ) -> Result<Next, StoreError> {
        let now = self.house.clock.now();
        let Some(claim) = self.house.store.claim(folder.clone(), now).await? else {
            return Ok(Next::Idle);
        };
        self.house.events.tell(started(&claim));
        let ran = self.run_healing(&claim, &stop).await?;
        // What the agent dropped into its IPC folder before it ended is part of this turn.
        self.ipc.drain(&claim.group.folder).await;
        let release = release_for(&claim, &ran, stop.is_cancelled());
        self.end(claim, ran, release).await
    }

    /// Runs the agent, and once more in a fresh session if the old one is dead.
    async fn run_healing(
        &self,
        claim: &Claim,
        stop: &CancellationToken,
    ) -> Result<Ran, StoreError> {
        let ran = self.run(claim, claim.session.as_ref(), stop).await?;
        let dead = match (&claim.session, &ran.end) {
            (Some(session), AgentEnd::Failed(fault))
                if fault.kind == Some(AgentErrorKind::SessionNotFound) =>
            {
                session
            }
            (None | Some(_), AgentEnd::Done | AgentEnd::Failed(_) | AgentEnd::Interrupted) => {
                return Ok(ran);
            }
        };
        let group = &claim.group.folder;
        tracing::warn!(%group, session_id = %dead, "the session is gone; starting a fresh one");
        self.house
            .store
            .drop_session(group.clone(), dead.clone())
            .await?;
        self.house.events.tell(Event::SessionDropped {
            group: group.clone(),
            session: dead.clone(),
            reason: "the agent could not find it".to_owned(),
        });
        self.run(claim, None, stop).await
    }

    async fn run(
        &self,
        claim: &Claim,
        session: Option<&SessionId>,
        stop: &CancellationToken,
    ) -> Result<Ran, StoreError> {
        let mut ran = Ran {
            end: AgentEnd::Done,
            session: None,
        };
        let mut process = match self.agent.start(claim, session).await {
            Ok(process) => process,
            Err(fault) => {
                ran.end = AgentEnd::Failed(fault);
                return Ok(ran);
            }
        };
        let mut outputs = 0;
        let mut finished = false;
        let mut fault = None;
        while let Some(event) = process.next_event(stop).await {
            match event {
                AgentEvent::Text { text, interim } => {
                    if !interim {
                        outputs += u32::from(self.keep_output(claim, outputs, &text).await?);
                    }
                }
                AgentEvent::Result { new_session_id } => {
                    finished = true;
                    ran.session = self.read_session(claim, &new_session_id);
                }
                AgentEvent::Error {
                    kind,
                    message,
                    retryable,
                } => {
                    fault = Some(AgentFault {
                        kind: Some(kind),
                        message,
                        retryable,
                    });
                }
                AgentEvent::Session { .. }
                | AgentEvent::ToolCall { .. }
                | AgentEvent::ToolResult { .. }
                | AgentEvent::Usage(_) => self.tell(claim, event),
            }
        }
        ran.end = match process.end().await {
            AgentEnd::Interrupted => AgentEnd::Interrupted,
            AgentEnd::Failed(ended) => AgentEnd::Failed(fault.unwrap_or(ended)),
            AgentEnd::Done => match (fault, finished) {
                (Some(fault), _) => AgentEnd::Failed(fault),
                (None, true) => AgentEnd::Done,
                (None, false) => AgentEnd::Failed(AgentFault::no_result()),
            },
        };
        Ok(ran)
    }

    /// Keeps an output and has it sent; says whether there was anything to say.
    async fn keep_output(&self, claim: &Claim, index: u32, text: &str) -> Result<bool, StoreError> {
        let text = spoken(text);
        if text.is_empty() {
            return Ok(false);
        }
        // What the agent sent by IPC before it said this is heard before this.
        self.ipc.drain(&claim.group.folder).await;
        let busy = self.house.clock.busy(Work::Outbox);
        let queued = self
            .house
            .store
            .queue_output(claim, index, text, self.house.clock.now())
            .await?;
        if queued == Queued::New {
            self.outbox.wake(busy).await;
        }
        Ok(true)
    }

    fn read_session(&self, claim: &Claim, text: &str) -> Option<SessionId> {
        match text.parse() {
            Ok(session) => Some(session),
            Err(error) => {
                let error = crate::chain(&error);
                tracing::warn!(group = %claim.group.folder, error, "the agent named a session that cannot be kept");
                None
            }
        }
    }

    fn tell(&self, claim: &Claim, event: AgentEvent) {
        let (run, group) = (claim.run.clone(), claim.group.folder.clone());
        let told = match event {
            AgentEvent::Session {
                session_id,
                resumed,
            } => {
                tracing::info!(%group, resumed, %session_id, "Session initialized");
                let Ok(session) = session_id.parse() else {
                    return;
                };
                Event::RunSession {
                    run,
                    group,
                    session,
                    resumed,
                }
            }
            AgentEvent::ToolCall {
                name, arguments, ..
            } => Event::RunToolCall {
                run,
                group,
                name,
                arguments,
            },
            AgentEvent::ToolResult {
                name, ok, output, ..
            } => Event::RunToolResult {
                run,
                group,
                name,
                ok,
                output,
            },
            AgentEvent::Usage(usage) => Event::RunUsage {
                run,
                group,
                prompt_tokens: usage.prompt_tokens,
                completion_tokens: usage.completion_tokens,
            },
            AgentEvent::Text { .. } | AgentEvent::Result { .. } | AgentEvent::Error { .. } => {
                return;
            }
        };
        self.house.events.tell(told);
    }

    async fn end(&self, claim: Claim, ran: Ran, release: Release) -> Result<Next, StoreError> {
        let busy = self.house.clock.busy(Work::Outbox);
        let now = self.house.clock.now();
        let retries = matches!(release, Release::Retry { .. });
        let retry_at = (retries && matches!(claim.unit, Unit::Messages(_))).then(|| {
            self.house
                .clock
                .after(FIRST_RETRY * 2u32.pow(claim.attempt.saturating_sub(1).min(10)))
        });
        let released = self
            .house
            .store
            .release(claim.clone(), release.clone(), now)
            .await?;
        let retry_at = retry_at.filter(|_| released.requeued);
        self.tell_end(&claim, &ran, &released, retry_at);
        if let Release::GiveUp { error, .. } = &release
            && released.outputs == 0
        {
            self.house.events.tell(Event::MessageFailed {
                chat: claim.group.chat.clone(),
                group: claim.group.folder.clone(),
                reason: error.clone(),
            });
        }
        self.outbox.wake(busy).await;
        Ok(match (retry_at, released.outcome) {
            (Some(at), _) => Next::RetryAt(at),
            (None, RunOutcome::Interrupted) => Next::Idle,
            (None, RunOutcome::Answered | RunOutcome::Silent | RunOutcome::Failed) => Next::Again,
        })
    }

    fn tell_end(&self, claim: &Claim, ran: &Ran, released: &Released, retry_at: Option<Timestamp>) {
        let fault = match &ran.end {
            AgentEnd::Failed(fault) => Some(fault),
            AgentEnd::Done | AgentEnd::Interrupted => None,
        };
        let group = &claim.group.folder;
        if let Some(fault) = fault {
            let retry_at = retry_at.map(|at| at.to_string()).unwrap_or_default();
            tracing::warn!(%group, run = %claim.run, attempt = claim.attempt, retry_at, "agent run failed: {fault}");
        }
        if released.session_stored
            && let Some(session) = &ran.session
        {
            self.house.events.tell(Event::SessionStored {
                group: group.clone(),
                session: session.clone(),
            });
        }
        self.house.events.tell(Event::RunEnded {
            run: claim.run.clone(),
            group: group.clone(),
            outcome: released.outcome,
            outputs: released.outputs,
            error: fault.and_then(AgentFault::kind_word),
            message: fault.map(|fault| fault.message.clone()),
            retry_at,
        });
    }
}

fn started(claim: &Claim) -> Event {
    let (task, messages) = match &claim.unit {
        Unit::Messages(messages) => (None, messages.iter().map(|message| message.seq).collect()),
        Unit::Task(task) => (Some(task.id.clone()), Vec::new()),
    };
    Event::RunStarted {
        run: claim.run.clone(),
        group: claim.group.folder.clone(),
        chat: claim.group.chat.clone(),
        kind: claim.kind(),
        task,
        attempt: claim.attempt,
        session: claim.session.clone(),
        messages,
    }
}

fn release_for(claim: &Claim, ran: &Ran, stopping: bool) -> Release {
    match &ran.end {
        AgentEnd::Done => Release::Done {
            session: ran.session.clone(),
        },
        AgentEnd::Interrupted => Release::Interrupted,
        // Our own stop makes agents fail in many ways; none of them is the agent's fault.
        AgentEnd::Failed(_) if stopping => Release::Interrupted,
        AgentEnd::Failed(fault) if fault.retryable && claim.attempt <= RETRIES => Release::Retry {
            error: fault.to_string(),
        },
        AgentEnd::Failed(fault) => Release::GiveUp {
            error: fault.to_string(),
            report: format!(
                "I could not answer: {fault}. Your message is kept; write again to have me try again."
            ),
        },
    }
}

/// What a chat hears of an output: without what the agent marked as internal.
fn spoken(text: &str) -> String {
    let mut spoken = String::new();
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once("<internal>") {
        spoken.push_str(before);
        let Some((_internal, after)) = inside.split_once("</internal>") else {
            // Never closed: better said than lost.
            spoken.push_str("<internal>");
            rest = inside;
            continue;
        };
        rest = after;
    }
    spoken.push_str(rest);
    spoken.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_thoughts_are_not_spoken() {
        assert_eq!(spoken("<internal>hm</internal> Yes."), "Yes.");
        assert_eq!(spoken("a<internal>b\nc</internal>d"), "ad");
        assert_eq!(spoken("<internal>only</internal>\n"), "");
        assert_eq!(spoken("a <internal> b"), "a <internal> b");
    }
}
