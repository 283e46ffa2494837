//! Which group's workspace is restored or released next: decided here, in plain code.
//!
//! A group is first brought into step with the store, then released whenever it has changed; one
//! job per group at a time, a few groups at once. What fails waits longer each time; what a store
//! that is to be left alone was not asked for waits until then, and has not failed. A release that
//! an agent at work is in the way of waits for that agent.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::LastLook;
use crate::ids::GroupFolder;

/// Groups that are attended to at once.
const AT_ONCE: usize = 4;
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LONGEST_RETRY: Duration = Duration::from_secs(600);

/// One thing to do for a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    Restore,
    Release,
}

/// How a job ended, as far as the order of things is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Done,
    /// Somebody else's version has to be taken over first.
    Behind,
    /// Its files changed while they were read: an agent is at work, and will be done.
    Moving,
    /// The store may not be asked before, if it has said so.
    Failed {
        not_before: Option<Timestamp>,
    },
}

#[derive(Debug, Default)]
struct Lane {
    /// This machine has what was released last, as far as anybody knows.
    in_step: bool,
    /// Somebody waits for that.
    wanted: bool,
    /// Something may have changed since the last release.
    owed: bool,
    at_work: Option<Job>,
    failures: u32,
    not_before: Option<Timestamp>,
    pause_ends: PauseEnds,
}

/// What ends a pause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum PauseEnds {
    #[default]
    InTime,
    /// As soon as the group's agent is done, too.
    WithTheAgent,
}

/// The groups, and what is to be done for each.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: BTreeMap<GroupFolder, Lane>,
    look: LastLook,
}

impl Lanes {
    /// Whether anything was ever said of a group.
    pub(super) fn knows(&self, group: &GroupFolder) -> bool {
        self.lanes.contains_key(group)
    }

    /// A group that is known to have nothing in the store that is not here.
    pub(super) fn is_in_step(&mut self, group: &GroupFolder) {
        self.lane(group).in_step = true;
    }

    /// The group's workspace may have changed.
    pub(super) fn changed(&mut self, group: &GroupFolder) {
        let lane = self.lane(group);
        lane.owed = true;
        if mem::take(&mut lane.pause_ends) == PauseEnds::WithTheAgent {
            lane.failures = 0;
            lane.not_before = None;
        }
    }

    /// Somebody waits for the group to be in step. Returns whether it is.
    pub(super) fn wanted(&mut self, group: &GroupFolder) -> bool {
        let lane = self.lane(group);
        lane.wanted = !lane.in_step;
        if lane.wanted {
            // Who waits does not wait for a pause to end.
            lane.not_before = None;
        }
        lane.in_step
    }

    /// Whether a group waits until what failed is tried again.
    pub(super) fn pauses(&self, group: &GroupFolder, now: Timestamp) -> bool {
        let lane = self.lanes.get(group);
        let until = lane.and_then(|lane| lane.not_before);
        until.is_some_and(|at| at > now)
    }

    /// Whatever was to wait until now waits no more; nor does anything if the clock was set back.
    fn try_again(&mut self, now: Timestamp) {
        let until = self.look.due_until(now);
        for lane in self.lanes.values_mut() {
            lane.not_before = lane.not_before.filter(|at| *at > until);
        }
    }

    /// What can be begun now.
    pub(super) fn start(&mut self, now: Timestamp) -> Vec<(GroupFolder, Job)> {
        self.try_again(now);
        let mut at_work = self
            .lanes
            .values()
            .filter(|lane| lane.at_work.is_some())
            .count();
        let mut started = Vec::new();
        for (group, lane) in &mut self.lanes {
            if at_work >= AT_ONCE || lane.at_work.is_some() || lane.not_before.is_some() {
                continue;
            }
            let Some(job) = lane.next() else { continue };
            if job == Job::Release {
                // What changes from now on is another release.
                lane.owed = false;
            }
            lane.at_work = Some(job);
            at_work += 1;
            started.push((group.clone(), job));
        }
        started
    }

    /// A job has ended; says when it is tried again, if it failed. That files moved is a failure
    /// if they do so again before an agent is done.
    pub(super) fn ended(
        &mut self,
        group: &GroupFolder,
        job: Job,
        ended: Ended,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let lane = self.lane(group);
        lane.at_work = None;
        if job == Job::Restore {
            lane.wanted = false;
        }
        let last = mem::take(&mut lane.pause_ends);
        match ended {
            Ended::Done => {
                lane.failures = 0;
                lane.not_before = None;
                lane.in_step = true;
                None
            }
            Ended::Behind => {
                lane.in_step = false;
                lane.owed = true;
                None
            }
            // Who was at work has said meanwhile that it is done.
            Ended::Moving if lane.owed => None,
            Ended::Moving => {
                lane.owed = true;
                lane.pause_ends = PauseEnds::WithTheAgent;
                let at = lane.pause_after_failure(now);
                lane.not_before = Some(at);
                (last == PauseEnds::WithTheAgent).then_some(at)
            }
            Ended::Failed { not_before } => {
                lane.owed |= job == Job::Release;
                let at = match not_before {
                    Some(at) => at.max(now),
                    None => lane.pause_after_failure(now),
                };
                lane.not_before = Some(at);
                Some(at)
            }
        }
    }

    /// Whether a group has nothing more to release, as far as is known.
    pub(super) fn is_settled(&self, group: &GroupFolder) -> bool {
        self.lanes.get(group).is_none_or(|lane| !lane.owed)
    }

