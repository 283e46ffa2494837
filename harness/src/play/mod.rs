//! Plays the steps of a scenario on a stage, one after the other.
//!
//! It acts and waits. What a value must look like is asked of `judge`; how a failure is
//! shown is the business of `report`.

mod lifecycle;
mod commands;
mod phones;
mod asking;
mod boxes;
mod dropping;
mod wanted;
mod waiting;
mod counting;
mod snapshots;

use std::collections::HashMap;
use std::time::Duration;

use indexmap::IndexMap;
use mock_server::yaml::{At, Span};
use mock_server::{FaultRule, Owing, Script, UnsaidTurn};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::failure::{Failure, Trouble};
use crate::judge::unexpected;
use crate::scenario::{ClockMove, Lapse, Names, Scenario, Start, Step};
use crate::stage::{MockError, Moved, Stage, StageError};

use counting::Counted;
use phones::HeldBack;
pub use snapshots::Snapshots;

/// How long an expectation waits, in real time, if the step does not say.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A scenario that is being played.
#[derive(Debug)]
pub(crate) struct Play<'a> {
    scenario: &'a Scenario,
    pub(crate) stage: Stage,
    captures: IndexMap<String, Value>,
    /// For each kind of entry, the last one that an expectation has matched.
    matched: HashMap<String, u64>,
    snapshots: Snapshots,
    /// How many snapshots were taken.
    taken: usize,
    drops: usize,
    registered: bool,
    /// The step that is being played.
    current: Option<Span>,
    /// Entries up to this one were written before nanokimi was stopped or started last; they
    /// meet no expectation any more.
    floor: u64,
    /// What steps call messages of the assistant, and their ids on the wire.
    heard: IndexMap<String, String>,
    /// What keeps messages on WhatsApp from nanokimi.
    held_back: HeldBack,
    /// Numbers that were met, and must still be right when the next thing is set going.
    counted: Vec<Counted<'a>>,
}

impl<'a> Play<'a> {
    pub(crate) fn new(scenario: &'a Scenario, stage: Stage, snapshots: Snapshots) -> Self {
        Self {
            scenario,
            stage,
            captures: IndexMap::new(),
            matched: HashMap::new(),
            snapshots,
            taken: 0,
            drops: 0,
            registered: false,
            current: None,
            floor: 0,
            heard: IndexMap::new(),
            held_back: HeldBack::default(),
            counted: Vec::new(),
        }
    }

