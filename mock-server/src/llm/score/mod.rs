//! The state of a performance: what may still be said, what was, and who waits where.
//!
//! Plain code without a clock or a socket; whoever holds it decides one request at a time.

pub(crate) mod gates;
pub(crate) mod ids;
pub(crate) mod lines;
mod miss;
pub(crate) mod repertoire;

pub use gates::UnknownGate;

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::llm::dialect::{Dialect, Refused};
use crate::llm::question::Question;
use crate::llm::question::protocol::{self, BrokenArguments, Rules, Violation};
use crate::llm::score::gates::Gates;
use crate::llm::score::lines::{Occasion, Reply};
use crate::llm::score::repertoire::{Mishap, Repertoire, Turn};
use crate::llm::script::lane::Origin;
use crate::llm::script::lenient::WireRule;
use crate::llm::script::{Script, ScriptError};
use crate::llm::services::Letterhead;
use crate::llm::services::routing::Route;

#[derive(Debug, Default)]
pub(crate) struct Score {
    repertoire: Repertoire,
    pub(crate) gates: Gates,
    unfinished: Vec<Unfinished>,
    broken_arguments: BrokenArguments,
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) dialect: Dialect,
    pub(crate) lane: Option<String>,
    pub(crate) letterhead: Letterhead,
    pub(crate) body: Bytes,
}

/// When a request came, and what ids are made of.
#[derive(Debug)]
pub(crate) struct Moment {
    pub(crate) n: u64,
    pub(crate) seed: u64,
    pub(crate) created: i64,
    pub(crate) route: Option<Arc<Route>>,
}

/// A turn that was chosen, on its way to the client.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) reply: Arc<Reply>,
    pub(crate) gate: Option<String>,
    /// The request that got this answer before and did not hear its end.
    pub(crate) retry_of: Option<u64>,
    /// What goes wrong.
    pub(crate) mishap: Option<Mishap>,
}

/// Why a turn is still owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Owing {
    /// Nobody asked for it, or not often enough.
    Unasked,
    /// Its answer waits at a gate, or waited there when its client went away.
    Held { gate: String },
    /// Its client went away before the end.
    Undelivered,
}

/// A request that gets no answer, and why.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) refused: Refused,
    pub(crate) report: String,
    /// For who reads the journal: what a script says that wants the request.
    pub(crate) way_out: Option<String>,
}

/// An answer of which the client did not wait for the end.
#[derive(Debug)]
struct Unfinished {
    n: u64,
    asked: Asked,
    reply: Arc<Reply>,
}

impl Score {
    pub(crate) fn add(&mut self, script: Script) -> Result<(), ScriptError> {
        let known = self.repertoire.turns().len();
        self.repertoire.add(script)?;
        let added = self.repertoire.turns().iter().skip(known);
        let gates = added.filter_map(|turn| turn.hold.as_deref());
        gates.for_each(|gate| self.gates.add(gate));
        Ok(())
    }

    /// The turns that are still owed, and what keeps each.
    pub(crate) fn owed(&self) -> impl Iterator<Item = (&Turn, Owing)> {
        let owed = self.repertoire.turns().iter().filter(|turn| turn.is_owed());
        owed.map(|turn| (turn, self.owing(turn)))
    }

    fn owing(&self, turn: &Turn) -> Owing {
        let shut = turn.hold.as_ref().filter(|gate| !self.gates.is_open(gate));
        match (turn.is_used_up(), shut) {
            (false, _) => Owing::Unasked,
            (true, Some(gate)) => Owing::Held { gate: gate.clone() },
            (true, None) => Owing::Undelivered,
        }
    }

