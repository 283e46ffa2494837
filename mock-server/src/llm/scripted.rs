//! The model itself: takes a request, finds its turn, and keeps the score.
//!
//! One lock around the score and the journal's line about it, so that requests are
//! numbered in the order in which they were answered. Nothing is awaited under it.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::dialect::{Dialect, Refused};
use super::gates::{Gates, UnknownGate};
use super::lane::Origin;
use super::lines::{Occasion, Reply};
use super::miss;
use super::performance::Performance;
use super::protocol::{self, Violation};
use super::question::Question;
use super::record;
use super::repertoire::{Repertoire, Turn};
use super::request::ChatBody;
use super::script::{Script, ScriptError};
use super::turn::Times;
use crate::journal::Journal;

/// When a scenario happens of which nobody has told the time: 2026-01-05T09:00:00Z.
const USUAL_TIME: i64 = 1_767_603_600;

/// A handle to the scripted model.
#[derive(Clone, Debug)]
pub struct ScriptedLlm {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    journal: Journal,
    seed: u64,
    score: Mutex<Score>,
}

/// What has happened so far.
#[derive(Debug, Default)]
struct Score {
    repertoire: Repertoire,
    gates: Gates,
    asked: u64,
    unfinished: Vec<Unfinished>,
    /// Arguments that the script sent and that are no JSON.
    broken_arguments: HashSet<String>,
}

/// An answer of which the client did not wait for the end.
#[derive(Debug)]
struct Unfinished {
    n: u64,
    asked: Asked,
    reply: Arc<Reply>,
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) dialect: Dialect,
    pub(crate) lane: Option<String>,
    pub(crate) body: Bytes,
}

/// A request that gets no answer, and why.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) refused: Refused,
    pub(crate) report: String,
}

/// A turn that should have been said, and was not often enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnsaidTurn {
    pub turn: String,
    pub lane: String,
    /// How often it was said.
    pub said: u32,
    /// How often it should have been.
    pub times: Times,
}

impl ScriptedLlm {
    pub(crate) fn new(journal: Journal, seed: u64) -> Self {
        Self {
            inner: Arc::new(Inner {
                journal,
                seed,
                score: Mutex::default(),
            }),
        }
    }

    /// Adds turns behind those that are there.
    ///
    /// # Errors
    /// Turns that do not fit together or to those that are there; then none is added.
    pub fn add(&self, script: Script) -> Result<(), ScriptError> {
        let mut score = self.score();
        let known = score.repertoire.turns().len();
        score.repertoire.add(script)?;
        let Score {
            repertoire, gates, ..
        } = &mut *score;
        let added = &repertoire.turns()[known..];
        added
            .iter()
            .filter_map(|turn| turn.hold.as_deref())
            .for_each(|gate| gates.add(gate));
        Ok(())
    }

    /// Opens a gate for good; returns how many answers waited at it.
    ///
    /// # Errors
    /// No turn names the gate.
    pub fn release(&self, gate: &str) -> Result<usize, UnknownGate> {
        let score = self.score();
        let waited = score.gates.release(gate)?;
        self.note("llm.released", json!({ "gate": gate, "waited": waited }));
        Ok(waited)
    }

    /// The gates at which an answer waits now.
    #[must_use]
    pub fn waiting(&self) -> Vec<String> {
        self.score().gates.waiting()
    }

    /// The turns that are still owed; a finished scenario has none.
    #[must_use]
    pub fn unsaid(&self) -> Vec<UnsaidTurn> {
        let score = self.score();
        let turns = score.repertoire.turns().iter();
        turns
            .filter(|turn| turn.is_owed())
            .map(UnsaidTurn::from)
            .collect()
    }

    /// Forgets script, score and gates. Answers that wait go on.
    pub(crate) fn reset(&self) {
        let forgotten = std::mem::take(&mut *self.score());
        forgotten.gates.release_all();
    }

    /// Lets every answer go on that waits.
    pub(crate) fn release_all(&self) {
        self.score().gates.release_all();
    }

    /// Finds the answer to a request.
    pub(crate) fn answer(&self, asked: Asked) -> Result<Performance, Refusal> {
        let mut score = self.score();
        score.asked += 1;
        let n = score.asked;
        let mut body: ChatBody = match serde_json::from_slice(&asked.body) {
            Ok(body) => body,
            Err(fault) => {
                let fault = fault.to_string();
                return Err(self.complain(n, Violation::NotARequest { fault }.into()));
            }
        };
        let (mut fields, decided) = self.decide(&mut score, n, &asked, &body);
        fields.insert(
            "messages".to_owned(),
            std::mem::take(&mut body.messages).into(),
        );
        self.inner.journal.write("llm.request", fields);
        let part = decided.map_err(|refusal| self.complain(n, refusal))?;
        if let Some(of) = part.retry_of {
            self.note(
                "llm.retry",
                json!({ "n": n, "of": of, "turn": &*part.reply.turn }),
            );
        }
        Ok(Performance::new(self.clone(), n, asked, part, &body))
    }