    /// Plays all steps up to the first that fails, then `finally`; each of both may take as
    /// long as `limit`.
    pub(crate) async fn perform(&mut self, limit: Duration) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        let played = match timeout(limit, self.perform_steps()).await {
            Ok(played) => played,
            Err(_elapsed) => Err(self.too_long("the scenario", limit)),
        };
        if let Err(trouble) = played {
            // What was counted before then need not be right any more.
            self.counted.clear();
            troubles.extend(self.first_cause(&trouble).await);
            troubles.push(trouble);
        }
        if timeout(limit, self.perform_finally(&mut troubles))
            .await
            .is_err()
        {
            troubles.push(self.too_long("`finally`", limit));
        }
        troubles
    }

    async fn perform_finally(&mut self, troubles: &mut Vec<Trouble>) {
        for step in &self.scenario.file.finally {
            if let Err(trouble) = self.step(step).await {
                troubles.push(trouble);
            }
        }
    }

    /// How long a step may wait, in real time, on this form of the stage.
    fn patience(&self, given: Option<Lapse>, usual: Duration) -> Duration {
        self.stage.leisurely(given.map_or(usual, Lapse::length))
    }

    fn too_long(&self, what: &str, limit: Duration) -> Trouble {
        let lapse = Lapse::new(limit);
        let failure = Failure::new(format!("{what} took longer than {lapse}"));
        match self.current {
            Some(step) => failure.at(step).label("it was here then").into(),
            None => failure.note("it was still at the start then").into(),
        }
    }

    /// What a mock did not expect comes before what then did not happen, and is told at
    /// the same place.
    async fn first_cause(&self, trouble: &Trouble) -> Option<Trouble> {
        let unexpected_things = match self.stage.mock().unexpected().await {
            Ok(things) => things,
            Err(error) => return Some(error.into()),
        };
        let first = unexpected_things.into_iter().next()?;
        let failure = unexpected(&first);
        Some(match trouble {
            Trouble::Failed(then) => then
                .span
                .map_or(failure.clone(), |span| failure.at(span))
                .into(),
            Trouble::Broke(_) => failure.into(),
        })
    }

    async fn perform_steps(&mut self) -> Result<(), Trouble> {
        if self.starts_by_itself() {
            self.start(&Start::default(), self.scenario.file.story.span)
                .await?;
        }
        for step in &self.scenario.file.steps {
            self.step(step).await?;
        }
        Ok(())
    }

    /// nanokimi runs from the beginning, unless the scenario starts it itself, or links it
    /// first, for which the folder must be free.
    fn starts_by_itself(&self) -> bool {
        if self
            .scenario
            .linking()
            .is_some_and(|linking| !linking.linked)
        {
            return false;
        }
        let mut lifecycle = self
            .scenario
            .file
            .steps
            .iter()
            .filter_map(|step| match step.value {
                Step::Start(_) => Some(false),
                Step::Stop(_) | Step::Restart(_) => Some(true),
                Step::Ask(_)
                | Step::Say(_)
                | Step::Burst(_)
                | Step::Phone(_)
                | Step::Ended(_)
                | Step::Hear(_)
                | Step::Ipc(_)
                | Step::Expect(_)
                | Step::Never(_)
                | Step::Clock(_)
                | Step::Release(_)
                | Step::Fault(_)
                | Step::Store(_)
                | Step::Storage(_)
                | Step::Box(_)
                | Step::Engine(_)
                | Step::Settle(_)
                | Step::Snapshot(_)
                | Step::Run(_) => None,
            });
        lifecycle.next().unwrap_or(true)
    }

    async fn step(&mut self, step: &'a At<Step>) -> Result<(), Trouble> {
        self.current = Some(step.span);
        if counting::acts(&step.value)
            && let Some(overrun) = self.recount().into_iter().next()
        {
            return Err(overrun);
        }
        // What comes after the step is told apart from what was there before.
        self.stage.mock().caught_up().await?;
        let played = match &step.value {
            Step::Ask(ask) => self.ask(ask).await,
            Step::Hear(hear) => self.hear(hear).await,
            Step::Ipc(drop) => self.drop_file(drop),
            Step::Expect(expect) => self.expect(expect).await,
            Step::Never(never) => self.never(never).await,
            Step::Clock(to) => self.clock(to).await,
            Step::Start(start) => self.start(start, step.span).await,
            Step::Stop(stop) => self.stop(stop).await,
            Step::Restart(restart) => self.restart(restart, step.span).await,
            Step::Release(gate) => {
                let released = self.stage.mock().release(gate).await;
                released.map_err(|error| match Trouble::from(error) {
                    Trouble::Failed(failure) => failure.at(gate.span).into(),
                    broke @ Trouble::Broke(_) => broke,
                })
            }
            Step::Fault(rule) => self.go_wrong(rule).await,
            Step::Store(state) => self.store(*state),
            Step::Storage(staged) => Ok(self.stage.mock().stage_storage(staged).await?),
            Step::Box(befalling) => self.befall(befalling, step.span).await,
            Step::Engine(state) => self.engine(*state).await,
            Step::Settle(_) => self.settle().await.map(drop),
            Step::Snapshot(subjects) => self.snapshot(subjects).await,
            Step::Run(run) => self.run(run).await,
            Step::Ended(end) => self.ended(end).await,
            Step::Say(saying) => self.say(saying).await,
            Step::Burst(burst) => self.burst(burst).await,
            Step::Phone(control) => self.phone(control).await,
        };
        played.map_err(|trouble| match trouble {
            Trouble::Failed(failure) => Trouble::Failed(Box::new(failure.at(step.span))),
            Trouble::Broke(error) => Trouble::Broke(error),
        })
    }

    /// From now on something goes wrong.
    async fn go_wrong(&self, rule: &FaultRule) -> Result<(), Trouble> {
        let unfit = |error: serde_json::Error| Failure::new(format!("the fault is none: {error}"));
        let written = serde_json::to_value(rule).map_err(unfit)?;
        let filled = self.names().fill_value(&written)?;
        let rule = serde_json::from_value(filled).map_err(unfit)?;
        self.stage
            .mock()
            .add(&Script::of_faults(vec![rule]))
            .await?;
        Ok(())
    }

    pub(crate) fn names(&self) -> Names {
        Names {
            now: self.stage.now(),
            root: self.stage.root().display().to_string(),
            jids: self.stage.jids(),
            captures: self.captures.clone(),
        }
    }

    async fn clock(&mut self, to: &ClockMove) -> Result<(), Trouble> {
        let body = match to {
            ClockMove::Advance(lapse) => json!({ "advance": in_words(*lapse) }),
            ClockMove::SetBack(lapse) => json!({ "set_back": in_words(*lapse) }),
            ClockMove::AdvanceTo(instant) => {
                let instant = self.names().fill_text(instant)?;
                json!({ "advance_to": instant })
            }
        };
        if self.stage.api().is_some() {
            return self.moved(&body).await.map(drop);
        }
        // While nanokimi is down, time passes without it.
        let now = match to {
            ClockMove::Advance(lapse) => self.stage.now().checked_add(lapse.length()),
            ClockMove::SetBack(lapse) => self.stage.now().checked_sub(lapse.length()),
            ClockMove::AdvanceTo(_) => body["advance_to"].as_str().unwrap_or("").parse(),
        };
        let now =
            now.map_err(|error| Failure::new(format!("the clock cannot move there: {error}")))?;
        Ok(self.stage.moved_to(now).await?)
    }

    /// Comes to rest for good: nothing is held any more, and every number is still right. A gate
    /// that has to be opened for that was forgotten, unless its turn may stay unsaid.
    pub(crate) async fn rest(&mut self) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        loop {
            if let Err(trouble) = self.settle().await {
                troubles.push(trouble);
                return troubles;
            }
            troubles.extend(self.recount());
            match self.open_gates(&mut troubles).await {
                Ok(true) => {}
                Ok(false) => return troubles,
                Err(error) => {
                    troubles.push(error.into());
                    return troubles;
                }
            }
        }
    }

    /// Opens the gates at which answers wait, if any do and nothing else is wrong.
    async fn open_gates(&self, troubles: &mut Vec<Trouble>) -> Result<bool, MockError> {
        let mock = self.stage.mock();
        let held = mock.waiting().await?;
        if held.is_empty() || !troubles.is_empty() {
            return Ok(false);
        }
        let unsaid = mock.unsaid().await?;
        troubles.extend(unsaid.iter().filter_map(forgotten));
        for gate in &held {
            // Who waits at a gate has named it.
            mock.release(gate).await?;
        }
        Ok(true)
    }

    pub(crate) async fn settle(&mut self) -> Result<Moved, Trouble> {
        self.moved(&json!({ "advance": "0s" })).await
    }

    async fn moved(&mut self, to: &Value) -> Result<Moved, Trouble> {
        let moved = match self.stage.move_clock(to).await {
            Ok(moved) => moved,
            Err(StageError::Http(error)) => {
                let failure = Failure::new("nanokimi's HTTP API does not answer");
                let failure = failure.note(error.to_string());
                return Err(self.with_death(failure).await?.into());
            }
            Err(StageError::Unsettled(left)) => {
                let failure = Failure::new("nanokimi did not come to rest on WhatsApp");
                return Err(self.with_death(failure.note(left)).await?.into());
            }
            Err(StageError::Clock(said)) => {
                return Err(Failure::new(format!("the clock does not move: {said}")).into());
            }
            Err(error) => return Err(error.into()),
        };
        if moved.settled {
            return Ok(moved);
        }
        let failure = Failure::new("nanokimi did not come to rest")
            .note(format!("still busy: {}", moved.busy.join(", ")));
        let help = moved.busy.iter().find_map(|work| way_out(work));
        Err(match help {
            Some(help) => failure.help(help).into(),
            None => failure.into(),
        })
    }
}

/// What a scenario may have to do before this work can end; without it, nanokimi is to blame.
fn way_out(work: &str) -> Option<&'static str> {
    match work {
        "agent run" => Some("a turn that is held must be released first"),
        "outbox" => Some("what is sent must be answered: is the line cut, held or `half_open`?"),
        _ => None,
    }
}

/// A turn that was held at a gate which no step released.
fn forgotten(turn: &UnsaidTurn) -> Option<Trouble> {
    let Owing::Held { gate } = &turn.owing else {
        return None;
    };
    let headline = format!("the turn `{}` was held and never released", turn.turn);
    let help = format!("write the step `release: {gate}`, or make the turn `optional`");
    Some(Failure::new(headline).help(help).into())
}

/// A length of time as the clock's route reads it; it knows no days.
fn in_words(lapse: Lapse) -> String {
    format!("{}ms", lapse.length().as_millis())
}

#[cfg(test)]
mod tests {
    use super::way_out;

    #[test]
    fn help_is_of_what_is_at_work() {
        let of_turns = |work| way_out(work).is_some_and(|help| help.contains("turn"));
        assert!(of_turns("agent run"));
        assert!(!of_turns("outbox"));
        assert_eq!(way_out("timer"), None);
    }
}
