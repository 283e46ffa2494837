//! How often turns were said, counted by many at once without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::llm::script::turn::Times;
use crate::llm::script::wording::NumberOr;

/// How often one turn was said.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// How often it was chosen.
    said: AtomicU32,
    /// How often its last byte was handed over.
    delivered: AtomicU32,
    /// How often something went wrong with it.
    broken: AtomicU32,
}

/// The tallies of a lane's turns, in their order, and the round they are in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tallies {
    each: Vec<Arc<Tally>>,
    /// How many rounds are over.
    rounds: Arc<AtomicU32>,
}

impl Tally {
    pub(crate) fn said(&self) -> u32 {
        self.said.load(Ordering::Acquire)
    }

    pub(crate) fn delivered(&self) -> u32 {
        self.delivered.load(Ordering::Acquire)
    }

    pub(crate) fn deliver(&self) {
        self.delivered.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts the turn as said unless it was said `limit` times already; returns how often
    /// it was before.
    pub(crate) fn claim(&self, limit: Option<u32>) -> Option<u32> {
        count_up(&self.said, limit)
    }

    /// Counts a fault unless it came `limit` times already.
    pub(crate) fn break_down(&self, limit: Option<u32>) -> bool {
        count_up(&self.broken, limit).is_some()
    }

    /// The fault was for an answer that another request has got meanwhile.
    pub(crate) fn mend(&self) {
        self.broken.fetch_sub(1, Ordering::AcqRel);
    }

    /// It could not be said after all.
    pub(crate) fn give_back(&self) {
        self.said.fetch_sub(1, Ordering::AcqRel);
    }
}

fn count_up(counter: &AtomicU32, limit: Option<u32>) -> Option<u32> {
    let one_more = |count: u32| {
        let is_left = limit.is_none_or(|limit| count < limit);
        is_left.then(|| count.saturating_add(1))
    };
    match counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more) {
        Ok(before) => Some(before),
        Err(_used_up) => None,
    }
}

impl Tallies {
    /// Of `count` turns: those that are here, and fresh ones behind them.
    pub(crate) fn grown(&self, count: usize) -> Self {
        let fresh = std::iter::repeat_with(Arc::default);
        Self {
            each: self.each.iter().cloned().chain(fresh).take(count).collect(),
            rounds: Arc::clone(&self.rounds),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.each.len()
    }

    pub(crate) fn of(&self, slot: usize) -> &Arc<Tally> {
        &self.each[slot]
    }

    /// How often a turn may be said in all the rounds so far.
    pub(crate) fn limit(&self, times: Times) -> Option<u32> {
        match times {
            NumberOr::Number(times) => {
                let round = self.rounds.load(Ordering::Acquire).saturating_add(1);
                Some(times.get().saturating_mul(round))
            }
            NumberOr::Word(_any) => None,
        }
    }

    pub(crate) fn is_used_up(&self, slot: usize, times: Times) -> bool {
        let said = self.each[slot].said();
        self.limit(times).is_some_and(|limit| said >= limit)
    }

    /// Begins the next round, unless somebody else has begun it since `over` were over.
    pub(crate) fn begin_round(&self, over: u32) {
        let begun =
            self.rounds
                .compare_exchange(over, over + 1, Ordering::AcqRel, Ordering::Acquire);
        // Either way it has begun.
        let (Ok(_) | Err(_)) = begun;
    }

    pub(crate) fn rounds_over(&self) -> u32 {
        self.rounds.load(Ordering::Acquire)
    }
}
