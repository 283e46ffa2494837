//! The model itself: takes a request, has its turn found, and tells the journal.
//!
//! Requests are read, decided and told beside each other; none waits for another, unless
//! both stand at a gate.

mod fallback;
mod fault_count;

pub use fault_count::FaultCount;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::clock::Pace;
use crate::journal::Journal;
use crate::llm::delivery::paced::{Paced, TakesTime, Until};
use crate::llm::delivery::{Performance, Wishes};
use crate::llm::dialect::responses::Conversations;
use crate::llm::dialect::{Dialect, Refused};
use crate::llm::oauth::OAuthAct;
use crate::llm::question::Question;
use crate::llm::question::record::{Kept, Record};
use crate::llm::question::request::ChatBody;
use crate::llm::quota::Quotas;
use crate::llm::score::gates::UnknownGate;
use crate::llm::score::lines::Reply;
use crate::llm::score::{Asked, Debt, Moment, Owing, Part, Refusal, Score};
use crate::llm::script::limits::Limits;
use crate::llm::script::{Fault, Script, ScriptError};
use crate::llm::services::routing::{Order, Route};
use crate::llm::services::{Services, device, wants_metadata};
use crate::storage::Errand;

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
    score: Score,
    conversations: Conversations,
    paced: Paced,
    quotas: Quotas,
    services: Services,
    /// The server ends.
    curtain: CancellationToken,
}

