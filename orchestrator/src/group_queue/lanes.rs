//! The rules of the queue: which groups work, rest, wait and pause, and in what order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;

use crate::clock::LastLook;
use crate::ids::GroupFolder;
use crate::turn::Next;

/// Which groups work, which wait, which pause before a retry, and in what order.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// Of agents that are alive.
    limit: usize,
    working: BTreeSet<GroupFolder>,
    /// Groups whose agents wait for more, the longest first.
    resting: VecDeque<GroupFolder>,
    /// Groups whose agents have been told to make room.
    closing: BTreeSet<GroupFolder>,
    /// Groups with something to do, first come first served.
    /// Invariant: no group stands here twice.
    waiting: VecDeque<GroupFolder>,
    /// Groups that failed, and when they try again. A new arrival waits for that, so that a
    /// group that goes on talking does not use its attempts up at once.
    paused: BTreeMap<GroupFolder, Timestamp>,
    look: LastLook,
}

/// What is to be done with a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// It gets a place.
    Start(GroupFolder),
    /// Its agent waits, and has something to do.
    GoOn(GroupFolder),
    /// Its agent waits, and another group needs the place.
    Close(GroupFolder),
}

impl Lanes {
    /// Lanes in which these groups have something to do from the start.
    #[must_use]
    pub(crate) fn new(limit: usize, waiting: Vec<GroupFolder>) -> Self {
        Self {
            limit,
            working: BTreeSet::new(),
            resting: VecDeque::new(),
            closing: BTreeSet::new(),
            waiting: waiting.into(),
            paused: BTreeMap::new(),
            look: LastLook::default(),
        }
    }

    pub(super) fn arrive(&mut self, group: GroupFolder) {
        if !self.waiting.contains(&group) && !self.paused.contains_key(&group) {
            self.waiting.push_back(group);
        }
    }

    /// A group's turn is over, and its agent waits. One that may have more to do goes to the end
    /// of the line, behind those that wait.
    pub(super) fn rest(&mut self, group: GroupFolder, next: Next) {
        self.working.remove(&group);
        self.resting.push_back(group.clone());
        if next == Next::Again {
            self.arrive(group);
        }
    }

    /// A group has no agent any more.
    pub(super) fn finish(&mut self, group: &GroupFolder, next: Next) {
        self.working.remove(group);
        self.closing.remove(group);
        self.resting.retain(|resting| resting != group);
        match next {
            Next::Idle => {}
            Next::Again => self.arrive(group.clone()),
            Next::RetryAt(at) => {
                self.waiting.retain(|waiting| waiting != group);
                self.paused.insert(group.clone(), at);
            }
        }
    }

    pub(super) fn next_retry(&self) -> Option<Timestamp> {
        self.paused.values().min().copied()
    }

    /// Whoever has paused until now is in line again; everybody is if the clock was set back.
    fn retry(&mut self, now: Timestamp) {
        let until = self.look.due_until(now);
        let due: Vec<GroupFolder> = self
            .paused
            .iter()
            .filter(|(_, at)| **at <= until)
            .map(|(group, _)| group.clone())
            .collect();
        for group in due {
            self.paused.remove(&group);
            self.arrive(group);
        }
    }

    pub(super) fn next_moves(&mut self, now: Timestamp) -> Vec<Move> {
        self.retry(now);
        let mut moves = Vec::new();
        // Places that come free soon, which those at the head of the line get.
        let mut soon = self.closing.len();
        let line: Vec<GroupFolder> = self.waiting.iter().cloned().collect();
        for group in line {
            if self.working.contains(&group) || self.closing.contains(&group) {
                continue;
            }
            if self.stops_resting(&group) {
                self.working.insert(group.clone());
                moves.push(Move::GoOn(group.clone()));
            } else if self.alive() < self.limit {
                self.working.insert(group.clone());
                moves.push(Move::Start(group.clone()));
            } else {
                if soon > 0 {
                    soon -= 1;
                } else if let Some(room) = self.who_makes_room() {
                    self.stops_resting(&room);
                    self.closing.insert(room.clone());
                    moves.push(Move::Close(room));
                }
                continue;
            }
            self.waiting.retain(|waiting| *waiting != group);
        }
        moves
    }

    fn alive(&self) -> usize {
        self.working.len() + self.resting.len() + self.closing.len()
    }

    /// Says whether it rested.
    fn stops_resting(&mut self, group: &GroupFolder) -> bool {
        let before = self.resting.len();
        self.resting.retain(|resting| resting != group);
        self.resting.len() < before
    }

    /// Who has nothing to do, else who has rested longest.
    fn who_makes_room(&self) -> Option<GroupFolder> {
        let mut resting = self.resting.iter();
        let unasked = resting.find(|group| !self.waiting.contains(group));
        unasked.or_else(|| self.resting.front()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a script of `+g` (arrives), `-g` (its run ends idle), `*g` (ends with more to do),
    /// `=g` (its agent waits), `:g` (it waits, and there is more to do), `!g` (ends to be retried
    /// in a minute), `~` (a minute passes) and `^` (the clock is set back by an hour), and compares
    /// what starts, `>g` what goes on, and `xg` what is to close.
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
                "=" => lanes.rest(name.parse().unwrap(), Next::Idle),
                ":" => lanes.rest(name.parse().unwrap(), Next::Again),
                "!" => lanes.finish(&name.parse().unwrap(), Next::RetryAt(now + minute)),
                "~" => now += minute,
                "^" => now -= 60 * minute,
                other => panic!("`{other}` is no step"),
            }
            let names: Vec<String> = lanes
                .next_moves(now)
                .iter()
                .map(|step| match step {
                    Move::Start(group) => group.to_string(),
                    Move::GoOn(group) => format!(">{group}"),
                    Move::Close(group) => format!("x{group}"),
                })
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

    #[test]
    fn nobody_pauses_a_second_time_when_the_clock_is_set_back() {
        check(2, "+1 +2 !1 !2 ^", "1 2 . . 1,2");
        check(1, "+1 !1 ^ !1 ~", "1 . 1 . 1");
    }

    #[test]
    fn an_agent_that_waits_is_asked_again_and_keeps_its_place() {
        check(1, "+1 =1 +1 :1 =1", "1 . >1 >1 .");
    }

    #[test]
    fn one_that_waits_makes_room_for_a_group_that_needs_it() {
        check(1, "+1 =1 +2 -1 =2", "1 . x1 2 .");
        // As many as are needed, the longest at rest first.
        check(2, "+1 +2 =2 =1 +3 +4 *2 -1", "1 2 . . x2 x1 3 4");
    }

    #[test]
    fn one_that_works_is_not_closed() {
        check(1, "+1 +2 =1", "1 . x1");
        check(2, "+1 +2 =1 +3 +4", "1 2 . x1 .");
    }

    #[test]
    fn who_has_more_to_do_is_closed_last_but_does_not_keep_others_waiting() {
        check(2, "+1 +2 =1 +3 :2", "1 2 . x1 >2");
        check(1, "+1 +2 :1 *1 =2 -2", "1 . x1 2 x2 1");
    }

    #[test]
    fn one_that_has_ended_by_itself_is_started_again() {
        // It did not hear that it should go on.
        check(1, "+1 =1 +1 -1 +1", "1 . >1 . 1");
        check(1, "+1 =1 +2 *1 -2", "1 . x1 2 1");
    }
}
