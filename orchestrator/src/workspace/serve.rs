//! The one task that owns all releases and restores. An answer never waits for it: a turn says
//! that its group has changed when the answer is in the outbox, and goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::desk::{Desk, WorkspaceFault};
use super::lanes::{Ended, Job, Lanes};
use super::opening::Known;
use crate::clock::{Busy, Work};
use crate::events::{Event, WorkspaceEvent, WorkspaceStep};
use crate::ids::GroupFolder;

/// A full channel slows the turns down, which is what we want.
const WAITING: usize = 64;
/// Of the time that a stop may take, what is left for ending well.
const END: Duration = Duration::from_millis(500);

/// The way to say that a workspace has changed, or is about to be used.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workspace {
    /// None where workspaces stay on this machine.
    asked: Option<mpsc::Sender<Asked>>,
}

/// What is asked of the task.
#[derive(Debug)]
enum Asked {
    Changed(GroupFolder, Busy),
    Ready(GroupFolder, oneshot::Sender<Result<(), NotReady>>),
}

/// The task's own end.
#[derive(Debug)]
pub(crate) struct Requests(mpsc::Receiver<Asked>);

/// The group's workspace is not here as it was released last.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotReady(String);

impl Workspace {
    #[must_use]
    pub(crate) fn new() -> (Self, Requests) {
        let (asked, requests) = mpsc::channel(WAITING);
        let asked = Some(asked);
        (Self { asked }, Requests(requests))
    }

    /// The group's workspace may have changed. Said to a task that has stopped it is found at
    /// the next start, by looking.
    pub(crate) async fn changed(&self, group: &GroupFolder, busy: Busy) {
        if let Some(asked) = &self.asked {
            let changed = Asked::Changed(group.clone(), busy);
            let (Ok(()) | Err(_)) = asked.send(changed).await;
        }
    }

    /// Returns when the group's workspace is here as it was released last, or says why it is not.
    pub(crate) async fn ready(&self, group: &GroupFolder) -> Result<(), NotReady> {
        let Some(asked) = &self.asked else {
            return Ok(());
        };
        let stopped = || NotReady("nanokimi is stopping".to_owned());
        let (reply, replied) = oneshot::channel();
        if asked
            .send(Asked::Ready(group.clone(), reply))
            .await
            .is_err()
        {
            return Err(stopped());
        }
        match replied.await {
            Ok(ready) => ready,
            Err(_dropped) => Err(stopped()),
        }
    }
}

/// Serves until the last run's words have left, then for as long as the stop may take.
pub(crate) async fn serve(
    Requests(mut requests): Requests,
    desk: Desk,
    known: Known,
    stop: CancellationToken,
) {
    let events = desk.house.events.clone();
    let grace = desk.house.config.shutdown_grace;
    let mut serving = Serving::new(desk, known);
    let mut awake = vec![serving.busy()];
    serving.begin().await;
    let mut stopped_at = None;
    loop {
        serving.start_what_may();
        let mut timer = serving.desk.house.clock.timer(serving.lanes.next());
        awake.clear();
        tokio::select! {
            () = events.closed() => break,
            () = stop.cancelled(), if stopped_at.is_none() => stopped_at = Some(Instant::now()),
            Some(asked) = requests.recv() => awake.extend(serving.take(asked).await),
            Some(ended) = serving.jobs.join_next() => awake.push(serving.settle(unwound(ended)).await),
            busy = timer.fired() => awake.push(busy),
        }
    }
    // The last run's release may be among what was said and not heard yet.
    requests.close();
    while let Ok(asked) = requests.try_recv() {
        awake.extend(serving.take(asked).await);
    }
    let until = stopped_at.unwrap_or_else(Instant::now) + grace.saturating_sub(END);
    if timeout_at(until, serving.finish()).await.is_err() {
        let left = serving.jobs.len();
        tracing::warn!(
            left,
            "workspaces are not released yet; the next start does it"
        );
    }
}

