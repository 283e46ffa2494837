//! What is to go wrong with a turn, and how often.

use std::sync::Arc;

use crate::llm::score::tally::Tally;
use crate::llm::script::ScriptError;
use crate::llm::script::fault::{Fault, ScriptedFault};
use crate::llm::script::turn::{Any, ScriptedTurn, Times};
use crate::llm::script::wording::NumberOr;

/// The fault of a turn, and how often it comes; the tally knows how often it came.
#[derive(Debug)]
pub(crate) struct Doom {
    fault: Arc<Fault>,
    times: Times,
    /// Whether what it breaks is said all the same: all of it comes late, or no other
    /// answer ever comes.
    counts: bool,
}

/// What is to go wrong with one answer.
#[derive(Clone, Debug)]
pub(crate) struct Mishap {
    pub(crate) fault: Arc<Fault>,
    /// Whether the turn counts as said.
    pub(crate) counts: bool,
    /// The rule that has it come to this request; without one it is the turn's own.
    pub(crate) rule: Option<Arc<str>>,
}

impl Doom {
    pub(crate) fn of(turn: &str, scripted: &ScriptedTurn) -> Result<Option<Self>, ScriptError> {
        let turn = || turn.to_owned();
        let Some(ScriptedFault { times, fault }) = scripted.fault.clone() else {
            return match scripted.response {
                Some(_) => Ok(None),
                None => Err(ScriptError::NoAnswer { turn: turn() }),
            };
        };
        if !fault.is_the_models() {
            return Err(ScriptError::ForeignFault {
                turn: turn(),
                word: fault.word(),
            });
        }
        let is_alone = scripted.response.is_none();
        if is_alone && times.is_some() {
            return Err(ScriptError::FaultAlone { turn: turn() });
        }
        let times = match times {
            _ if is_alone => Times::Word(Any::Any),
            Some(times) => times,
            None => Times::default(),
        };
        Ok(Some(Self {
            counts: times == Times::Word(Any::Any)
                || fault.lets_all_through(scripted.hold.is_some()),
            fault: Arc::new(fault),
            times,
        }))
    }

    /// What goes wrong now that the turn is said.
    pub(crate) fn befall(&self, tally: &Tally) -> Option<Mishap> {
        let limit = match self.times {
            NumberOr::Number(times) => Some(times.get()),
            NumberOr::Word(_any) => None,
        };
        tally.break_down(limit).then(|| Mishap {
            fault: Arc::clone(&self.fault),
            counts: self.counts,
            rule: None,
        })
    }
}
