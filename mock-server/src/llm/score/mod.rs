//! The state of a performance: what may still be said, what was, and who waits where.
//!
//! Plain code without a clock or a socket. Many requests are decided at once: what they
//! read does not change, and what they count is counted without a lock.

mod asked;
pub(crate) mod doom;
mod finder;
pub(crate) mod gates;
pub(crate) mod ids;
mod lane;
pub(crate) mod lines;
mod miss;
pub(crate) mod repertoire;
pub(crate) mod strikes;
mod tally;
pub(crate) mod turn;
mod unfinished;

pub(crate) use asked::Asked;
pub use gates::UnknownGate;
pub(crate) use lane::Debt;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use crate::llm::dialect::Refused;
use crate::llm::question::Question;
use crate::llm::question::given::Called;
use crate::llm::question::protocol::{self, BrokenArguments, Rules, Violation};
use crate::llm::score::doom::Mishap;
use crate::llm::score::gates::Gates;
use crate::llm::score::lane::Lane;
use crate::llm::score::lines::{Occasion, Reply};
use crate::llm::score::repertoire::Repertoire;
use crate::llm::score::strikes::{Strike, Strikes};
use crate::llm::score::tally::Tally;
use crate::llm::score::turn::{Receipt, Turn};
use crate::llm::score::unfinished::Unfinished;
use crate::llm::script::lenient::WireRule;
use crate::llm::script::origin::{Origin, session_in};
use crate::llm::script::{Script, ScriptError};
use crate::llm::services::routing::Route;

#[derive(Debug, Default)]
pub(crate) struct Score {
    repertoire: ArcSwap<Repertoire>,
    /// Held by who makes another repertoire of this one; who reads it does not wait.
    writing: Mutex<()>,
    /// Only who comes to a gate, or opens one, stands here.
    gates: Mutex<Gates>,
    unfinished: Unfinished,
    broken_arguments: BrokenArguments,
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

impl Part {
    /// Whether all of it arrives, though something may go wrong.
    pub(crate) fn arrives_whole(&self) -> bool {
        let lets_through = |mishap: &Mishap| mishap.fault.lets_all_through(self.gate.is_some());
        self.mishap.as_ref().is_none_or(lets_through)
    }
}

/// Why a turn is still owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

impl Score {
    pub(crate) fn add(&self, script: Script) -> Result<(), ScriptError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let repertoire = self.repertoire.load().with(script)?;
        let mut gates = self.gates();
        let held = repertoire.turns().filter_map(|turn| turn.hold.as_deref());
        held.for_each(|gate| gates.add(gate));
        self.repertoire.store(Arc::new(repertoire));
        Ok(())
    }

    /// Forgets everything. Answers that wait go on.
    pub(crate) fn reset(&self) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.repertoire.store(Arc::default());
        self.unfinished.forget();
        self.broken_arguments.forget();
        std::mem::take(&mut *self.gates()).release_all();
    }

    pub(crate) fn gates(&self) -> MutexGuard<'_, Gates> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turns that are still owed, and what keeps each.
    pub(crate) fn owed(&self) -> Vec<(Debt, Owing)> {
        let gates = self.gates();
        let owing = |debt: &Debt| {
            let shut = debt.turn.hold.as_ref().filter(|gate| !gates.is_open(gate));
            match (debt.tally.said() >= debt.wanted, shut) {
                (false, _) => Owing::Unasked,
                (true, Some(gate)) => Owing::Held { gate: gate.clone() },
                (true, None) => Owing::Undelivered,
            }
        };
        let debts = self.repertoire.load().debts().into_iter();
        debts
            .map(|debt| {
                let owing = owing(&debt);
                (debt, owing)
            })
            .collect()
    }

    /// The rules by which something goes wrong, in the order in which they were put in.
    pub(crate) fn strikes(&self) -> Strikes {
        self.repertoire.load().strikes.clone()
    }

    /// The first of several models that some turn asks for, else the first.
    pub(crate) fn model_of<'a>(
        &self,
        mut candidates: impl Iterator<Item = &'a str> + Clone,
    ) -> Option<String> {
        let first = candidates.clone().next();
        let repertoire = self.repertoire.load();
        let scripted = candidates.find(|model| repertoire.names_model(model));
        scripted.or(first).map(str::to_owned)
    }

    /// Puts the question in its lane, chooses the turn and counts it as said.
    pub(crate) fn answer<'a>(
        &self,
        asked: &'a Asked,
        question: &mut Question<'a>,
        moment: &Moment,
    ) -> Result<Part, Refusal> {
        let repertoire = self.repertoire.load();
        question.conversation = question.conversation.or(session_in(&asked.headers));
        question.given = Arc::clone(&repertoire.given);
        let lane = lane_of(&repertoire, asked, question)?;
        (*lane.name).clone_into(&mut question.lane);
        let rules = Rules {
            dialect: asked.dialect,
            lenience: &repertoire.lenience,
            scripted: &self.broken_arguments,
            length: asked.body.len(),
        };
        protocol::check(question, rules)?;
        let strike = repertoire.strikes.strike(question).map(|rule| &**rule);
        if let Some(part) = self.again(asked, question, strike) {
            strike.into_iter().for_each(Strike::came);
            return Ok(part);
        }
        let stand = Stand {
            repertoire: &repertoire,
            lane,
            conversation: question.conversation.filter(|_| lane.is_per_conversation()),
            strike,
        };
        let part = stand.answer(asked, question, moment)?;
        strike.into_iter().for_each(Strike::came);
        for (place, call) in part.reply.calls.iter().enumerate() {
            self.broken_arguments.sent(&call.arguments);
            let called = Called {
                id: &call.id,
                tool: &call.name,
                arguments: &call.arguments,
            };
            question.given.note(&part.reply.turn, place, called);
        }
        Ok(part)
    }

    /// Keeps an answer for a client that may ask for it again, unless its script was
    /// forgotten meanwhile.
    pub(crate) fn keep(&self, n: u64, asked: Asked, reply: Arc<Reply>) {
        let repertoire = self.repertoire.load();
        let is_known = repertoire
            .lanes()
            .any(|lane| lane.holds(&reply.receipt.turn));
        if is_known {
            self.unfinished.keep(n, asked, reply);
        }
    }

    fn again(
        &self,
        asked: &Asked,
        question: &Question<'_>,
        strike: Option<&Strike>,
    ) -> Option<Part> {
        let answer = self.unfinished.take(asked, question)?;
        let receipt = &answer.reply.receipt;
        let mishap = befall(receipt, strike);
        if mishap.as_ref().is_some_and(|mishap| !mishap.counts) {
            // It was said already, and is to be heard after this.
            self.keep(answer.n, asked.clone(), Arc::clone(&answer.reply));
        }
        Some(Part {
            gate: receipt.turn.hold.clone(),
            mishap,
            retry_of: Some(answer.n),
            reply: answer.reply,
        })
    }
}

