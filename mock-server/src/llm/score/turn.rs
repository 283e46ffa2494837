//! A turn of the script, ready to be said, and the receipt for having said it.

use std::sync::Arc;

use crate::llm::score::doom::{Doom, Mishap};
use crate::llm::score::lines::Lines;
use crate::llm::score::tally::Tally;
use crate::llm::script::lane::MAIN_LANE;
use crate::llm::script::stream::StreamShape;
use crate::llm::script::turn::{Any, Clauses, Times};

/// A turn, ready to be said.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) id: Arc<str>,
    /// Its place among all turns, in the order of the scripts.
    pub(crate) place: usize,
    pub(crate) lane: Arc<str>,
    pub(crate) clauses: Clauses,
    pub(crate) lines: Lines,
    pub(crate) times: Times,
    pub(crate) hold: Option<String>,
    pub(crate) optional: bool,
    pub(crate) stream: StreamShape,
    pub(crate) fault: Option<Doom>,
}

/// Which turn was said, and where to count that it was heard to its end.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    pub(crate) turn: Arc<Turn>,
    pub(crate) tally: Arc<Tally>,
}

impl Turn {
    /// A turn that is never tried: it says nothing, as often as somebody wants that.
    pub(crate) fn silent(id: Arc<str>) -> Self {
        Self {
            id,
            place: 0,
            lane: MAIN_LANE.into(),
            clauses: Clauses::default(),
            lines: Lines::default(),
            times: Times::Word(Any::Any),
            hold: None,
            optional: true,
            stream: StreamShape::default(),
            fault: None,
        }
    }

    /// What goes wrong now that the turn is to be said.
    pub(crate) fn befall(&self, tally: &Tally) -> Option<Mishap> {
        self.fault.as_ref().and_then(|fault| fault.befall(tally))
    }
}

impl Receipt {
    pub(crate) fn befall(&self) -> Option<Mishap> {
        self.turn.befall(&self.tally)
    }
}