/// A panic while a workspace is handled is ours to pass on, not to survive.
fn unwound<T>(ended: Result<T, JoinError>) -> T {
    match ended {
        Ok(ended) => ended,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// A job that has ended.
struct Attended {
    group: GroupFolder,
    job: Job,
    came_to: Result<(), WorkspaceFault>,
    busy: Busy,
}

struct Serving {
    desk: Desk,
    known: Known,
    lanes: Lanes,
    jobs: JoinSet<Attended>,
    waiters: BTreeMap<GroupFolder, Vec<oneshot::Sender<Result<(), NotReady>>>>,
    /// Why a group cannot be restored, where time alone does not help.
    refused: BTreeMap<GroupFolder, NotReady>,
    /// Groups that are told as failing, so that the same is not an error line again and again.
    failing: BTreeSet<(GroupFolder, &'static str)>,
}

impl Serving {
    fn new(desk: Desk, known: Known) -> Self {
        Self {
            desk,
            known,
            lanes: Lanes::default(),
            jobs: JoinSet::new(),
            waiters: BTreeMap::new(),
            refused: BTreeMap::new(),
            failing: BTreeSet::new(),
        }
    }

    fn busy(&self) -> Busy {
        self.desk.house.clock.busy(Work::Workspace)
    }

    /// Every group is looked at once: what an earlier process still owed is found by that, and
    /// what is unchanged costs nothing.
    async fn begin(&mut self) {
        let groups = match self.desk.house.store.groups().await {
            Ok(groups) => groups,
            Err(error) => {
                tracing::error!(error = crate::chain(&error), "the groups cannot be read");
                return;
            }
        };
        let mut folders: Vec<_> = groups.into_iter().map(|group| group.folder).collect();
        // One that could not be registered is as soon as it can be restored.
        folders.extend_from_slice(&self.known.awaited);
        let kept = self.desk.house.store.keep_releases_of(folders.clone());
        if let Err(error) = kept.await {
            tracing::error!(
                error = crate::chain(&error),
                "what is owed to groups that are gone cannot be forgotten"
            );
        }
        for group in &folders {
            self.meet(group);
            self.lanes.changed(group);
        }
    }

    /// A group that the store did not have when we started has nothing to wait for there.
    fn meet(&mut self, group: &GroupFolder) {
        if !self.lanes.knows(group) && self.known.has_nothing_of(group) {
            self.lanes.is_in_step(group);
        }
    }

    fn start_what_may(&mut self) {
        for (group, job) in self.lanes.start(self.desk.house.clock.now()) {
            let (desk, busy) = (self.desk.clone(), self.busy());
            self.jobs.spawn(async move {
                let came_to = match job {
                    Job::Restore => Box::pin(desk.restore(&group)).await.map(|_restored| ()),
                    Job::Release => Box::pin(desk.release(&group)).await.map(|_released| ()),
                };
                Attended {
                    group,
                    job,
                    came_to,
                    busy,
                }
            });
        }
    }

    async fn take(&mut self, asked: Asked) -> Option<Busy> {
        match asked {
            Asked::Changed(group, busy) => {
                self.meet(&group);
                self.lanes.changed(&group);
                let (store, now) = (&self.desk.house.store, self.desk.house.clock.now());
                if let Err(error) = store.owe_release(group.clone(), now).await {
                    tracing::error!(%group, error = crate::chain(&error), "it cannot be kept that the workspace is to be released");
                }
                Some(busy)
            }
            Asked::Ready(group, reply) => {
                self.meet(&group);
                let pauses = self.lanes.pauses(&group, self.desk.house.clock.now());
                let refused = self.refused.get(&group);
                if let Some(why) = refused.filter(|_| pauses) {
                    // Nor may whoever asks again and again fetch it again and again.
                    let (Ok(()) | Err(_)) = reply.send(Err(why.clone()));
                } else if self.lanes.wanted(&group) {
                    // Whoever asked may have gone.
                    let (Ok(()) | Err(_)) = reply.send(Ok(()));
                } else {
                    self.waiters.entry(group).or_default().push(reply);
                }
                None
            }
        }
    }

    async fn settle(&mut self, attended: Attended) -> Busy {
        let Attended {
            group,
            job,
            came_to,
            busy,
        } = attended;
        let now = self.desk.house.clock.now();
        let ended = match &came_to {
            Ok(()) => Ended::Done,
            Err(WorkspaceFault::Behind(version)) => {
                self.tell_overtaken(&group, *version);
                Ended::Behind
            }
            Err(WorkspaceFault::Moving) if job == Job::Release => Ended::Moving,
            Err(_fault) => Ended::Failed {
                not_before: self.desk.bucket.not_before(),
            },
        };
        let retry_at = self.lanes.ended(&group, job, ended, now);
        if job == Job::Restore {
            self.reply(&group, &came_to);
        }
        match (&came_to, retry_at) {
            (Err(fault), Some(at)) => self.failed((&group, job), fault, at).await,
            (Ok(()), _) => self.done(&group, job).await,
            (Err(fault), None) => {
                tracing::debug!(%group, "the workspace is not {} yet: {fault}", word(job));
            }
        }
        busy
    }

    /// A group that has agreed with the store before may go on with what is here while the store
    /// cannot be asked: it lacks nothing of its own.
    fn reply(&mut self, group: &GroupFolder, came_to: &Result<(), WorkspaceFault>) {
        self.refused.remove(group);
        let ready = match came_to {
            Ok(()) => Ok(()),
            Err(fault) if fault.is_passing() && self.has_agreed(group) => Ok(()),
            Err(fault) => {
                let why = NotReady(crate::chain(fault));
                if !fault.is_passing() {
                    self.refused.insert(group.clone(), why.clone());
                }
                Err(why)
            }
        };
        for waiter in self.waiters.remove(group).unwrap_or_default() {
            // Whoever asked may have gone.
            let (Ok(()) | Err(_)) = waiter.send(ready.clone());
        }
    }

    fn has_agreed(&self, group: &GroupFolder) -> bool {
        match self.desk.index(group) {
            Ok(index) => index.is_some(),
            Err(_unreadable) => false,
        }
    }

    async fn done(&mut self, group: &GroupFolder, job: Job) {
        self.failing.remove(&(group.clone(), word(job)));
        if !self.lanes.is_settled(group) {
            return;
        }
        let settled = self.desk.house.store.settle_release(group.clone()).await;
        if let Err(error) = settled {
            tracing::error!(%group, error = crate::chain(&error), "it cannot be kept that the workspace was released");
        }
    }

    async fn failed(
        &mut self,
        (group, job): (&GroupFolder, Job),
        fault: &WorkspaceFault,
        retry_at: Timestamp,
    ) {
        let (reason, what) = (crate::chain(fault), word(job));
        let is_news = self.failing.insert((group.clone(), what));
        if is_news && !fault.is_passing() {
            tracing::error!(%group, %retry_at, "the workspace is not {what}: {reason}");
        } else {
            tracing::warn!(%group, %retry_at, "the workspace is not {what} yet: {reason}");
        }
        let problem = match job {
            Job::Restore => format!("it is not restored: {reason}"),
            Job::Release => reason.clone(),
        };
        let (store, now) = (&self.desk.house.store, self.desk.house.clock.now());
        let is_awaited = self.known.awaited.contains(group);
        let group_here = (group.clone(), is_awaited);
        let noted = store.note_failed_release(group_here, problem, (now, retry_at));
        if let Err(error) = noted.await {
            tracing::error!(%group, error = crate::chain(&error), "it cannot be kept that the workspace is to be released");
        }
        let what = match job {
            Job::Restore => WorkspaceStep::Restore,
            Job::Release => WorkspaceStep::Release,
        };
        let failed = WorkspaceEvent::Failed {
            group: group.clone(),
            what,
            reason,
            retry_at,
        };
        self.desk.house.events.tell(Event::Workspace(failed));
    }

    fn tell_overtaken(&self, group: &GroupFolder, version: u64) {
        tracing::error!(%group, version, "another machine has released this group's workspace; what it changed is taken over, and ours kept. Let one machine serve the group");
        let conflict = WorkspaceEvent::Conflict {
            group: group.clone(),
            version,
            kept: Vec::new(),
        };
        self.desk.house.events.tell(Event::Workspace(conflict));
    }

    /// Ends what is at work and does what is owed.
    async fn finish(&mut self) {
        loop {
            self.start_what_may();
            let Some(ended) = self.jobs.join_next().await else {
                return;
            };
            let _busy: Busy = self.settle(unwound(ended)).await;
        }
    }
}

fn word(job: Job) -> &'static str {
    match job {
        Job::Restore => "restored",
        Job::Release => "released",
    }
}
