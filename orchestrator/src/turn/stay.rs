//! Agents that stay for more than one turn: asked again, closed in time, and never left with
//! something that stands nowhere else.
//!
//! Invariant: what an agent is asked is claimed in the store before it is written, by the one task
//! that also closes the agent. So nothing is ever asked of one that has been told to end, and what
//! one that has ended did not answer is given back like any claim.

use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::hearing::Ran;
use super::{Next, Turns};
use crate::agent::RunningAgent;
use crate::clock::{Busy, Clock, Timer, Work};
use crate::events::{CloseReason, Event};
use crate::group_queue::{Line, Word};
use crate::ids::{GroupFolder, SessionId};
use crate::store::{Claim, Unit};

/// An agent that waits for more.
pub(super) struct Waiting {
    agent: RunningAgent,
    group: GroupFolder,
    /// The conversation it can go on with.
    session: Option<SessionId>,
    until: Timestamp,
}

impl Waiting {
    fn suits(&self, claim: &Claim) -> bool {
        match claim.unit {
            Unit::Messages(_) => self.session.is_some() && self.session == claim.session,
            Unit::Task(_) => false,
        }
    }
}

impl Turns {
    /// Takes a unit of work of the group, if it has one, and as many more as come while its
    /// agent waits.
    pub(crate) async fn take(
        &self,
        folder: &GroupFolder,
        (line, mut busy): (&mut Line, Busy),
        stop: CancellationToken,
    ) -> (Next, Busy) {
        let mut waiting = None;
        loop {
            let next = match self.claim(folder).await {
                Ok(claim) => {
                    let (next, left) = self.work(&claim, waiting.take(), &stop).await;
                    waiting = left;
                    next
                }
                Err(next) => next,
            };
            let Some(agent) = waiting else {
                return (next, busy);
            };
            if let Next::RetryAt(_) = next {
                self.close(agent, CloseReason::OtherWork, &stop).await;
                return (next, busy);
            }
            let next = self.what_is_next(folder).await;
            (waiting, busy) = self.rest(agent, (next, busy), line, &stop).await;
            if waiting.is_none() {
                // Whatever came while it ended stands in the store.
                return (self.what_is_next(folder).await, busy);
            }
        }
    }

    /// Looked up and not guessed: an agent may have to end for a group that has work.
    async fn what_is_next(&self, folder: &GroupFolder) -> Next {
        match self.house.store.has_work(folder.clone()).await {
            Ok(false) => Next::Idle,
            // Whoever claims is told what is wrong.
            Ok(true) | Err(_) => Next::Again,
        }
    }

    /// Has the agent wait until there is something to do. None: it has ended instead.
    async fn rest(
        &self,
        mut waiting: Waiting,
        (next, busy): (Next, Busy),
        line: &mut Line,
        stop: &CancellationToken,
    ) -> (Option<Waiting>, Busy) {
        let clock = &self.house.clock;
        // Set before we are at rest, so that no move of the clock passes it.
        let idle = (clock.timer(Some(waiting.until)), waiting.until);
        let longest = self.house.config.agent_idle_timeout;
        line.rest(waiting.group.clone(), next, busy).await;
        let (reason, busy) = tokio::select! {
            biased;
            () = stop.cancelled() => (CloseReason::Stopping, clock.busy(Work::Run)),
            () = waiting.agent.ends() => (CloseReason::Gone, clock.busy(Work::Run)),
            word = line.word() => match word {
                Some(Word::GoOn(busy)) => return (Some(waiting), busy),
                Some(Word::Close(busy)) => (CloseReason::Place, busy),
                None => (CloseReason::Stopping, clock.busy(Work::Run)),
            },
            busy = idle_for_long(clock, idle, longest) => (CloseReason::Idle, busy),
        };
        self.close(waiting, reason, stop).await;
        (None, busy)
    }

