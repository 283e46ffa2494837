//! Which groups' folders are looked at next: each group once, in the order they came, so that
//! none that drops much keeps the others waiting.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::ids::GroupFolder;

/// When to look again at a file that is not whole yet.
const AGAIN: Duration = Duration::from_secs(1);

/// The groups that wait for a look.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Invariant: no group stands here twice.
    waiting: VecDeque<GroupFolder>,
    later: BTreeSet<GroupFolder>,
    /// When those in `later` join the line.
    later_at: Option<Instant>,
}

impl Line {
    pub(super) fn join(&mut self, group: GroupFolder) {
        if !self.waiting.contains(&group) {
            self.waiting.push_back(group);
        }
    }

    /// Joins in a while: something there needs time.
    pub(super) fn join_later(&mut self, group: GroupFolder, now: Instant) {
        self.later.insert(group);
        self.later_at.get_or_insert(now + AGAIN);
    }

    /// It is looked at now, so what it needed time for is seen.
    pub(super) fn forget_later(&mut self, group: &GroupFolder) {
        self.later.remove(group);
        if self.later.is_empty() {
            self.later_at = None;
        }
    }

    /// The group to look at.
    pub(super) fn next(&mut self, now: Instant) -> Option<GroupFolder> {
        if self.later_at.is_some_and(|at| at <= now) {
            self.later_at = None;
            for group in std::mem::take(&mut self.later) {
                self.join(group);
            }
        }
        self.waiting.pop_front()
    }

    /// Whether somebody can be looked at without waiting.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// When somebody joins who needed time.
    pub(super) fn later_at(&self) -> Option<Instant> {
        self.later_at
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.later.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str) -> GroupFolder {
        name.parse().unwrap()
    }

    #[test]
    fn whoever_has_more_goes_behind_whoever_waits() {
        let mut line = Line::default();
        let now = Instant::now();
        for name in ["ada", "bob", "ada"] {
            line.join(group(name));
        }
        assert_eq!(line.next(now), Some(group("ada")));
        line.join(group("ada"));
        assert_eq!(line.next(now), Some(group("bob")));
        assert_eq!(line.next(now), Some(group("ada")));
        assert_eq!(line.next(now), None);
    }

    #[test]
    fn what_needs_time_gets_it_and_no_more() {
        let mut line = Line::default();
        let now = Instant::now();
        line.join_later(group("ada"), now);
        line.join_later(group("bob"), now + AGAIN / 2);
        assert!(!line.is_waiting() && !line.is_empty());
        assert_eq!(line.next(now), None);
        assert_eq!(line.later_at(), Some(now + AGAIN));
        assert_eq!(line.next(now + AGAIN), Some(group("ada")));
        assert_eq!(line.next(now + AGAIN), Some(group("bob")));
        assert!(line.is_empty());

        line.join_later(group("ada"), now);
        line.forget_later(&group("ada"));
        assert!(line.is_empty());
        assert_eq!(line.later_at(), None);
    }
}
