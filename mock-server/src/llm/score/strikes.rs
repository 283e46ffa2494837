//! The faults that come to requests by their number, and how often each has come.
//!
//! Requests are counted beside each other, without a lock; each counts once, whether it is
//! struck or not.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::llm::question::Question;
use crate::llm::score::doom::Mishap;
use crate::llm::score::tally::Tally;
use crate::llm::score::turn::{Receipt, Turn};
use crate::llm::script::ScriptError;
use crate::llm::script::fault::Fault;
use crate::llm::script::fault_rule::{FaultRule, Neighbour, Nth};
use crate::llm::script::lane::known;
use crate::llm::script::turn::Clauses;
use crate::storage::Errand;

/// All rules, in the order in which they were put in. A clone has the same counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strikes {
    rules: Vec<Arc<Strike>>,
    /// How many were ever put in.
    count: usize,
}

/// One rule.
#[derive(Debug)]
pub(crate) struct Strike {
    pub(crate) id: Arc<str>,
    pub(crate) nth: Nth,
    pub(crate) must: bool,
    on: Neighbour,
    lane: Option<String>,
    clauses: Clauses,
    fault: Arc<Fault>,
    /// How many requests it has counted.
    asked: AtomicU32,
    /// How many of them it has struck.
    struck: AtomicU32,
    /// What is said where no turn answers: nothing, for the fault is the answer.
    silence: Arc<Turn>,
}

impl Strikes {
    /// These, and more behind them; lanes are those that there are.
    pub(crate) fn with(&self, rules: Vec<FaultRule>, lanes: &[&str]) -> Result<Self, ScriptError> {
        let mut grown = self.clone();
        let mut taken: HashSet<Arc<str>> = grown.rules.iter().map(|rule| rule.id.clone()).collect();
        for rule in rules {
            grown.count += 1;
            let strike = Strike::of(rule, grown.count);
            if let Some(lane) = strike.lane.as_deref().filter(|lane| !lanes.contains(lane)) {
                return Err(ScriptError::FaultLane {
                    fault: strike.id.to_string(),
                    lane: lane.to_owned(),
                    known: known(lanes),
                });
            }
            if !taken.insert(Arc::clone(&strike.id)) {
                let fault = strike.id.to_string();
                return Err(ScriptError::DuplicateFault { fault });
            }
            grown.rules.push(strike.into());
        }
        Ok(grown)
    }

    /// Counts a request; the rule that strikes it, which of several is the first.
    pub(crate) fn strike(&self, question: &Question<'_>) -> Option<&Arc<Strike>> {
        self.first(|rule| rule.is_about(question))
    }

    /// The same for a request to the storage.
    pub(crate) fn strike_storage(&self, errand: &Errand) -> Option<&Arc<Strike>> {
        self.first(|rule| matches!(&rule.on, Neighbour::Storage(clause) if clause.holds(errand)))
    }

    /// Each that is meant counts, the first that strikes does.
    fn first(&self, is_meant: impl Fn(&Strike) -> bool) -> Option<&Arc<Strike>> {
        let mut striking = None;
        for rule in self.rules.iter().filter(|rule| is_meant(rule)) {
            if rule.counts() && striking.is_none() {
                striking = Some(rule);
            }
        }
        striking
    }

    pub(crate) fn rules(&self) -> &[Arc<Strike>] {
        &self.rules
    }
}

impl Strike {
    fn of(rule: FaultRule, place: usize) -> Self {
        let mut clauses = rule.condition.map(Clauses::from).unwrap_or_default();
        let id: Arc<str> = rule.id.unwrap_or_else(|| format!("fault-{place}")).into();
        Self {
            silence: Turn::silent(Arc::clone(&id)).into(),
            id,
            nth: rule.nth,
            must: rule.must,
            on: rule.on,
            lane: clauses.lane.take(),
            clauses,
            fault: Arc::new(rule.fault.fault),
            asked: AtomicU32::new(0),
            struck: AtomicU32::new(0),
        }
    }

    /// Whether the request to the model is one of those that are meant.
    fn is_about(&self, question: &Question<'_>) -> bool {
        let lane = self.lane.as_ref();
        self.on == Neighbour::Model
            && lane.is_none_or(|lane| *lane == question.lane)
            && self.clauses.hold(question)
    }

    /// Counts a request, and says whether it is struck.
    fn counts(&self) -> bool {
        let number = self.asked.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        self.nth.holds(number)
    }

    pub(crate) fn fault(&self) -> &Arc<Fault> {
        &self.fault
    }

    /// What becomes of the answer that a turn would have given.
    pub(crate) fn befall(&self, turn: &Turn) -> Mishap {
        Mishap {
            fault: Arc::clone(&self.fault),
            counts: self.fault.lets_all_through(turn.hold.is_some()),
            rule: Some(Arc::clone(&self.id)),
        }
    }

    /// The turn where none answers, if the fault needs none.
    pub(crate) fn silence(&self) -> Option<Receipt> {
        (!self.fault.lets_all_through(false)).then(|| Receipt {
            turn: Arc::clone(&self.silence),
            tally: Arc::<Tally>::default(),
        })
    }

    /// It is on its way to the client.
    pub(crate) fn came(&self) {
        self.struck.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn asked(&self) -> u32 {
        self.asked.load(Ordering::Acquire)
    }

    pub(crate) fn struck(&self) -> u32 {
        self.struck.load(Ordering::Acquire)
    }

    pub(crate) fn word(&self) -> &'static str {
        self.fault.word()
    }
}
