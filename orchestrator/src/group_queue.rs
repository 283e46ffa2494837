//! Runs at most one agent per group, and at most `max_concurrent` in all.
//!
//! [`Lanes`] decides, [`serve`] acts. Deciding is plain code over plain data, so every ordering
//! rule is tested without a runtime; acting is one task that owns the lanes, so there is
//! nothing to lock. What a group has to do stands in the store: the queue only knows that
//! there is something.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::{Busy, Work};
use crate::ids::GroupFolder;
use crate::running::unwound;
use crate::turn::{Next, Turns};

/// A full channel slows the channel reader down, which is what we want: the network keeps
/// undelivered messages for us.
const ARRIVALS: usize = 64;

/// The way in to the queue.
#[derive(Clone, Debug)]
pub(crate) struct GroupQueue {
    arrivals: mpsc::Sender<(GroupFolder, Busy)>,
}

/// A place in the queue. Dropping it says that the group has something to do.
#[derive(Debug)]
pub(crate) struct Arrival {
    // Options only because dropping gives both away.
    place: Option<OwnedPermit<Said>>,
    said: Option<Said>,
}

type Said = (GroupFolder, Busy);

impl Drop for Arrival {
    fn drop(&mut self) {
        if let (Some(place), Some(said)) = (self.place.take(), self.said.take()) {
            place.send(said);
        }
    }
}

/// The queue's own end, to be served by one task.
#[derive(Debug)]
pub(crate) struct Arrivals(mpsc::Receiver<(GroupFolder, Busy)>);

impl GroupQueue {
    #[must_use]
    pub(crate) fn new() -> (Self, Arrivals) {
        let (arrivals, inbox) = mpsc::channel(ARRIVALS);
        (Self { arrivals }, Arrivals(inbox))
    }

    /// Takes a place in the queue for a group that is about to have something to do; none if the
    /// queue has stopped. Take it before the work is stored: whoever stores it may be cut off.
    pub(crate) async fn arriving(&self, group: GroupFolder, busy: Busy) -> Option<Arrival> {
        match self.arrivals.clone().reserve_owned().await {
            Ok(place) => Some(Arrival {
                place: Some(place),
                said: Some((group, busy)),
            }),
            Err(_stopped) => None,
        }
    }

    /// Says that a group has something to do. Saying so twice is harmless, and so is saying it
    /// to a queue that has stopped: the work stands in the store and is found at the next start.
    pub(crate) async fn arrived(&self, group: GroupFolder, busy: Busy) {
        let (Ok(()) | Err(_)) = self.arrivals.send((group, busy)).await;
    }
}

#[cfg(test)]
impl Arrivals {
    /// The groups that have arrived so far and not been heard of yet.
    pub(crate) fn so_far(&mut self) -> Vec<String> {
        let arrived = std::iter::from_fn(|| match self.0.try_recv() {
            Ok((group, _busy)) => Some(group.to_string()),
            Err(_none) => None,
        });
        arrived.collect()
    }
}

/// Serves the queue until it is told to stop; runs in flight end before it does.
pub(crate) async fn serve(
    Arrivals(mut inbox): Arrivals,
    turns: Turns,
    mut lanes: Lanes,
    stop: CancellationToken,
) {
    let mut runs: JoinSet<(GroupFolder, Next, Busy)> = JoinSet::new();
    let mut awake: Vec<Busy> = Vec::new();
    loop {
        for group in lanes.start_what_fits() {
            let (turns, stop) = (turns.clone(), stop.clone());
            let busy = turns.clock().busy(Work::Run);
            runs.spawn(async move {
                let next = turns.take(&group, stop).await;
                (group, next, busy)
            });
        }
        let mut retry = turns.clock().timer(lanes.next_retry());
        awake.clear();
        tokio::select! {
            () = stop.cancelled() => break,
            Some((group, busy)) = inbox.recv() => {
                awake.push(busy);
                lanes.arrive(group);
            }
            Some(ended) = runs.join_next() => {
                let (group, next, busy) = unwound(ended);
                awake.push(busy);
                lanes.finish(&group, next);
            }
            busy = retry.fired() => {
                awake.push(busy);
                lanes.retry(turns.clock().now());
            }
        }
    }
    while let Some(ended) = runs.join_next().await {
        unwound(ended);
    }
    turns.nothing_remains().await;
}

