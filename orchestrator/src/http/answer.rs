//! Waiting for the answer to one message, by reading the record of events.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::StatusCode;

use super::problem::Problem;
use crate::events::{Event, EventReader, RunOutcome};
use crate::ids::{ChatJid, RunId};

/// What a waiting client hears next.
#[derive(Debug)]
pub(super) enum Heard {
    Text(String),
    /// The message is answered; nothing more will come.
    End,
    Failed(Problem),
}

/// How many clients wait for an answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting(Arc<AtomicUsize>);

/// One of them, as long as this is held.
#[derive(Debug)]
struct Waits(Waiting);

impl Waiting {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn begin(&self) -> Waits {
        self.0.fetch_add(1, Ordering::Relaxed);
        Waits(self.clone())
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The wait for one message's answer. It is dropped with its client's connection, and nothing of
/// it is left; the turn goes on, and its answer is in the history.
#[derive(Debug)]
pub(super) struct Answer {
    _waits: Waits,
    reader: EventReader,
    chat: ChatJid,
    /// Sequence number of the message.
    message: i64,
    run: Option<RunId>,
    /// Texts of the run heard so far, and, once it has ended, how many there are.
    heard: u32,
    outputs: Option<u32>,
}

impl Answer {
    /// `reader` must stand where it was before the message was taken in.
    pub(super) fn new(
        waiting: &Waiting,
        reader: EventReader,
        (chat, message): (ChatJid, i64),
    ) -> Self {
        Self {
            _waits: waiting.begin(),
            reader,
            chat,
            message,
            run: None,
            heard: 0,
            outputs: None,
        }
    }

    /// The next thing that concerns this message. Cancel-safe.
    pub(super) async fn next(&mut self) -> Heard {
        loop {
            if self.outputs.is_some_and(|outputs| self.heard >= outputs) {
                return Heard::End;
            }
            let Some(event) = self.reader.next().await else {
                return Heard::Failed(Problem::stopping());
            };
            if let Some(heard) = self.hear(&event.event) {
                return heard;
            }
        }
    }

    fn hear(&mut self, event: &Event) -> Option<Heard> {
        match event {
            Event::RunStarted { run, messages, .. } if messages.contains(&self.message) => {
                (self.run, self.heard) = (Some(run.clone()), 0);
                None
            }
            // The main group's agent may write to other chats meanwhile; that is not for here.
            Event::MessageSent {
                chat,
                run: Some(run),
                text,
                id,
                ..
            } if self.run.as_ref() == Some(run) && self.chat == *chat => {
                // What an agent sends by IPC has an id of its own and is no output.
                self.heard += u32::from(id.starts_with(run.as_str()));
                Some(Heard::Text(text.clone()))
            }
            Event::RunEnded {
                run,
                outcome,
                outputs,
                retry_at,
                error,
                message,
                ..
            } if self.run.as_ref() == Some(run) => {
                let why = (error.as_deref(), message.as_deref());
                self.ended(*outcome, *outputs, retry_at.is_some(), why)
            }
            Event::MessageReceived { .. }
            | Event::MessageSent { .. }
            | Event::MessageFailed { .. }
            | Event::MessageDelivered { .. }
            | Event::MessageRead { .. }
            | Event::MessageEdited { .. }
            | Event::MessageRevoked { .. }
            | Event::ChatNamed { .. }
            | Event::MediaStored { .. }
            | Event::ChannelState { .. }
            | Event::RunStarted { .. }
            | Event::RunSession { .. }
            | Event::RunToolCall { .. }
            | Event::RunToolResult { .. }
            | Event::RunUsage { .. }
            | Event::RunEnded { .. }
            | Event::AgentStarted { .. }
            | Event::AgentWaiting { .. }
            | Event::AgentClosed { .. }
            | Event::SessionStored { .. }
            | Event::SessionDropped { .. }
            | Event::SessionArchived { .. }
            | Event::IpcDone { .. }
            | Event::IpcRefused { .. }
            | Event::IpcQuarantined { .. }
            | Event::TaskChanged { .. }
            | Event::TaskDue { .. }
            | Event::TaskMoved(_)
            | Event::GroupRegistered { .. }
            | Event::Workspace(_) => None,
        }
    }

    /// The run has ended, and will be tried again or not.
    fn ended(
        &mut self,
        outcome: RunOutcome,
        outputs: u32,
        is_tried_again: bool,
        (kind, message): (Option<&str>, Option<&str>),
    ) -> Option<Heard> {
        if is_tried_again {
            return self.run.take().and(None);
        }
        self.outputs = Some(outputs);
        fell_silent(outcome, outputs, kind, message)
    }
}

/// Why a run that has ended for good leaves its message without an answer, if it does.
fn fell_silent(
    outcome: RunOutcome,
    outputs: u32,
    kind: Option<&str>,
    message: Option<&str>,
) -> Option<Heard> {
    match outcome {
        RunOutcome::Failed if outputs == 0 => Some(Heard::Failed(Problem::new(
            StatusCode::BAD_GATEWAY,
            kind.unwrap_or("agent_failed"),
            message.unwrap_or("the agent failed"),
        ))),
        RunOutcome::Interrupted if outputs == 0 => Some(Heard::Failed(Problem::stopping())),
        RunOutcome::Answered
        | RunOutcome::Silent
        | RunOutcome::Failed
        | RunOutcome::Interrupted => None,
    }
}
