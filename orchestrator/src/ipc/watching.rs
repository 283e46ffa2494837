//! The one task that owns `data/ipc`: when it looks where.
//!
//! Whatever agents drop, a look is one bounded pass over one group's files. Between passes
//! requests are answered and every other group has its turn, so that a flood in one folder
//! delays nobody else, nor our end.

use std::collections::BTreeMap;
use std::future::ready;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::faults::Faults;
use super::handling::Handling;
use super::inbox::DropKind;
use super::line::Line;
use super::refreshing::{Refreshed, Refreshing};
use super::snapshots::{PublishError, publish, republish};
use super::watch::Watch;
use super::{IpcDesk, Request, Requests};
use crate::clock::{Busy, Work};
use crate::house::House;
use crate::ids::GroupFolder;
use crate::store::Group;

enum Woken {
    Asked(Option<Request>),
    Dropped,
    Refreshed(Refreshed),
    InLine,
}

/// Serves until nobody is left who could ask; the last turn's files are handled before that,
/// the rest of a flood at the next start.
pub(crate) async fn serve(Requests(mut requests): Requests, desk: IpcDesk, interval: Duration) {
    let (dropped, mut drops) = mpsc::channel(1);
    let mut watching = Watching::new(desk, dropped);
    // The first look is at once: files may have waited for us.
    let mut scan_at = Instant::now();
    loop {
        let in_line = watching.line.is_waiting();
        let woken = async {
            tokio::select! {
                biased;
                request = requests.recv() => Woken::Asked(request),
                Some(()) = drops.recv() => Woken::Dropped,
                refreshed = watching.refreshing.ended() => Woken::Refreshed(refreshed),
                () = ready(()), if in_line => Woken::InLine,
            }
        };
        let look_at = watching.line.later_at().unwrap_or(scan_at).min(scan_at);
        match timeout_at(look_at, woken).await {
            Ok(Woken::Asked(None)) => return,
            Ok(Woken::Asked(Some(request))) => {
                watching.answer(request).await;
                continue;
            }
            Ok(Woken::Dropped) => watching.line_up(false).await,
            Ok(Woken::Refreshed(refreshed)) => watching.tell_refreshed(refreshed).await,
            Ok(Woken::InLine) | Err(_) => {}
        }
        if scan_at <= Instant::now() {
            watching.line_up(true).await;
            scan_at = Instant::now() + interval;
        }
        watching.look_at_next().await;
    }
}

struct Watching {
    handling: Handling,
    watch: Watch,
    line: Line,
    faults: Faults,
    refreshing: Refreshing,
    /// Held while anybody stands in line.
    busy: Option<Busy>,
    /// The groups, and since when each is one; none before the first look.
    registered: Option<BTreeMap<GroupFolder, Timestamp>>,
}

impl Watching {
    fn new(desk: IpcDesk, dropped: mpsc::Sender<()>) -> Self {
        Self {
            watch: Watch::start(desk.house.root.join("data/ipc"), dropped),
            refreshing: Refreshing::new(desk.channels.clone(), desk.house.clock.clone()),
            handling: Handling::new(desk),
            line: Line::default(),
            faults: Faults::default(),
            busy: None,
            registered: None,
        }
    }

    fn house(&self) -> &House {
        &self.handling.desk().house
    }

    async fn answer(&mut self, request: Request) {
        match request {
            Request::Drain { folder, done } => {
                let _busy: Busy = self.house().clock.busy(Work::Ipc);
                let folders = match folder {
                    Some(folder) => vec![folder],
                    None => self.folders().await,
                };
                for folder in folders {
                    self.look(&folder).await;
                }
                let (Ok(()) | Err(())) = done.send(());
            }
            Request::Publish { group, done } => {
                let published = self.publish(&group).await;
                let (Ok(()) | Err(_)) = done.send(published);
            }
        }
    }

    async fn publish(&mut self, group: &Group) -> Result<(), PublishError> {
        let desk = self.handling.desk();
        let prepared = desk.inbox.prepare(group.folder.as_str());
        prepared.map_err(PublishError::Write)?;
        self.watch.add(&group.folder, false);
        publish(self.handling.desk(), group).await
    }

    async fn folders(&mut self) -> Vec<GroupFolder> {
        let groups = self.house().store.groups().await;
        let groups = groups.map_err(|error| crate::chain(&error));
        let Some(groups) = self.faults.note("the list of groups", groups) else {
            return Vec::new();
        };
        let since = groups
            .into_iter()
            .map(|group| (group.folder, group.added_at));
        let now: BTreeMap<_, _> = since.collect();
        let folders = now.keys().cloned().collect();
        if let Some(before) = self.registered.take() {
            let news = now
                .iter()
                .filter(|(group, at)| before.get(*group) != Some(*at));
            self.wake(news.map(|(group, _)| group)).await;
        }
        self.registered = Some(now);
        folders
    }

    /// A group that a command beside us has registered again finds what was written to it before.
    async fn wake(&self, groups: impl Iterator<Item = &GroupFolder>) {
        let desk = self.handling.desk();
        for group in groups {
            let busy = desk.house.clock.busy(Work::Run);
            desk.queue.arrived(group.clone(), busy).await;
        }
    }

    /// Sees to it that every group has its folders and is watched, and only then puts it in
    /// line, so that nothing is dropped in between unseen.
    async fn line_up(&mut self, renew: bool) {
        for folder in self.folders().await {
            let prepared = self.handling.desk().inbox.prepare(folder.as_str());
            let place = format!("data/ipc/{folder}");
            // What is there of the folders may be readable all the same.
            let (Some(()) | None) = self.faults.note(&place, prepared);
            self.watch.add(&folder, renew);
            self.line.join(folder);
        }
    }

    async fn look_at_next(&mut self) {
        let _busy: Busy = self.house().clock.busy(Work::Ipc);
        if let Some(folder) = self.line.next(Instant::now()) {
            self.look(&folder).await;
        }
        self.rest();
    }

    /// Takes one pass over a group's folders, messages before tasks.
    async fn look(&mut self, group: &GroupFolder) {
        self.line.forget_later(group);
        for kind in [DropKind::Messages, DropKind::Tasks] {
            let looked = self.handling.look(group, kind).await;
            let place = format!("data/ipc/{group}/{}", kind.folder());
            let Some(looked) = self.faults.note(&place, looked) else {
                continue;
            };
            if looked.more {
                self.line.join(group.clone());
            }
            self.refreshing.ask(looked.refreshes);
            if looked.not_yet {
                self.line.join_later(group.clone(), Instant::now());
            }
        }
        self.rest();
    }

    /// Whoever hears that the groups were read finds them in the snapshots.
    async fn tell_refreshed(&mut self, refreshed: Refreshed) {
        republish(self.handling.desk(), [GroupFolder::main()].into()).await;
        for event in refreshed.events() {
            self.house().events.tell(event);
        }
    }

    fn rest(&mut self) {
        let clock = &self.handling.desk().house.clock;
        if self.line.is_empty() {
            self.busy = None;
        } else if self.busy.is_none() {
            self.busy = Some(clock.busy(Work::Ipc));
        }
    }
}
