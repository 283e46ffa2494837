//! Everything that changes, in order: the source of `/v1/events`, of the metrics, and of
//! the answer that an HTTP client waits for.
//!
//! An event is told after what it tells is in the store. The record is bounded: a client
//! that stays away for longer than [`KEPT`] events has to look at the state instead.

mod task;
mod looking;
mod names;
mod scope;
mod workspace;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

use crate::channel::ChannelState;
use crate::clock::Clock;
use crate::ids::{ChatJid, GroupFolder, RunId, SessionId, TaskId};

pub(crate) use names::NAMES;
pub(crate) use task::{MovedTask, TaskChange};
pub(crate) use workspace::{WorkspaceEvent, WorkspaceStep};

/// How many events a client may lag behind.
const KEPT: usize = 10_000;

/// Something that has happened. The serialised form is the `data` of an SSE event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Event {
    MessageReceived {
        chat: ChatJid,
        group: GroupFolder,
        id: String,
        from: String,
        text: String,
        triggered: bool,
    },
    /// The assistant has spoken: the text has left for the chat.
    MessageSent {
        chat: ChatJid,
        #[serde(skip_serializing_if = "Option::is_none")]
        group: Option<GroupFolder>,
        text: String,
        id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
    },
    /// A message could not be answered, and that has been said; or, with an id, a text of ours
    /// will never be heard.
    MessageFailed {
        chat: ChatJid,
        #[serde(skip_serializing_if = "Option::is_none")]
        group: Option<GroupFolder>,
        reason: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
    /// A text of ours has come to somebody's device.
    MessageDelivered {
        chat: ChatJid,
        id: String,
    },
    /// A text of ours was read by somebody.
    MessageRead {
        chat: ChatJid,
        id: String,
    },
    /// Somebody has changed what they wrote; `late` if an agent had read it already.
    MessageEdited {
        chat: ChatJid,
        id: String,
        text: String,
        late: bool,
    },
    /// Somebody has taken back what they wrote; `late` if an agent had read it already.
    MessageRevoked {
        chat: ChatJid,
        id: String,
        late: bool,
    },
    ChatNamed {
        chat: ChatJid,
        name: String,
    },
    /// A picture, a sound, a document lies in the group's folder.
    MediaStored {
        chat: ChatJid,
        id: String,
        /// Below `groups/<folder>/`.
        path: String,
    },
    ChannelState {
        channel: String,
        state: ChannelState,
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
    },
    RunStarted {
        run: RunId,
        group: GroupFolder,
        chat: ChatJid,
        kind: RunKind,
        #[serde(skip_serializing_if = "Option::is_none")]
        task: Option<TaskId>,
        attempt: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        session: Option<SessionId>,
        /// The messages answered by this run, by sequence number.
        messages: Vec<i64>,
    },
    RunSession {
        run: RunId,
        group: GroupFolder,
        session: SessionId,
        resumed: bool,
    },
    RunToolCall {
        run: RunId,
        group: GroupFolder,
        name: String,
        arguments: serde_json::Value,
    },
    RunToolResult {
        run: RunId,
        group: GroupFolder,
        name: String,
        ok: bool,
        output: String,
    },
    RunUsage {
        run: RunId,
        group: GroupFolder,
        prompt_tokens: u64,
        completion_tokens: u64,
    },
    RunEnded {
        run: RunId,
        group: GroupFolder,
        outcome: RunOutcome,
        /// Texts this run put into the outbox.
        outputs: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
    },
    /// A process or a container has been started for this run.
    AgentStarted {
        group: GroupFolder,
        run: RunId,
    },
    /// An agent that has answered waits for more.
    AgentWaiting {
        group: GroupFolder,
        until: Timestamp,
    },
    /// An agent that waited has ended.
    AgentClosed {
        group: GroupFolder,
        reason: CloseReason,
    },
    SessionStored {
        group: GroupFolder,
        session: SessionId,
    },
    SessionDropped {
        group: GroupFolder,
        session: SessionId,
        reason: String,
    },
    SessionArchived {
        group: GroupFolder,
        session: SessionId,
        file: Option<String>,
    },
    IpcDone {
        group: String,
        file: String,
        operation: &'static str,
    },
    IpcRefused {
        group: String,
        file: String,
        operation: &'static str,
        reason: String,
    },
    IpcQuarantined {
        group: String,
        file: String,
        reason: String,
    },
    TaskChanged {
        #[serde(skip)]
        change: TaskChange,
        task: TaskId,
        group: GroupFolder,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_run: Option<Timestamp>,
    },
    TaskDue {
        task: TaskId,
        group: GroupFolder,
        run: RunId,
        due_at: Timestamp,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_run: Option<Timestamp>,
    },
    TaskMoved(MovedTask),
    GroupRegistered {
        chat: ChatJid,
        folder: GroupFolder,
        main: bool,
    },
    Workspace(WorkspaceEvent),
}

/// What an agent was started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RunKind {
    Message,
    Task,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RunOutcome {
    /// At least one text was delivered.
    Answered,
    /// It succeeded and had nothing to say.
    Silent,
    Failed,
    /// We stopped, or died, before it ended.
    Interrupted,
}

/// Why an agent does not wait any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CloseReason {
    /// Nobody has asked it anything for long enough.
    Idle,
    /// What is to be done next is not for it: a task, or a conversation that is not its own.
    OtherWork,
    /// Another group needs its place.
    Place,
    /// It has ended although nobody told it to.
    Gone,
    /// We are stopping.
    Stopping,
}