fn lane_of<'r>(
    repertoire: &'r Repertoire,
    asked: &Asked,
    question: &Question<'_>,
) -> Result<&'r Lane, Refusal> {
    let origin = Origin {
        headers: &asked.headers,
        question,
    };
    let unscripted = |report| Refusal {
        refused: Refused::Unscripted,
        report,
        way_out: None,
    };
    let lane = repertoire.lane_of(origin);
    let lane = lane.ok_or_else(|| unscripted("there is no lane for this request".to_owned()))?;
    if lane.is_per_conversation() && question.conversation.is_none() {
        return Err(unscripted(format!(
            "lane `{}` is per conversation, and this request does not say which it is of; send `prompt_cache_key`, `session_id`, `user` or the header `x-session-id`",
            lane.name
        )));
    }
    Ok(lane)
}

/// Where an answer is looked for.
struct Stand<'a> {
    repertoire: &'a Repertoire,
    lane: &'a Lane,
    /// The conversation that has the turns of the lane for itself.
    conversation: Option<&'a str>,
    /// The rule that has something go wrong now.
    strike: Option<&'a Strike>,
}

impl Stand<'_> {
    fn answer(
        &self,
        asked: &Asked,
        question: &Question<'_>,
        moment: &Moment,
    ) -> Result<Part, Refusal> {
        let tallies = self.lane.tallies(self.conversation);
        loop {
            let receipt = self
                .lane
                .choose(question, &tallies)
                .or_else(|| self.strike.and_then(Strike::silence))
                .ok_or_else(|| Refusal {
                    refused: Refused::Unscripted,
                    report: miss::report(moment.n, question, self.repertoire, &tallies),
                    way_out: None,
                })?;
            if self.repertoire.lenience.minds(WireRule::UnknownTool) {
                check_offered(&receipt.turn, question)?;
            }
            let limit = tallies.limit(receipt.turn.times);
            // Another request may have been faster; then this one looks again.
            if let Some((before, mishap)) = claim(&receipt, limit, self.strike) {
                let occasion = Occasion {
                    dialect: asked.dialect,
                    seed: moment.seed,
                    created: moment.created,
                    receipt: &receipt,
                    before,
                    conversation: self.conversation,
                    route: moment.route.as_ref(),
                };
                return self.say(question, &occasion, mishap);
            }
        }
    }

    fn say(
        &self,
        question: &Question<'_>,
        occasion: &Occasion<'_>,
        mishap: Option<Mishap>,
    ) -> Result<Part, Refusal> {
        let Receipt { turn, tally } = occasion.receipt;
        let reply = turn
            .lines
            .say(&self.repertoire.compiled, question, occasion);
        let reply = reply.map_err(|fault| {
            give_back(tally, mishap.as_ref());
            Refusal {
                refused: Refused::Unscripted,
                report: format!("turn `{}` cannot be said: {fault}", turn.id),
                way_out: None,
            }
        })?;
        Ok(Part {
            reply: Arc::new(reply),
            gate: turn.hold.clone(),
            retry_of: None,
            mishap,
        })
    }
}

/// Counts the turn as said, unless what goes wrong leaves it to be said later: how often it
/// was said before, and what goes wrong.
fn claim(
    receipt: &Receipt,
    limit: Option<u32>,
    strike: Option<&Strike>,
) -> Option<(u32, Option<Mishap>)> {
    let mishap = befall(receipt, strike);
    if mishap.as_ref().is_some_and(|mishap| !mishap.counts) {
        return Some((receipt.tally.said(), mishap));
    }
    let before = receipt.tally.claim(limit);
    if before.is_none() {
        mend(&receipt.tally, mishap.as_ref());
    }
    Some((before?, mishap))
}

/// What goes wrong with a turn that is to be said. Its own fault waits for its next time if
/// a rule strikes.
fn befall(receipt: &Receipt, strike: Option<&Strike>) -> Option<Mishap> {
    match strike {
        Some(strike) => Some(strike.befall(&receipt.turn)),
        None => receipt.befall(),
    }
}

/// The turn's own fault did not come after all.
fn mend(tally: &Tally, mishap: Option<&Mishap>) {
    if mishap.is_some_and(|mishap| mishap.rule.is_none()) {
        tally.mend();
    }
}

fn give_back(tally: &Tally, mishap: Option<&Mishap>) {
    if mishap.is_none_or(|mishap| mishap.counts) {
        tally.give_back();
    }
    mend(tally, mishap);
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
            refused: Refused::from(&violation),
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