    /// The first of several models that some turn asks for, else the first.
    pub(crate) fn model_of<'a>(
        &self,
        mut candidates: impl Iterator<Item = &'a str> + Clone,
    ) -> Option<String> {
        let first = candidates.clone().next();
        let scripted = candidates.find(|model| self.repertoire.names_model(model));
        scripted.or(first).map(str::to_owned)
    }

    /// The last byte of a turn was handed over.
    pub(crate) fn deliver(&mut self, turn: &Arc<str>) {
        self.repertoire.deliver(turn);
    }

    /// Puts the question in its lane, chooses the turn and counts it as said.
    pub(crate) fn answer(
        &mut self,
        asked: &Asked,
        question: &mut Question<'_>,
        moment: &Moment,
    ) -> Result<Part, Refusal> {
        let lane = self.repertoire.lane_of(&Origin {
            header: asked.lane.as_deref(),
            model: &question.model,
            system: question.system.as_ref(),
        });
        question.lane = lane.to_owned();
        question.given = Arc::clone(&self.repertoire.given);
        let rules = Rules {
            dialect: asked.dialect,
            lenience: &self.repertoire.lenience,
            scripted: &self.broken_arguments,
            length: asked.body.len(),
        };
        protocol::check(question, rules)?;
        if let Some(part) = self.again(asked) {
            return Ok(part);
        }
        let place = self.repertoire.choose(question).ok_or_else(|| Refusal {
            refused: Refused::Unscripted,
            report: miss::report(moment.n, question, &self.repertoire),
            way_out: None,
        })?;
        self.say(place, asked.dialect, question, moment)
    }

    /// Keeps an answer for a client that may ask for it again.
    pub(crate) fn keep(&mut self, n: u64, asked: Asked, reply: Arc<Reply>) {
        self.unfinished.push(Unfinished { n, asked, reply });
    }

    fn again(&mut self, asked: &Asked) -> Option<Part> {
        let same = |unfinished: &Unfinished| unfinished.asked == *asked;
        let place = self.unfinished.iter().position(same)?;
        let unfinished = self.unfinished.remove(place);
        let turn = self.repertoire.find(&unfinished.reply.turn);
        Some(Part {
            gate: turn.as_ref().and_then(|turn| turn.hold.clone()),
            mishap: turn.and_then(Turn::befall),
            reply: unfinished.reply,
            retry_of: Some(unfinished.n),
        })
    }

    fn say(
        &mut self,
        place: usize,
        dialect: Dialect,
        question: &Question<'_>,
        moment: &Moment,
    ) -> Result<Part, Refusal> {
        let turn = self.repertoire.turn(place);
        if self.repertoire.lenience.minds(WireRule::UnknownTool) {
            check_offered(turn, question)?;
        }
        let occasion = Occasion {
            dialect,
            seed: moment.seed,
            created: moment.created,
            turn: &turn.id,
            before: turn.said,
            stream: self.repertoire.stream(place),
            route: moment.route.as_ref(),
        };
        let reply = self.repertoire.say(place, question, &occasion);
        let reply = reply.map_err(|fault| Refusal {
            refused: Refused::Unscripted,
            report: format!("turn `{}` cannot be said: {fault}", turn.id),
            way_out: None,
        })?;
        let gate = turn.hold.clone();
        let mishap = self.repertoire.count(place);
        for (place, call) in reply.calls.iter().enumerate() {
            self.broken_arguments.sent(&call.arguments);
            self.repertoire.given.note(&reply.turn, place, &call.id);
        }
        Ok(Part {
            reply: Arc::new(reply),
            gate,
            retry_of: None,
            mishap,
        })
    }
}

fn check_offered(turn: &Turn, question: &Question<'_>) -> Result<(), Violation> {
    let mut called = turn.lines.tools();
    let Some(tool) = called.find(|tool| !question.tools.contains(tool)) else {
        return Ok(());
    };
    let offered = if question.tools.is_empty() {
        "no tools".to_owned()
    } else {
        question.tools.join(", ")
    };
    Err(Violation::NotOffered {
        turn: turn.id.to_string(),
        tool: tool.to_owned(),
        offered,
    })
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self {
            refused: Refused::Malformed,
            report: violation.to_string(),
            way_out: violation.rule().map(|rule| {
                format!(
                    "a script that wants this says `lenient: [{}]`",
                    rule.as_str()
                )
            }),
        }
    }
}