/// Which groups run, which wait, which pause before a retry, and in what order.
#[derive(Debug)]
pub(crate) struct Lanes {
    limit: usize,
    running: BTreeSet<GroupFolder>,
    /// Groups with something to do, first come first served.
    /// Invariant: no group stands here twice.
    waiting: VecDeque<GroupFolder>,
    /// Groups that failed, and when they try again. A new arrival waits for that, so that a
    /// group that goes on talking does not use its attempts up at once.
    paused: BTreeMap<GroupFolder, Timestamp>,
}

impl Lanes {
    /// Lanes in which these groups have something to do from the start.
    #[must_use]
    pub(crate) fn new(limit: usize, waiting: Vec<GroupFolder>) -> Self {
        Self {
            limit,
            running: BTreeSet::new(),
            waiting: waiting.into(),
            paused: BTreeMap::new(),
        }
    }

    fn arrive(&mut self, group: GroupFolder) {
        if !self.waiting.contains(&group) && !self.paused.contains_key(&group) {
            self.waiting.push_back(group);
        }
    }

    /// A group that may have more to do goes to the end of the line, behind those that wait.
    fn finish(&mut self, group: &GroupFolder, next: Next) {
        self.running.remove(group);
        match next {
            Next::Idle => {}
            Next::Again => self.arrive(group.clone()),
            Next::RetryAt(at) => {
                self.waiting.retain(|waiting| waiting != group);
                self.paused.insert(group.clone(), at);
            }
        }
    }

    fn next_retry(&self) -> Option<Timestamp> {
        self.paused.values().min().copied()
    }

    fn retry(&mut self, now: Timestamp) {
        let due: Vec<GroupFolder> = self
            .paused
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(group, _)| group.clone())
            .collect();
        for group in due {
            self.paused.remove(&group);
            self.arrive(group);
        }
    }

    fn start_what_fits(&mut self) -> Vec<GroupFolder> {
        let mut started = Vec::new();
        while self.running.len() < self.limit {
            let next = self
                .waiting
                .iter()
                .position(|group| !self.running.contains(group));
            let Some(group) = next.and_then(|at| self.waiting.remove(at)) else {
                break;
            };
            self.running.insert(group.clone());
            started.push(group);
        }
        started
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a script of `+g` (arrives), `-g` (its run ends idle), `*g` (ends with more to do),
    /// `!g` (ends to be retried in a minute) and `~` (a minute passes), and compares what starts.
    #[track_caller]
    fn check(limit: usize, script: &str, starts: &str) {
        let mut now: Timestamp = "2026-01-05T09:00:00Z".parse().unwrap();
        let minute = std::time::Duration::from_secs(60);
        let mut lanes = Lanes::new(limit, Vec::new());
        let mut seen = Vec::new();
        for step in script.split_whitespace() {
            let (sign, name) = step.split_at(1);
            match sign {
                "+" => lanes.arrive(name.parse().unwrap()),
                "-" => lanes.finish(&name.parse().unwrap(), Next::Idle),
                "*" => lanes.finish(&name.parse().unwrap(), Next::Again),
                "!" => lanes.finish(&name.parse().unwrap(), Next::RetryAt(now + minute)),
                "~" => {
                    now += minute;
                    lanes.retry(now);
                }
                other => panic!("`{other}` is no step"),
            }
            let names: Vec<String> = lanes
                .start_what_fits()
                .iter()
                .map(ToString::to_string)
                .collect();
            seen.push(if names.is_empty() {
                ".".to_owned()
            } else {
                names.join(",")
            });
        }
        assert_eq!(seen.join(" "), starts, "limit {limit}, script {script}");
    }

    #[test]
    fn a_group_never_runs_twice_at_once() {
        check(2, "+1 +1 -1 -1", "1 . 1 .");
    }

    #[test]
    fn arrivals_during_a_run_merge_into_one_more_run() {
        check(2, "+1 +1 +1 +1 -1 -1", "1 . . . 1 .");
    }

    #[test]
    fn the_limit_holds_across_groups_and_is_fair() {
        check(2, "+1 +2 +3 +4 -2 -1", "1 2 . . 3 4");
    }

    #[test]
    fn a_busy_group_does_not_block_the_one_behind_it() {
        check(2, "+1 +1 +2", "1 . 2");
    }

    #[test]
    fn a_group_with_more_to_do_goes_behind_those_that_wait() {
        check(1, "+1 +2 *1 -2 -1", "1 . 2 1 .");
    }

    #[test]
    fn a_failed_group_pauses_and_then_runs_again() {
        check(1, "+1 !1 ~", "1 . 1");
    }

    #[test]
    fn a_new_arrival_waits_for_the_retry_with_the_rest() {
        check(1, "+1 !1 +1 ~ -1", "1 . . 1 .");
    }
}