    /// Keeps an agent that has given its result, if it is to wait, or sees it to its end.
    pub(super) async fn after_result(
        &self,
        claim: &Claim,
        (agent, session): (RunningAgent, Option<SessionId>),
        stop: &CancellationToken,
    ) -> Option<Waiting> {
        let group = claim.group.folder.clone();
        if !agent.waits() {
            self.part_with(agent, stop).await;
            self.ipc.drain(&group).await;
            return None;
        }
        let until = self.house.clock.after(self.house.config.agent_idle_timeout);
        self.house.events.tell(Event::AgentWaiting {
            group: group.clone(),
            until,
        });
        Some(Waiting {
            agent,
            group,
            session,
            until,
        })
    }

    /// Has an agent that waits work at the claim. None: it cannot, has ended, and has not begun.
    pub(super) async fn follow_up(
        &self,
        claim: &Claim,
        mut waiting: Waiting,
        stop: &CancellationToken,
    ) -> Option<Ran> {
        if !waiting.suits(claim) {
            self.close(waiting, CloseReason::OtherWork, stop).await;
            return None;
        }
        if let Err(fault) = self.agent.hand_on(claim, &mut waiting.agent).await {
            let group = &waiting.group;
            tracing::warn!(%group, "the agent that waits cannot be asked: {fault}");
            self.close(waiting, CloseReason::Gone, stop).await;
            return None;
        }
        let ran = self.listen(claim, waiting.agent, stop).await;
        if ran.is_unheard && !stop.is_cancelled() {
            self.tell_closed(waiting.group, CloseReason::Gone);
            return None;
        }
        Some(ran)
    }

    /// Tells an agent that waits to end, and sees it end.
    async fn close(&self, waiting: Waiting, reason: CloseReason, stop: &CancellationToken) {
        let Waiting {
            mut agent, group, ..
        } = waiting;
        if reason == CloseReason::Gone {
            tracing::warn!(%group, "the agent that waited has ended by itself");
        } else {
            agent.close();
        }
        self.part_with(agent, stop).await;
        self.ipc.drain(&group).await;
        self.tell_closed(group, reason);
    }

    fn tell_closed(&self, group: GroupFolder, reason: CloseReason) {
        let closed = Event::AgentClosed { group, reason };
        self.house.events.tell(closed);
    }
}

/// Returns when an agent has waited until its instant. If the clock is set back so far that nobody
/// knows how long it has waited, it waits for the `longest` time once more.
async fn idle_for_long(
    clock: &Clock,
    (mut idle, mut until): (Timer, Timestamp),
    longest: Duration,
) -> Busy {
    loop {
        let busy = idle.fired().await;
        let due_until = idle.due_until();
        if due_until == Timestamp::MAX {
            until = clock.after(longest);
        } else if due_until >= until {
            return busy;
        }
        idle = clock.timer(Some(until));
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;
    use crate::clock::Move;

    fn to(time: &str) -> Move {
        Move {
            to: format!("2026-01-05T{time}:00Z").parse().unwrap(),
            patience: Duration::from_secs(20),
            leave_runs: false,
        }
    }

    /// An agent that waits from 09:00 for half an hour sees the clock set back at 09:20, and ends.
    async fn check(back: &str, ends: &str) {
        let clock = Clock::test(to("09:00").to);
        let longest = Duration::from_secs(30 * 60);
        let until = clock.after(longest);
        let (idle, watched) = (clock.timer(Some(until)), clock.clone());
        let mut waiting = JoinSet::new();
        waiting.spawn(async move {
            let _busy = idle_for_long(&watched, (idle, until), longest).await;
            watched.now()
        });
        clock.advance(to("09:20")).await;
        assert_eq!(clock.set_back(to(back)).await.busy, [""; 0]);
        clock.advance(to("10:00")).await;
        let ended = waiting.join_next().await.unwrap().unwrap();
        assert_eq!(ended, to(ends).to, "set back to {back}");
    }

    #[tokio::test]
    async fn an_agent_waits_its_time_when_the_clock_is_set_back() {
        check("09:10", "09:30").await;
        check("08:00", "08:30").await;
    }
}