    /// What to journal about the request, and what becomes of it.
    fn decide(
        &self,
        score: &mut Score,
        n: u64,
        asked: &Asked,
        body: &ChatBody,
    ) -> (Map<String, Value>, Result<Part, Refusal>) {
        let mut fields = record::heading(n, asked, body);
        let decided = Question::read(body)
            .map_err(Refusal::from)
            .and_then(|mut question| {
                let lane = score.repertoire.lane_of(&Origin {
                    header: asked.lane.as_deref(),
                    model: &question.model,
                    system: question.system.as_ref(),
                });
                question.lane = lane.to_owned();
                record::describe(&question, &mut fields);
                self.choose(score, n, asked, &question)
            });
        (fields, decided)
    }

    /// Chooses the turn and counts it as said.
    fn choose(
        &self,
        score: &mut Score,
        n: u64,
        asked: &Asked,
        question: &Question<'_>,
    ) -> Result<Part, Refusal> {
        protocol::check(question, &score.broken_arguments)?;
        if let Some(part) = score.again(asked) {
            return Ok(part);
        }
        let place = score.repertoire.choose(question).ok_or_else(|| Refusal {
            refused: Refused::Unscripted,
            report: miss::report(n, question, &score.repertoire),
        })?;
        self.say(score, place, asked.dialect, question)
    }

    fn say(
        &self,
        score: &mut Score,
        place: usize,
        dialect: Dialect,
        question: &Question<'_>,
    ) -> Result<Part, Refusal> {
        let turn = score.repertoire.turn(place);
        check_offered(turn, question)?;
        let occasion = Occasion {
            dialect,
            seed: self.inner.seed,
            created: self
                .inner
                .journal
                .now()
                .map_or(USUAL_TIME, jiff::Timestamp::as_second),
            turn: &turn.id,
            before: turn.said,
            stream: score.repertoire.stream(place),
        };
        let reply = score.repertoire.say(place, question, &occasion);
        let reply = reply.map_err(|fault| Refusal {
            refused: Refused::Unscripted,
            report: format!("turn `{}` cannot be said: {fault}", turn.id),
        })?;
        let gate = turn.hold.clone();
        score.repertoire.count(place);
        score.remember_broken(&reply);
        Ok(Part {
            reply: Arc::new(reply),
            gate,
            retry_of: None,
        })
    }

    /// What to wait for before the answer may go on.
    pub(crate) fn arrive(&self, n: u64, gate: &str) -> Option<CancellationToken> {
        let opened = self.score().gates.arrive(gate)?;
        self.note("llm.held", json!({ "n": n, "gate": gate }));
        Some(opened)
    }

    pub(crate) fn leave(&self, gate: &str) {
        self.score().gates.leave(gate);
    }

    /// The client went away: if it asks the same again, it is to get the same again.
    pub(crate) fn abandoned(&self, n: u64, asked: &Asked, reply: &Arc<Reply>) {
        self.note("llm.aborted", json!({ "n": n, "turn": &*reply.turn }));
        self.score().unfinished.push(Unfinished {
            n,
            asked: asked.clone(),
            reply: Arc::clone(reply),
        });
    }

    pub(crate) fn note(&self, event: &'static str, fields: Value) {
        if let Value::Object(fields) = fields {
            self.inner.journal.write(event, fields);
        }
    }

    fn complain(&self, n: u64, refusal: Refusal) -> Refusal {
        self.note(
            "llm.unexpected",
            json!({ "n": n, "report": refusal.report }),
        );
        refusal
    }

    fn score(&self) -> MutexGuard<'_, Score> {
        self.inner
            .score
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A turn that was chosen, on its way to the client.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) reply: Arc<Reply>,
    pub(crate) gate: Option<String>,
    retry_of: Option<u64>,
}

impl Score {
    fn again(&mut self, asked: &Asked) -> Option<Part> {
        let place = self
            .unfinished
            .iter()
            .position(|unfinished| unfinished.asked == *asked)?;
        let unfinished = self.unfinished.remove(place);
        let mut turns = self.repertoire.turns().iter();
        let turn = turns.find(|turn| turn.id == unfinished.reply.turn);
        Some(Part {
            gate: turn.and_then(|turn| turn.hold.clone()),
            reply: unfinished.reply,
            retry_of: Some(unfinished.n),
        })
    }

    fn remember_broken(&mut self, reply: &Reply) {
        let is_broken =
            |arguments: &&String| serde_json::from_str::<serde::de::IgnoredAny>(arguments).is_err();
        let arguments = reply.calls.iter().map(|call| &call.arguments);
        self.broken_arguments
            .extend(arguments.filter(is_broken).cloned());
    }
}

fn check_offered(turn: &Turn, question: &Question<'_>) -> Result<(), Violation> {
    let mut called = turn.lines.tools();
    match called.find(|tool| !question.tools.contains(tool)) {
        None => Ok(()),
        Some(tool) => Err(Violation::NotOffered {
            turn: turn.id.to_string(),
            tool: tool.to_owned(),
            offered: if question.tools.is_empty() {
                "no tools".to_owned()
            } else {
                question.tools.join(", ")
            },
        }),
    }
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self {
            refused: Refused::Malformed,
            report: violation.to_string(),
        }
    }
}

impl From<&Turn> for UnsaidTurn {
    fn from(turn: &Turn) -> Self {
        Self {
            turn: turn.id.to_string(),
            lane: turn.lane.clone(),
            said: turn.said,
            times: turn.times,
        }
    }
}

impl fmt::Display for UnsaidTurn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "turn `{}` (lane {}) was said {} of {} times",
            self.turn, self.lane, self.said, self.times
        )
    }
}
