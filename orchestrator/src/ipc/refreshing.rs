//! Having the networks' groups read anew, beside the watcher: a network may take its time, and
//! nobody's files wait for it.

use std::future::pending;

use tokio::task::JoinSet;

use crate::channel::{Channels, SendError};
use crate::clock::{Busy, Clock, Work};
use crate::events::Event;

/// A file that asked, and is gone: the folder it lay in, and its name there.
pub(super) type AskedBy = (String, String);

/// The one refresh that is under way, and who asks for the next.
#[derive(Debug)]
pub(super) struct Refreshing {
    channels: Channels,
    clock: Clock,
    /// Invariant: at most one.
    under_way: JoinSet<Refreshed>,
    next: Vec<AskedBy>,
}

/// A refresh that has ended.
#[derive(Debug)]
pub(super) struct Refreshed {
    asked_by: Vec<AskedBy>,
    came_to: Result<(), SendError>,
    _busy: Busy,
}

impl Refreshing {
    pub(super) fn new(channels: Channels, clock: Clock) -> Self {
        Self {
            channels,
            clock,
            under_way: JoinSet::new(),
            next: Vec::new(),
        }
    }

    /// Starts a refresh, or has one follow that which is under way: its answer may be older
    /// than the question.
    pub(super) fn ask(&mut self, asked_by: Vec<AskedBy>) {
        self.next.extend(asked_by);
        if self.next.is_empty() || !self.under_way.is_empty() {
            return;
        }
        let asked_by = std::mem::take(&mut self.next);
        let channels = self.channels.clone();
        let busy = self.clock.busy(Work::Ipc);
        self.under_way.spawn(async move {
            Refreshed {
                came_to: channels.refresh_groups().await,
                asked_by,
                _busy: busy,
            }
        });
    }

    /// The end of the refresh that is under way; waits for ever if none is. Cancel-safe.
    pub(super) async fn ended(&mut self) -> Refreshed {
        match self.under_way.join_next().await {
            Some(Ok(refreshed)) => {
                self.ask(Vec::new());
                refreshed
            }
            // A panic is ours to pass on, not to survive.
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            None => pending().await,
        }
    }
}

impl Refreshed {
    /// What is told to those who asked.
    pub(super) fn events(&self) -> Vec<Event> {
        let asked_by = self.asked_by.iter().cloned();
        asked_by
            .map(|(group, file)| match &self.came_to {
                Ok(()) => Event::IpcDone {
                    group,
                    file,
                    operation: "refresh_groups",
                },
                Err(error) => {
                    tracing::warn!(group, file, "the groups cannot be read anew: {error}");
                    Event::IpcRefused {
                        group,
                        file,
                        operation: "refresh_groups",
                        reason: error.to_string(),
                    }
                }
            })
            .collect()
    }
}
