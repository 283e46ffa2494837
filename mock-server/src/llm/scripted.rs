//! The model itself: takes a request, has its turn found, and tells the journal.
//!
//! Reading and telling happen beside each other; only the score is behind a lock, and
//! nothing is awaited under it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::journal::Journal;
use crate::llm::delivery::Performance;
use crate::llm::dialect::{Dialect, Refused};
use crate::llm::oauth::OAuthAct;
use crate::llm::question::Question;
use crate::llm::question::protocol::Violation;
use crate::llm::question::record;
use crate::llm::question::request::ChatBody;
use crate::llm::score::gates::UnknownGate;
use crate::llm::score::lines::Reply;
use crate::llm::score::repertoire::Turn;
use crate::llm::score::{Asked, Moment, Owing, Part, Refusal, Score};
use crate::llm::script::turn::Times;
use crate::llm::script::{Script, ScriptError};
use crate::llm::services::Services;
use crate::llm::services::routing::{Order, Route};

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
    /// How many requests came so far.
    asked: AtomicU64,
    score: Mutex<Score>,
    services: Services,
}

/// A turn that should have been said to its end, and was not often enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnsaidTurn {
    pub turn: String,
    pub lane: String,
    /// How often it was said.
    pub said: u32,
    /// How often it should have been.
    pub times: Times,
    #[serde(flatten)]
    pub owing: Owing,
}

impl ScriptedLlm {
    pub(crate) fn new(journal: Journal, seed: u64) -> Self {
        Self {
            inner: Arc::new(Inner {
                services: Services::new(journal.clone(), seed),
                journal,
                seed,
                asked: AtomicU64::new(0),
                score: Mutex::default(),
            }),
        }
    }

    /// Adds turns behind those that are there.
    ///
    /// # Errors
    /// Turns that do not fit together or to those that are there; then none is added.
    pub fn add(&self, mut script: Script) -> Result<(), ScriptError> {
        let services = std::mem::take(&mut script.services);
        self.score().add(script)?;
        self.inner.services.add(services);
        Ok(())
    }

    /// A user acts on Kimi's login; returns how many devices and tokens that changes.
    pub fn oauth(&self, act: OAuthAct) -> usize {
        let changed = self.inner.services.act(act);
        let fields = json!({ "act": act.as_str(), "changed": changed });
        self.note("oauth.user", fields);
        changed
    }

    pub(crate) fn services(&self) -> &Services {
        &self.inner.services
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
        self.score().owed().map(UnsaidTurn::of).collect()
    }

    /// Forgets script, score and gates. Answers that wait go on.
    pub(crate) fn reset(&self) {
        let forgotten = std::mem::take(&mut *self.score());
        forgotten.gates.release_all();
        self.inner.services.reset();
    }

    /// Lets every answer go on that waits.
    pub(crate) fn release_all(&self) {
        self.score().gates.release_all();
    }

    /// Finds the answer to a request.
    pub(crate) fn answer(&self, asked: Asked) -> Result<Performance, Refusal> {
        let n = self.inner.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let mut body = asked.dialect.read(&asked.body).map_err(|fault| {
            let fault = fault.to_string();
            self.complain(n, Violation::NotARequest { fault }.into())
        })?;
        if asked.dialect == Dialect::OpenRouter && !body.models.is_empty() {
            let model = self.score().model_of(body.candidates());
            body.model = model.or(body.model);
        }
        let (mut fields, decided) = self.decide(n, &asked, &body);
        let messages = std::mem::take(&mut body.messages);
        fields.insert("messages".to_owned(), messages.into());
        self.inner.journal.write("llm.request", fields);
        let part = decided.map_err(|refusal| self.complain(n, refusal))?;
        if let Some(of) = part.retry_of {
            let turn = &*part.reply.turn;
            self.note("llm.retry", json!({ "n": n, "of": of, "turn": turn }));
        }
        Ok(Performance::new(self.clone(), n, asked, part, &body))
    }

    /// What to journal about the request, and what becomes of it.
    fn decide(
        &self,
        n: u64,
        asked: &Asked,
        body: &ChatBody,
    ) -> (Map<String, Value>, Result<Part, Refusal>) {
        let mut question = match Question::read(body) {
            Ok(question) => question,
            Err(violation) => return (record::envelope(n, asked, body), Err(violation.into())),
        };
        let created = self.inner.journal.now();
        let moment = Moment {
            n,
            seed: self.inner.seed,
            created: created.map_or(USUAL_TIME, jiff::Timestamp::as_second),
            route: match self.route(asked, body) {
                Ok(route) => route,
                Err(refusal) => return (record::envelope(n, asked, body), Err(refusal)),
            },
        };
        let decided = self.score().answer(asked, &mut question, &moment);
        let mut fields = record::envelope(n, asked, body);
        record::open(&question, &mut fields);
        (fields, decided)
    }

    /// OpenRouter looks for a way before anybody answers.
    fn route(&self, asked: &Asked, body: &ChatBody) -> Result<Option<Arc<Route>>, Refusal> {
        if asked.dialect != Dialect::OpenRouter {
            return Ok(None);
        }
        let order = Order {
            model: body.model.as_deref().unwrap_or_default(),
            wish: body.provider.as_ref(),
            streamed: body.wants_stream(),
            wants_metadata: asked.letterhead.wants_metadata,
        };
        let route = self.inner.services.route(&order);
        let route = route.map_err(|no_provider| Refusal {
            refused: Refused::NoProvider,
            report: no_provider.to_string(),
            way_out: None,
        })?;
        Ok(Some(Arc::new(route)))
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

    /// The last byte of an answer was handed over.
    pub(crate) fn delivered(&self, reply: &Reply) {
        self.score().deliver(&reply.turn);
        self.inner.services.delivered(reply);
    }

    /// The client went away: if it asks the same again, it is to get the same again.
    pub(crate) fn abandoned(&self, n: u64, asked: &Asked, reply: &Arc<Reply>) {
        // First kept, then told: who waits to be told may ask again at once.
        self.score().keep(n, asked.clone(), Arc::clone(reply));
        self.note("llm.aborted", json!({ "n": n, "turn": &*reply.turn }));
    }

    pub(crate) fn note(&self, event: &'static str, fields: Value) {
        if let Value::Object(fields) = fields {
            self.inner.journal.write(event, fields);
        }
    }

    fn complain(&self, n: u64, refusal: Refusal) -> Refusal {
        let report = match &refusal.way_out {
            None => refusal.report.clone(),
            Some(way_out) => format!("{}\n{way_out}", refusal.report),
        };
        self.note("llm.unexpected", json!({ "n": n, "report": report }));
        refusal
    }

    fn score(&self) -> MutexGuard<'_, Score> {
        self.inner
            .score
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnsaidTurn {
    fn of((turn, owing): (&Turn, Owing)) -> Self {
        Self {
            turn: turn.id.to_string(),
            lane: turn.lane.clone(),
            said: turn.said,
            times: turn.times,
            owing,
        }
    }
}

impl fmt::Display for UnsaidTurn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "turn `{}` (lane {}) was ", self.turn, self.lane)?;
        match &self.owing {
            Owing::Unasked => write!(out, "said {} of {} times", self.said, self.times),
            Owing::Held { gate } => write!(out, "held at `{gate}` and never released"),
            Owing::Undelivered => out.write_str("never delivered: its client went away"),
        }
    }
}