/// A turn that should have been said to its end, and was not often enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsaidTurn {
    pub turn: String,
    pub lane: String,
    /// How often it was said.
    pub said: u32,
    /// How often it should have been.
    pub times: u32,
    /// The conversation that has the turn for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
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
                score: Score::default(),
                conversations: Conversations::default(),
                paced: Paced::default(),
                quotas: Quotas::default(),
                curtain: CancellationToken::new(),
            }),
        }
    }

    /// Adds turns behind those that are there.
    ///
    /// # Errors
    /// Turns that do not fit together or to those that are there; then none is added.
    pub fn add(&self, mut script: Script) -> Result<(), ScriptError> {
        for key in script.keys() {
            self.inner.journal.hide(key);
        }
        let limits = script.services.limits;
        let services = std::mem::take(&mut script.services);
        self.inner.score.add(script)?;
        self.inner.services.add(services);
        if let Some(limits) = limits {
            self.inner.quotas.set(limits);
        }
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
        let waited = self.inner.score.gates().release(gate)?;
        self.note("llm.released", json!({ "gate": gate, "waited": waited }));
        Ok(waited)
    }

    /// The gates at which an answer waits now.
    #[must_use]
    pub fn waiting(&self) -> Vec<String> {
        self.inner.score.gates().waiting()
    }

    /// The turns that are still owed; a finished scenario has none.
    #[must_use]
    pub fn unsaid(&self) -> Vec<UnsaidTurn> {
        let owed = self.inner.score.owed().into_iter();
        owed.map(UnsaidTurn::of).collect()
    }

    /// The faults beside the turns, and how often each came.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultCount> {
        let strikes = self.inner.score.strikes();
        let rules = strikes.rules().iter();
        rules.map(|rule| FaultCount::of(rule)).collect()
    }

    /// What goes wrong with a request to the storage, by which rule.
    pub(crate) fn befall_storage(&self, errand: &Errand) -> Option<(Arc<str>, Arc<Fault>)> {
        let strikes = self.inner.score.strikes();
        let strike = strikes.strike_storage(errand)?;
        strike.came();
        Some((Arc::clone(&strike.id), Arc::clone(strike.fault())))
    }

    /// Those of them that must come, and have not as often as they should.
    #[must_use]
    pub fn unfired(&self) -> Vec<FaultCount> {
        let mut faults = self.faults();
        faults.retain(FaultCount::is_owed);
        faults
    }

    /// Forgets script, score and gates. Answers that wait go on.
    pub(crate) fn reset(&self) {
        self.inner.score.reset();
        self.inner.quotas.set(Limits::default());
        self.inner.services.reset();
        self.inner.conversations.forget_all();
    }

    /// Lets every answer go on that waits or takes its time, and cuts off those that have
    /// stalled.
    pub(crate) fn release_all(&self) {
        self.inner.score.gates().release_all();
        self.inner.curtain.cancel();
    }

    /// How many answers will not come to their end before the clock of the scenario moves:
    /// they take their time on it, or have stalled.
    #[must_use]
    pub fn paced(&self) -> usize {
        self.inner.paced.count(self.inner.journal.now())
    }

    pub(crate) fn quotas(&self) -> &Quotas {
        &self.inner.quotas
    }

    pub(crate) fn conversations(&self) -> &Conversations {
        &self.inner.conversations
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.inner.journal
    }

    pub(crate) fn takes_time(&self, n: u64, until: Until) -> TakesTime {
        self.inner.paced.enter(n, until)
    }

    /// Waits until so much more has passed, or the server ends.
    pub(crate) async fn wait(&self, pace: &mut Pace, lapse: Duration) {
        tokio::select! {
            () = pace.wait(lapse) => {}
            () = self.curtain() => {}
        }
    }

    /// Waits for the end of the server.
    pub(crate) async fn curtain(&self) {
        self.inner.curtain.cancelled().await;
    }

    /// Finds the answer to a request.
    pub(crate) fn answer(&self, asked: Asked) -> Result<Performance, Refusal> {
        let n = self.inner.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let read = asked.dialect.read(&asked.body, &self.inner.conversations);
        let mut body = read.map_err(|violation| self.complain(n, violation.into()))?;
        let wishes = Wishes::of(&body);
        let (lane, decided) = self.decide_among(n, &asked, &mut body);
        if let Ok(part) = &decided
            && part.arrives_whole()
        {
            self.inner.conversations.keep(&body, &part.reply);
        }
        let record = Record {
            n,
            path: asked.uri.path().into(),
            device: device(&asked.headers),
            body: Kept::of(asked.dialect, &asked.body, body),
            lane,
        };
        let journal = &self.inner.journal;
        journal.write_later("llm.request", move || record.fields());
        let part = decided.map_err(|refusal| self.complain(n, refusal))?;
        if let Some(of) = part.retry_of {
            let turn = &*part.reply.turn;
            self.note("llm.retry", json!({ "n": n, "of": of, "turn": turn }));
        }
        if part.arrives_whole() {
            let usage = part.reply.usage;
            let tokens = usage.prompt.saturating_add(usage.completion);
            let quotas = &self.inner.quotas;
            quotas.spend(quotas.whose(&asked.headers).as_deref(), tokens);
        }
        Ok(Performance::new(self.clone(), n, asked, part, wishes))
    }

    /// The lane of the request, if it can be read, and what becomes of it.
    fn decide(
        &self,
        n: u64,
        asked: &Asked,
        body: &ChatBody,
    ) -> (Option<String>, Result<Part, Refusal>) {
        let mut question = match Question::read(body) {
            Ok(question) => question,
            Err(violation) => return (None, Err(violation.into())),
        };
        let created = self.inner.journal.now();
        let moment = Moment {
            n,
            seed: self.inner.seed,
            created: created.map_or(USUAL_TIME, jiff::Timestamp::as_second),
            route: match self.route(asked, body) {
                Ok(route) => route,
                Err(refusal) => return (None, Err(refusal)),
            },
        };
        let decided = self.inner.score.answer(asked, &mut question, &moment);
        (Some(question.lane), decided)
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
            wants_metadata: wants_metadata(&asked.headers),
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
        let opened = self.inner.score.gates().arrive(gate)?;
        self.note("llm.held", json!({ "n": n, "gate": gate }));
        Some(opened)
    }

    pub(crate) fn is_shut(&self, gate: &str) -> bool {
        !self.inner.score.gates().is_open(gate)
    }

    pub(crate) fn leave(&self, gate: &str) {
        self.inner.score.gates().leave(gate);
    }

    /// The last byte of an answer was handed over; it is paid for if it `is_whole`.
    pub(crate) fn delivered(&self, reply: &Reply, is_whole: bool) {
        reply.receipt.tally.deliver();
        if is_whole {
            self.inner.services.delivered(reply);
        }
    }

    /// The client went away: if it asks the same again, it is to get the same again. Not
    /// so if that was to be broken anyway; then nothing was `asked` that is not asked anew.
    pub(crate) fn abandoned(&self, n: u64, asked: Option<&Asked>, reply: &Arc<Reply>) {
        // First kept, then told: who waits to be told may ask again at once.
        if let Some(asked) = asked {
            self.inner.score.keep(n, asked.clone(), Arc::clone(reply));
        }
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
}

impl UnsaidTurn {
    fn of((debt, owing): (Debt, Owing)) -> Self {
        Self {
            turn: debt.turn.id.to_string(),
            lane: debt.turn.lane.to_string(),
            said: debt.tally.said(),
            times: debt.wanted,
            conversation: debt.conversation,
            owing,
        }
    }
}

impl fmt::Display for UnsaidTurn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "turn `{}` (lane {}", self.turn, self.lane)?;
        if let Some(conversation) = &self.conversation {
            write!(out, ", conversation `{conversation}`")?;
        }
        out.write_str(") was ")?;
        match &self.owing {
            Owing::Unasked => write!(out, "said {} of {} times", self.said, self.times),
            Owing::Held { gate } => write!(out, "held at `{gate}` and never released"),
            Owing::Undelivered => out.write_str("never delivered: its client went away"),
        }
    }
}
