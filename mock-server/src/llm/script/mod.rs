//! A script: turns in the order they are tried, and the lanes they are said in.

pub(crate) mod fault;
pub(crate) mod fault_rule;
pub(crate) mod lane;
pub(crate) mod lenient;
pub(crate) mod limits;
pub(crate) mod moment;
pub(crate) mod origin;
pub(crate) mod pattern;
pub(crate) mod stream;
pub(crate) mod template;
pub(crate) mod turn;
pub(crate) mod wording;

pub use fault::{
    Breaking, Drops, Emptiness, ErrorEvent, Fault, ScriptedFault, StatusFault, StreamError,
};
pub use fault_rule::{FaultRule, Neighbour, Nth};
pub use lane::{LaneRule, MAIN_LANE, Per};
pub use lenient::WireRule;
pub use limits::Limits;
pub use moment::{ErrorMoment, FaultMoment, HeaderText};
pub use origin::{HeaderRule, KeyPattern, ToolsRule};
pub use pattern::{InvalidPattern, TextPattern};
pub use stream::{FrameRange, LineEnd, StreamShape, UsagePlace, Word};
pub use template::{InvalidTemplate, TemplateText};
pub use turn::{
    Any, Arguments, Clauses, FinishReason, Match, Response, ScriptedCall, ScriptedTurn,
    ScriptedUsage, Speaker, Times, ToolResultClause,
};
pub use wording::NumberOr;

use indexmap::IndexMap;
use serde::Serialize;

use crate::llm::score::repertoire::Repertoire;
use crate::llm::services::{Keys, ScriptedServices};

/// Turns that belong together: a file of `scripts/`, or the script of a scenario.
///
/// As YAML or JSON it is a list of turns, or a map of `turns`, `lanes`, `lenient`, `faults` and of
/// what [`ScriptedServices`] names.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Script {
    /// Begins the names of turns without an id: `chat-3`; without it they are `turn-3`. It is
    /// no part of the file.
    #[serde(skip)]
    pub name: Option<String>,
    /// What is not for the lane `main`. A request belongs to the first that claims it.
    pub lanes: IndexMap<String, LaneRule>,
    /// Rules of the wire that requests need not keep, from now on and for all scripts.
    pub lenient: Vec<WireRule>,
    /// What goes wrong by number, whatever turn answers.
    pub faults: Vec<FaultRule>,
    /// The services around the model.
    pub services: ScriptedServices,
    /// In the order they are tried.
    pub turns: Vec<ScriptedTurn>,
}

/// Turns that do not fit together. Nothing of their script was added.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    #[error("two turns are called `{id}`; each id names one turn")]
    DuplicateId { id: String },
    #[error("turn `{turn}` is for lane `{lane}`, which nothing declares; lanes: {known}")]
    UnknownLane {
        turn: String,
        lane: String,
        known: String,
    },
    #[error(
        "turn `{turn}` names two lanes, `{beside}` beside its match and `{inside}` in it; keep one"
    )]
    TwoLanes {
        turn: String,
        beside: String,
        inside: String,
    },
    #[error("lane `{lane}` is declared twice, with different rules")]
    TwoRules { lane: String },
    #[error(
        "lane `{lane}` claims every request; give it a condition, e.g. `system`, `model`, `header` or `tools`"
    )]
    EmptyRule { lane: String },
    #[error(
        "lane `main` takes what no other lane claims and has no conditions of its own; call the lane something else"
    )]
    MainLane,
    #[error("turn `{turn}` answers nothing; give it a `response`, a `fault`, or both")]
    NoAnswer { turn: String },
    #[error(
        "the fault of turn `{turn}` has a `times`, but no response comes after it; say beside the fault how often the turn is asked: `times`"
    )]
    FaultAlone { turn: String },
    #[error("the fault of turn `{turn}` is `{word}`, which can befall the storage only")]
    ForeignFault { turn: String, word: &'static str },
    #[error("two faults are called `{fault}`; each id names one fault")]
    DuplicateFault { fault: String },
    #[error("fault `{fault}` is for lane `{lane}`, which nothing declares; lanes: {known}")]
    FaultLane {
        fault: String,
        lane: String,
        known: String,
    },
    #[error("turn `{turn}`: {fault}")]
    Template {
        turn: String,
        fault: InvalidTemplate,
    },
}

impl ScriptError {
    /// The turn that does not fit.
    #[must_use]
    pub fn turn(&self) -> Option<&str> {
        match self {
            Self::DuplicateId { id: turn }
            | Self::UnknownLane { turn, .. }
            | Self::TwoLanes { turn, .. }
            | Self::NoAnswer { turn }
            | Self::FaultAlone { turn }
            | Self::ForeignFault { turn, .. }
            | Self::Template { turn, .. } => Some(turn),
            Self::TwoRules { .. }
            | Self::EmptyRule { .. }
            | Self::MainLane
            | Self::DuplicateFault { .. }
            | Self::FaultLane { .. } => None,
        }
    }

    /// The fault beside the turns that does not fit.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        match self {
            Self::DuplicateFault { fault } | Self::FaultLane { fault, .. } => Some(fault),
            Self::DuplicateId { .. }
            | Self::UnknownLane { .. }
            | Self::TwoLanes { .. }
            | Self::TwoRules { .. }
            | Self::EmptyRule { .. }
            | Self::MainLane
            | Self::NoAnswer { .. }
            | Self::FaultAlone { .. }
            | Self::ForeignFault { .. }
            | Self::Template { .. } => None,
        }
    }
}

impl Script {
    /// Whether scripts fit together, added in this order.
    ///
    /// # Errors
    /// The first turn or lane that does not fit.
    pub fn rehearse(scripts: &[Self]) -> Result<(), ScriptError> {
        let nothing = Repertoire::default();
        let add = |repertoire: Repertoire, script: &Self| repertoire.with(script.clone());
        scripts.iter().try_fold(nothing, add).map(drop)
    }

    /// The API keys that are written here in clear.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        let keys = self.lanes.values().filter_map(|lane| lane.key.as_ref());
        let passing = self.services.keys.iter().flat_map(Keys::in_clear);
        keys.filter_map(KeyPattern::in_clear).chain(passing)
    }

    #[must_use]
    pub fn of(turns: Vec<ScriptedTurn>) -> Self {
        Self {
            turns,
            ..Self::default()
        }
    }

    /// No turns, but what goes wrong with those that are there.
    #[must_use]
    pub fn of_faults(faults: Vec<FaultRule>) -> Self {
        Self {
            faults,
            ..Self::default()
        }
    }

    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..self
        }
    }
}
