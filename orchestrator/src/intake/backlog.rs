//! What was written while a channel was away: until it has all come, nobody is answered, so
//! that who wrote three messages gets one answer to all three.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ids::GroupFolder;

/// Groups that have something to do as soon as all is there; none if nothing is being awaited.
/// A task of its own would only hand a set around.
#[derive(Clone, Debug, Default)]
pub(super) struct Backlog(Arc<Mutex<Option<BTreeSet<GroupFolder>>>>);

impl Backlog {
    /// From now on groups are kept here. Opening twice is opening once.
    pub(super) fn open(&self) {
        self.lock().get_or_insert_default();
    }

    pub(super) fn is_open(&self) -> bool {
        self.lock().is_some()
    }

    /// Keeps a group until all is there; says whether it is kept.
    pub(super) fn keep(&self, group: &GroupFolder) -> bool {
        match &mut *self.lock() {
            Some(groups) => {
                groups.insert(group.clone());
                true
            }
            None => false,
        }
    }

    /// All is there: gives back the groups that were kept.
    pub(super) fn close(&self) -> BTreeSet<GroupFolder> {
        self.lock().take().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Option<BTreeSet<GroupFolder>>> {
        // Nothing panics while it holds the set.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
