//! Runs at most one agent per group, and at most `max_concurrent` in all, those that wait for more
//! included.
//!
//! [`Lanes`] decides, [`serve`] acts. Deciding is plain code over plain data, so every ordering
//! rule is tested without a runtime; acting is one task that owns the lanes, so there is
//! nothing to lock. What a group has to do stands in the store: the queue only knows that
//! there is something.

mod lanes;

use std::collections::BTreeMap;

use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::{Busy, Work};
use crate::ids::GroupFolder;
use crate::running::unwound;
use crate::turn::{Next, Turns};

pub(crate) use lanes::Lanes;
use lanes::Move;

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

/// What a group at work and the queue have to say to each other.
#[derive(Debug)]
pub(crate) struct Line {
    rests: mpsc::Sender<Rest>,
    words: mpsc::Receiver<Word>,
}

/// A group's agent waits for more, and what its turn came to.
type Rest = (GroupFolder, Next, Busy);

/// What a group whose agent waits is told.
#[derive(Debug)]
pub(crate) enum Word {
    /// There may be something to do.
    GoOn(Busy),
    /// Another group needs the place.
    Close(Busy),
}

impl Line {
    /// Says that the group's agent waits. Whoever has said so is told one word.
    pub(crate) async fn rest(&self, group: GroupFolder, next: Next, busy: Busy) {
        // A queue that has stopped has told so itself.
        let (Ok(()) | Err(_)) = self.rests.send((group, next, busy)).await;
    }

    /// The word; none from a queue that has stopped.
    pub(crate) async fn word(&mut self) -> Option<Word> {
        self.words.recv().await
    }

    /// Whether it was told to go on and has ended without having heard it.
    fn was_to_go_on(&mut self) -> bool {
        matches!(self.words.try_recv(), Ok(Word::GoOn(_)))
    }
}

/// Serves the queue until it is told to stop; runs in flight end before it does.
pub(crate) async fn serve(
    Arrivals(mut inbox): Arrivals,
    turns: Turns,
    mut lanes: Lanes,
    stop: CancellationToken,
) {
    // One of each group at most is on its way.
    let (rests, mut rested) = mpsc::channel(ARRIVALS);
    let mut at_work = AtWork {
        turns,
        stop: stop.clone(),
        runs: JoinSet::new(),
        rests,
        words: BTreeMap::new(),
    };
    let mut awake: Vec<Busy> = Vec::new();
    loop {
        for step in lanes.next_moves(at_work.turns.clock().now()) {
            at_work.make(step);
        }
        let mut retry = at_work.turns.clock().timer(lanes.next_retry());
        awake.clear();
        tokio::select! {
            // A group says that it rests before it can end, and must be heard in that order.
            biased;
            () = stop.cancelled() => break,
            Some((group, next, busy)) = rested.recv() => {
                awake.push(busy);
                lanes.rest(group, next);
            }
            Some(ended) = at_work.runs.join_next() => {
                let Ended { group, mut line, next, busy } = unwound(ended);
                awake.push(busy);
                at_work.words.remove(&group);
                lanes.finish(&group, next);
                if line.was_to_go_on() {
                    lanes.arrive(group);
                }
            }
            Some((group, busy)) = inbox.recv() => {
                awake.push(busy);
                lanes.arrive(group);
            }
            busy = retry.fired() => awake.push(busy),
        }
    }
    loop {
        tokio::select! {
            ended = at_work.runs.join_next() => match ended {
                Some(ended) => drop(unwound(ended)),
                None => break,
            },
            // What comes now stands in the store, and nobody waits to say so.
            Some(_arrived) = inbox.recv() => {}
        }
    }
    at_work.turns.nothing_remains().await;
}

/// The groups that have an agent, or are about to have one.
struct AtWork {
    turns: Turns,
    stop: CancellationToken,
    runs: JoinSet<Ended>,
    rests: mpsc::Sender<Rest>,
    words: BTreeMap<GroupFolder, mpsc::Sender<Word>>,
}

/// A group has no agent any more.
struct Ended {
    group: GroupFolder,
    line: Line,
    next: Next,
    busy: Busy,
}

impl AtWork {
    fn make(&mut self, step: Move) {
        let busy = self.turns.clock().busy(Work::Run);
        match step {
            Move::Start(group) => self.start(group, busy),
            Move::GoOn(group) => self.say(&group, Word::GoOn(busy)),
            Move::Close(group) => self.say(&group, Word::Close(busy)),
        }
    }

    fn start(&mut self, group: GroupFolder, busy: Busy) {
        let (to_group, words) = mpsc::channel(1);
        self.words.insert(group.clone(), to_group);
        let mut line = Line {
            rests: self.rests.clone(),
            words,
        };
        let (turns, stop) = (self.turns.clone(), self.stop.clone());
        self.runs.spawn(async move {
            let (next, busy) = Box::pin(turns.take(&group, (&mut line, busy), stop)).await;
            Ended {
                group,
                line,
                next,
                busy,
            }
        });
    }

    /// Tells a group its word. One whose agent ends meanwhile does not hear it, and gives it back.
    fn say(&self, group: &GroupFolder, word: Word) {
        if let Some(words) = self.words.get(group) {
            let (Ok(()) | Err(_)) = words.try_send(word);
        }
    }
}
