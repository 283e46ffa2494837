//! Files that agents drop, turned into commands: a message, a task, a group.
//!
//! One task owns `data/ipc`. It looks when the kernel says that something was dropped, when a
//! turn asks (so that what was sent before an answer is heard before it), and, since a hostile
//! agent can pull the watched folder away, also every `ipc_scan_interval`.

mod authorise;
mod faults;
mod handling;
mod inbox;
mod line;
mod media;
mod operations;
mod refreshing;
mod snapshots;
#[cfg(test)]
mod tests;
mod watch;
mod watching;

use tokio::sync::{mpsc, oneshot};

use crate::channel::Channels;
use crate::group_queue::GroupQueue;
use crate::house::House;
use crate::ids::GroupFolder;
use crate::outbox::Outbox;
use crate::scheduler::Scheduler;
use crate::store::Group;

pub(crate) use inbox::Inbox;
pub(crate) use snapshots::PublishError;
pub(crate) use watching::serve;

/// The way to ask the IPC watcher for something.
#[derive(Clone, Debug)]
pub(crate) struct IpcWatch {
    requests: mpsc::Sender<Request>,
}

/// The watcher's own end, to be served by one task.
#[derive(Debug)]
pub(crate) struct Requests(mpsc::Receiver<Request>);

#[derive(Debug)]
enum Request {
    /// Take one pass over what one group, or everyone, has dropped so far.
    Drain {
        folder: Option<GroupFolder>,
        done: oneshot::Sender<()>,
    },
    /// Leave the files that an agent reads at its start.
    Publish {
        group: Box<Group>,
        done: oneshot::Sender<Result<(), PublishError>>,
    },
}

impl IpcWatch {
    #[must_use]
    pub(crate) fn new() -> (Self, Requests) {
        let (requests, waiting) = mpsc::channel(16);
        (Self { requests }, Requests(waiting))
    }

    /// Returns when what the group has dropped so far is handled: at most one pass of it, and
    /// without files that are not whole yet. The rest is handled soon.
    pub(crate) async fn drain(&self, folder: &GroupFolder) {
        self.ask_to_drain(Some(folder.clone())).await;
    }

    /// Takes such a pass over every group's files. As long as there is a rest, the watcher
    /// counts as being at work.
    pub(crate) async fn drain_all(&self) {
        self.ask_to_drain(None).await;
    }

    async fn ask_to_drain(&self, folder: Option<GroupFolder>) {
        let (done, drained) = oneshot::channel();
        // A stopped watcher leaves the files for the next start.
        if self
            .requests
            .send(Request::Drain { folder, done })
            .await
            .is_ok()
        {
            let (Ok(()) | Err(_)) = drained.await;
        }
    }

    /// Leaves `current_tasks.json` and `available_groups.json` for the group's agent.
    pub(crate) async fn publish_snapshots(&self, group: &Group) -> Result<(), PublishError> {
        let (done, published) = oneshot::channel();
        let request = Request::Publish {
            group: Box::new(group.clone()),
            done,
        };
        if self.requests.send(request).await.is_err() {
            return Err(PublishError::Stopped);
        }
        match published.await {
            Ok(outcome) => outcome,
            Err(_dropped) => Err(PublishError::Stopped),
        }
    }
}

/// What the watcher works with.
#[derive(Debug)]
pub(crate) struct IpcDesk {
    pub house: House,
    pub inbox: Inbox,
    pub outbox: Outbox,
    pub channels: Channels,
    pub scheduler: Scheduler,
    pub queue: GroupQueue,
}
