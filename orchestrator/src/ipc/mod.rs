//! Files that agents drop, turned into commands: a message, a task, a group.
//!
//! One task owns `data/ipc`. It looks when the kernel says that something was dropped, when a
//! turn asks (so that what was sent before an answer is heard before it), and, since a hostile
//! agent can pull the watched folder away, also every `ipc_scan_interval`.

mod authorise;
mod inbox;
mod operations;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use agent_protocol::AvailableGroups;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::channel::Channels;
use crate::clock::{Busy, Work};
use crate::house::House;
use crate::ids::GroupFolder;
use crate::outbox::Outbox;
use crate::scheduler::Scheduler;
use crate::store::{Group, StoreError};

pub(crate) use inbox::Inbox;
use operations::Operations;

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
    /// Handle what one group, or everyone, has dropped so far.
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

/// The files for an agent could not be left in its folder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("what the agent may know cannot be read")]
    Store(#[from] StoreError),
    #[error("the snapshots for the agent cannot be written")]
    Write(#[source] io::Error),
    #[error("the snapshots for the agent cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    #[error("the IPC watcher has stopped")]
    Stopped,
}

impl IpcWatch {
    #[must_use]
    pub(crate) fn new() -> (Self, Requests) {
        let (requests, waiting) = mpsc::channel(16);
        (Self { requests }, Requests(waiting))
    }

    /// Returns when everything the group has dropped so far is handled.
    pub(crate) async fn drain(&self, folder: &GroupFolder) {
        self.ask_to_drain(Some(folder.clone())).await;
    }

    /// Returns when everything anybody has dropped so far is handled.
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
}

/// Serves until nobody is left who could ask; the last turn's files are handled before that.
pub(crate) async fn serve(Requests(mut requests): Requests, desk: IpcDesk, interval: Duration) {
    let (dropped, mut drops) = mpsc::channel(1);
    let watch = Watch::start(desk.house.root.join("data/ipc"), dropped);
    let mut watcher = Watching {
        operations: Operations::new(desk),
        watch,
    };
    // The first look is at once: files may have waited for us.
    let mut scan_at = Instant::now();
    loop {
        let request = timeout_at(scan_at, async {
            tokio::select! {
                request = requests.recv() => Woken::Asked(request),
                Some(()) = drops.recv() => Woken::Dropped,
            }
        });
        match request.await {
            Ok(Woken::Asked(None)) => return,
            Ok(Woken::Asked(Some(Request::Drain { folder, done }))) => {
                watcher.handle_all(folder.as_ref()).await;
                let (Ok(()) | Err(())) = done.send(());
            }
            Ok(Woken::Asked(Some(Request::Publish { group, done }))) => {
                let published = watcher.publish(&group).await;
                let (Ok(()) | Err(_)) = done.send(published);
            }
            Ok(Woken::Dropped) => watcher.look_everywhere(false).await,
            Err(_scan_is_due) => {
                watcher.look_everywhere(true).await;
                scan_at = Instant::now() + interval;
            }
        }
    }
}

enum Woken {
    Asked(Option<Request>),
    Dropped,
}

struct Watching {
    operations: Operations,
    watch: Watch,
}

impl Watching {
    fn house(&self) -> &House {
        &self.operations.desk().house
    }

    async fn folders(&self) -> Vec<GroupFolder> {
        match self.house().store.groups().await {
            Ok(groups) => groups.into_iter().map(|group| group.folder).collect(),
            Err(error) => {
                tracing::error!(
                    error = crate::chain(&error),
                    "the IPC watcher cannot read the groups"
                );
                Vec::new()
            }
        }
    }

    /// Sees to it that every group has its folders and is watched, then handles what is there:
    /// in this order, so that nothing is dropped in between unseen.
    async fn look_everywhere(&mut self, renew: bool) {
        for folder in self.folders().await {
            if let Err(error) = self.operations.desk().inbox.prepare(folder.as_str()) {
                tracing::error!(group = %folder, %error, "the group's IPC folders cannot be made");
            }
            self.watch.add(&folder, renew);
        }
        self.handle_all(None).await;
    }

    /// Handles files until a pass finds none. A folder that cannot be read is told and left.
    async fn handle_all(&mut self, only: Option<&GroupFolder>) {
        let _busy: Busy = self.house().clock.busy(Work::Ipc);
        let folders = match only {
            Some(folder) => vec![folder.clone()],
            None => self.folders().await,
        };
        let names: Vec<String> = folders.iter().map(ToString::to_string).collect();
        loop {
            match self.operations.desk().inbox.scan(&names) {
                Ok(drops) if drops.is_empty() => return,
                Ok(drops) => {
                    if !self.operations.handle(drops).await {
                        return;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "data/ipc cannot be read");
                    return;
                }
            }
        }
    }

    async fn publish(&mut self, group: &Group) -> Result<(), PublishError> {
        let desk = self.operations.desk();
        let folder = group.folder.as_str();
        desk.inbox.prepare(folder).map_err(PublishError::Write)?;
        self.watch.add(&group.folder, false);
        let own = (!group.is_main).then(|| group.folder.clone());
        let tasks: Vec<_> = desk
            .house
            .store
            .tasks(own)
            .await?
            .iter()
            .map(crate::store::Task::snapshot)
            .collect();
        let groups = if group.is_main {
            desk.house.store.available_chats().await?
        } else {
            Vec::new()
        };
        let available = AvailableGroups {
            groups,
            last_sync: desk.house.clock.now(),
        };
        for (name, text) in [
            ("current_tasks.json", serde_json::to_vec_pretty(&tasks)?),
            (
                "available_groups.json",
                serde_json::to_vec_pretty(&available)?,
            ),
        ] {
            desk.inbox
                .write_snapshot(folder, name, &text)
                .map_err(PublishError::Write)?;
        }
        Ok(())
    }
}

/// The kernel's word that something was dropped.
struct Watch {
    ipc: std::path::PathBuf,
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<GroupFolder>,
}

impl Watch {
    fn start(ipc: std::path::PathBuf, dropped: mpsc::Sender<()>) -> Self {
        let told = move |event: notify::Result<notify::Event>| {
            let interesting = match &event {
                // Reading is what we do ourselves.
                Ok(event) => !event.kind.is_access(),
                Err(_overflow) => true,
            };
            if interesting {
                // Full means that a look is already due.
                let (Ok(()) | Err(_)) = dropped.try_send(());
            }
        };
        let watcher = match notify::recommended_watcher(told) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "no watch on data/ipc; files are found by the regular scan");
                None
            }
        };
        let mut watch = Self {
            ipc,
            watcher,
            watched: BTreeSet::new(),
        };
        // A new folder here is a new group, registered by a command beside us.
        watch.watch(&watch.ipc.clone());
        watch
    }

    /// Watches a group's folders; `again` if they are watched already, since an agent may have
    /// replaced them, and with them what we watched.
    fn add(&mut self, folder: &GroupFolder, again: bool) {
        if !self.watched.insert(folder.clone()) && !again {
            return;
        }
        for kind in ["messages", "tasks"] {
            self.watch(&self.ipc.join(folder.as_str()).join(kind));
        }
    }

    fn watch(&mut self, path: &Path) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        if is_folder(path)
            && let Err(error) = watcher.watch(path, RecursiveMode::NonRecursive)
        {
            tracing::warn!(path = %path.display(), %error, "no watch; files are found by the regular scan");
        }
    }
}

fn is_folder(path: &Path) -> bool {
    fs_err::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}
