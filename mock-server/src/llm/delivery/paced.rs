//! The answers that take their time: who waits for a run to end must not wait for them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

/// All answers under way that the scenario's clock holds back, by their request's number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paced {
    answers: Arc<Mutex<BTreeMap<u64, Until>>>,
}

/// What an answer waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// Its last byte comes at this time.
    Due(Timestamp),
    /// It has stalled.
    Doomsday,
}

/// An answer takes its time for as long as this lives.
#[derive(Debug)]
pub(crate) struct TakesTime {
    n: u64,
    paced: Paced,
}

impl Paced {
    pub(crate) fn enter(&self, n: u64, until: Until) -> TakesTime {
        self.answers().insert(n, until);
        TakesTime {
            n,
            paced: self.clone(),
        }
    }

    /// How many will not end at this time.
    pub(crate) fn count(&self, now: Option<Timestamp>) -> usize {
        let answers = self.answers();
        let waits = |until: &&Until| match until {
            Until::Due(due) => now.is_none_or(|now| *due > now),
            Until::Doomsday => true,
        };
        answers.values().filter(waits).count()
    }

    fn answers(&self) -> MutexGuard<'_, BTreeMap<u64, Until>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TakesTime {
    /// From now on it waits for something else.
    pub(crate) fn until(&self, until: Until) {
        self.paced.answers().insert(self.n, until);
    }
}

impl Drop for TakesTime {
    fn drop(&mut self) {
        self.paced.answers().remove(&self.n);
    }
}