impl Event {
    /// The SSE event name, e.g. `run.started`.
    #[must_use]
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::MessageReceived { .. } => "message.received",
            Self::MessageSent { .. } => "message.sent",
            Self::MessageFailed { .. } => "message.failed",
            Self::MessageDelivered { .. } => "message.delivered",
            Self::MessageRead { .. } => "message.read",
            Self::MessageEdited { .. } => "message.edited",
            Self::MessageRevoked { .. } => "message.revoked",
            Self::ChatNamed { .. } => "chat.named",
            Self::MediaStored { .. } => "media.stored",
            Self::ChannelState { .. } => "channel.state",
            Self::RunStarted { .. } => "run.started",
            Self::RunSession { .. } => "run.session",
            Self::RunToolCall { .. } => "run.tool_call",
            Self::RunToolResult { .. } => "run.tool_result",
            Self::RunUsage { .. } => "run.usage",
            Self::RunEnded { .. } => "run.ended",
            Self::AgentStarted { .. } => "agent.started",
            Self::AgentWaiting { .. } => "agent.waiting",
            Self::AgentClosed { .. } => "agent.closed",
            Self::SessionStored { .. } => "session.stored",
            Self::SessionDropped { .. } => "session.dropped",
            Self::SessionArchived { .. } => "session.archived",
            Self::IpcDone { .. } => "ipc.done",
            Self::IpcRefused { .. } => "ipc.refused",
            Self::IpcQuarantined { .. } => "ipc.quarantined",
            Self::TaskChanged { change, .. } => change.event_name(),
            Self::TaskDue { .. } => "task.due",
            Self::TaskMoved(_) => "task.moved",
            Self::GroupRegistered { .. } => "group.registered",
            Self::Workspace(event) => event.name(),
        }
    }
}

/// An event with its place in the order.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Numbered {
    #[serde(skip)]
    pub number: u64,
    #[serde(flatten)]
    pub event: Event,
    pub at: Timestamp,
}

/// The record itself; a handle that is cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct EventLog {
    clock: Clock,
    record: Arc<Mutex<Record>>,
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Record {
    /// Number of the newest event; the first is 1.
    newest: u64,
    kept: VecDeque<Arc<Numbered>>,
    /// Nothing more will be told.
    closed: bool,
    counts: BTreeMap<&'static str, u64>,
}

impl EventLog {
    #[must_use]
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            record: Arc::default(),
            newest: watch::Sender::new(0),
        }
    }

    pub(crate) fn tell(&self, event: Event) {
        debug_assert!(NAMES.contains(&event.name()), "NAMES lacks {event:?}");
        let newest = {
            let mut record = self.lock();
            record.newest += 1;
            let number = record.newest;
            *record.counts.entry(event.name()).or_default() += 1;
            if record.kept.len() == KEPT {
                record.kept.pop_front();
            }
            record.kept.push_back(Arc::new(Numbered {
                number,
                event,
                at: self.clock.now(),
            }));
            number
        };
        self.newest.send_replace(newest);
    }

    /// Ends every reader, once it has read what there is: the process is about to end.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.newest.send_modify(|_number| {});
    }

    /// Reads on from an event number; 0 reads from the start of what is kept.
    #[must_use]
    pub(crate) fn read_after(&self, number: u64) -> EventReader {
        EventReader {
            log: self.clone(),
            newest: self.newest.subscribe(),
            read: number,
        }
    }

    /// Returns when the record is closed.
    pub(crate) async fn closed(&self) {
        let mut newest = self.newest.subscribe();
        // `self` holds the sender, so the channel cannot close under us.
        let (Ok(_) | Err(_)) = newest
            .wait_for(|_number| self.lock().closed)
            .await
            .map(drop);
    }

    /// The number of the newest event.
    #[must_use]
    pub(crate) fn newest(&self) -> u64 {
        self.lock().newest
    }

    /// How often each event has happened since the process started.
    #[must_use]
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.lock().counts.clone()
    }

    fn after(&self, number: u64) -> Reading {
        let record = self.lock();
        let oldest = record.kept.front().map_or(1, |event| event.number);
        let index =
            usize::try_from(number.saturating_add(1).saturating_sub(oldest)).unwrap_or(usize::MAX);
        match record.kept.get(index) {
            Some(event) => Reading::Event(Arc::clone(event)),
            None if record.closed => Reading::Closed,
            None => Reading::NotYet,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        // Telling an event does not panic half-way, so a poisoned record is a whole one.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Reading {
    Event(Arc<Numbered>),
    NotYet,
    Closed,
}

/// One reader's place in the record.
#[derive(Debug)]
pub(crate) struct EventReader {
    log: EventLog,
    newest: watch::Receiver<u64>,
    read: u64,
}

impl EventReader {
    /// The next event, as soon as there is one; none when the record is closed. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Arc<Numbered>> {
        loop {
            self.newest.borrow_and_update();
            match self.log.after(self.read) {
                Reading::Event(event) => {
                    self.read = event.number;
                    return Some(event);
                }
                Reading::Closed => return None,
                // `self.log` holds the sender, so the channel cannot close under us.
                Reading::NotYet => self.newest.changed().await.is_ok(),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn told(log: &EventLog, reason: &str) {
        log.tell(Event::IpcQuarantined {
            group: "g".into(),
            file: "f".into(),
            reason: reason.into(),
        });
    }

    #[tokio::test]
    async fn a_reader_sees_what_came_before_it_and_goes_on_from_a_number() {
        let log = EventLog::new(Clock::test("2026-01-05T09:00:00Z".parse().unwrap()));
        told(&log, "one");
        told(&log, "two");

        assert_eq!(log.read_after(0).next().await.unwrap().number, 1);
        let second = log.read_after(1).next().await.unwrap();
        assert_eq!(
            serde_json::to_string(&*second).unwrap(),
            r#"{"group":"g","file":"f","reason":"two","at":"2026-01-05T09:00:00Z"}"#,
        );
    }
}