    /// When something that waits may be begun.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let waiting = self.lanes.values().filter(|lane| {
            let has_work = lane.at_work.is_none() && lane.next().is_some();
            has_work && lane.not_before.is_some()
        });
        waiting.filter_map(|lane| lane.not_before).min()
    }

    fn lane(&mut self, group: &GroupFolder) -> &mut Lane {
        self.lanes.entry(group.clone()).or_default()
    }
}

impl Lane {
    fn pause_after_failure(&mut self, now: Timestamp) -> Timestamp {
        let pause = FIRST_RETRY * 2u32.pow(self.failures.min(10));
        self.failures += 1;
        let until = now.checked_add(pause.min(LONGEST_RETRY));
        until.unwrap_or(Timestamp::MAX)
    }

    fn next(&self) -> Option<Job> {
        match (self.in_step, self.owed || self.wanted) {
            (false, true) => Some(Job::Restore),
            (true, _) if self.owed => Some(Job::Release),
            (true | false, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays `+g` (changed), `?g` (wanted), `.g` (its job is done), `<g` (it was behind), `!g`
    /// (it failed), `#g` (and the store wants to be left alone for 15 s), `%g` (its files moved),
    /// `~` (ten seconds pass), `^` (the clock is set back by an hour), and compares what starts:
    /// `r` restores, `w` writes.
    #[track_caller]
    fn check(script: &str, starts: &str) {
        let mut now: Timestamp = "2026-01-05T09:00:00Z".parse().unwrap();
        let mut lanes = Lanes::default();
        let mut jobs = BTreeMap::new();
        let mut seen = Vec::new();
        for step in script.split_whitespace() {
            let (sign, name) = step.split_at(1);
            let end = match sign {
                "~" => {
                    now += Duration::from_secs(10);
                    None
                }
                "^" => {
                    now -= Duration::from_secs(3600);
                    None
                }
                "+" => {
                    lanes.changed(&name.parse().unwrap());
                    None
                }
                "?" => {
                    lanes.wanted(&name.parse().unwrap());
                    None
                }
                "." => Some(Ended::Done),
                "<" => Some(Ended::Behind),
                "%" => Some(Ended::Moving),
                "!" => Some(Ended::Failed { not_before: None }),
                "#" => Some(Ended::Failed {
                    not_before: Some(now + Duration::from_secs(15)),
                }),
                other => panic!("`{other}` is no step"),
            };
            if let Some(end) = end {
                let group: GroupFolder = name.parse().unwrap();
                let job = jobs.remove(&group).unwrap();
                lanes.ended(&group, job, end, now);
            }
            let mut words = Vec::new();
            for (group, job) in lanes.start(now) {
                let sign = if job == Job::Restore { 'r' } else { 'w' };
                words.push(format!("{sign}{group}"));
                jobs.insert(group, job);
            }
            seen.push(if words.is_empty() {
                "-".to_owned()
            } else {
                words.join(",")
            });
        }
        assert_eq!(seen.join(" "), starts, "{script}");
    }

    #[test]
    fn a_group_comes_into_step_before_it_is_released() {
        check("+a .a .a", "ra wa -");
    }

    #[test]
    fn changes_during_a_release_are_one_more() {
        check("+a .a +a +a .a .a", "ra wa - - wa -");
    }

    #[test]
    fn whoever_was_overtaken_takes_over_first() {
        check("+a .a <a .a .a", "ra wa ra wa -");
    }

    #[test]
    fn what_failed_waits_and_is_not_forgotten() {
        check("+a .a !a +a ~ .a", "ra wa - - wa -");
    }

    #[test]
    fn a_store_that_wants_to_be_left_alone_is_left_alone() {
        check("+a .a #a ~ ~ .a", "ra wa - - wa -");
    }

    #[test]
    fn what_was_not_asked_for_is_no_failure() {
        // After the first failure ten seconds are enough.
        check("+a .a #a ~ ~ #a ~ ~ !a ~", "ra wa - - wa - - wa - wa");
    }

    #[test]
    fn who_is_done_with_the_files_is_not_made_to_wait() {
        check("+a .a %a +a .a", "ra wa - wa -");
        // Nor who was done before they were looked over to the end.
        check("+a .a +a %a .a", "ra wa - wa -");
        // Perhaps nobody says so.
        check("+a .a %a ~ .a", "ra wa - wa -");
        // The store is given its time all the same.
        check("+a .a %a ~ !a +a", "ra wa - wa - -");
    }

    #[test]
    fn files_that_move_once_are_no_failure() {
        let group = "a".parse().unwrap();
        let mut lanes = Lanes::default();
        lanes.is_in_step(&group);
        lanes.changed(&group);
        let mut moves_at = |second| {
            let now = Timestamp::from_second(second).unwrap();
            assert_eq!(lanes.start(now).len(), 1);
            let again = lanes.ended(&group, Job::Release, Ended::Moving, now);
            again.map(Timestamp::as_second)
        };
        assert_eq!((moves_at(0), moves_at(5)), (None, Some(15)));
    }

    #[test]
    fn nothing_waits_a_second_time_when_the_clock_is_set_back() {
        check("+a .a !a ^", "ra wa - wa");
        // Nor as long as a store has asked for.
        check("+a .a #a ^ +b", "ra wa - wa rb");
    }

    #[test]
    fn who_waits_for_a_restore_does_not_wait_for_a_pause() {
        check("?a !a ?a .a", "ra - ra -");
    }

    #[test]
    fn a_few_groups_are_attended_to_at_once() {
        check("+a +b +c +d +e .b", "ra rb rc rd - wb");
    }
}
