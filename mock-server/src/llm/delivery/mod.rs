//! An answer under way to its client, from the choice of the turn to its last byte.
//!
//! It knows whether it came to its end: if it is dropped before, the client went away.

mod blanks;
mod course;
mod dress;
pub(crate) mod failure;
mod film;
pub(crate) mod paced;
mod playing;
mod reel;
mod respond;

pub(crate) use respond::respond;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::clock::Pace;
use crate::llm::delivery::course::Tempo;
use crate::llm::delivery::paced::{TakesTime, Until};
use crate::llm::dialect::Dialect;
use crate::llm::question::request::ChatBody;
use crate::llm::score::doom::Mishap;
use crate::llm::score::lines::{Call, Reply};
use crate::llm::score::{Asked, Part};
use crate::llm::script::fault::{Breaking, Emptiness, Fault};
use crate::llm::script::moment::FaultMoment;
use crate::llm::script::turn::FinishReason;
use crate::llm::scripted::ScriptedLlm;

/// What a model that only thinks thinks, if its turn does not say.
const IDLE_THOUGHT: &str = "Let me think.";

#[derive(Debug)]
pub(crate) struct Performance {
    llm: ScriptedLlm,
    n: u64,
    asked: Asked,
    reply: Arc<Reply>,
    gate: Option<String>,
    mishap: Option<Mishap>,
    pub(crate) wants_stream: bool,
    pub(crate) wants_usage: bool,
    is_over: bool,
    takes_time: Option<TakesTime>,
}

/// In which form an answer is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wishes {
    stream: bool,
    usage: bool,
}

impl Wishes {
    pub(crate) fn of(body: &ChatBody) -> Self {
        Self {
            stream: body.wants_stream(),
            usage: body.wants_usage(),
        }
    }
}

/// How much of an answer was handed over.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) frames: usize,
    pub(crate) bytes: usize,
}

impl Performance {
    pub(crate) fn new(llm: ScriptedLlm, n: u64, asked: Asked, part: Part, wishes: Wishes) -> Self {
        let mut reply = part.reply;
        if let Some(mishap) = &part.mishap {
            prepare(&mishap.fault, &mut reply);
        }
        Self {
            llm,
            n,
            asked,
            reply,
            gate: part.gate,
            mishap: part.mishap,
            wants_stream: wishes.stream,
            wants_usage: wishes.usage,
            is_over: false,
            takes_time: None,
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.asked.dialect
    }

    pub(crate) fn llm(&self) -> &ScriptedLlm {
        &self.llm
    }

    pub(crate) fn reply(&self) -> &Arc<Reply> {
        &self.reply
    }

    pub(crate) fn fault(&self) -> Option<&Fault> {
        self.mishap.as_ref().map(|mishap| &*mishap.fault)
    }

    pub(crate) fn response_id(&self) -> String {
        let reply = &self.reply;
        self.dialect().response_id(reply.created, &reply.letters)
    }

    pub(crate) fn tempo(&self) -> Tempo<'_> {
        Tempo {
            shape: &self.reply.stream,
            fault: self.fault(),
            letters: &self.reply.letters,
        }
    }

    /// Waits at the gate, if there is one, and as long as the model takes to begin. What
    /// comes then will `last` so long.
    pub(crate) async fn begin(&mut self, last: Duration) -> Pace {
        if !self.gate_is_within() {
            self.pass_gate().await;
        }
        let first = self.tempo().first();
        let mut pace = self.pace(first.saturating_add(last));
        if !first.is_zero() {
            self.llm.wait(&mut pace, first).await;
        }
        if self.arrives_whole() {
            let told = Told::of(self.n, &self.reply);
            let journal = self.llm.journal();
            journal.write_later("llm.reply", move || told.fields());
        }
        pace
    }

    /// Time begins now, and the answer ends when it has lasted so long.
    fn pace(&mut self, last: Duration) -> Pace {
        let pace = Pace::from_now(self.llm.journal());
        match pace.due_after(last) {
            Some(due) => self.takes_time_until(Until::Due(due)),
            None => self.takes_time = None,
        }
        pace
    }

    fn takes_time_until(&mut self, until: Until) {
        match &self.takes_time {
            Some(takes_time) => takes_time.until(until),
            None => self.takes_time = Some(self.llm.takes_time(self.n, until)),
        }
    }

    /// Nothing more comes until the gate of the turn is released; then it goes on, and will
    /// `last` so long. Without a gate this is all that comes, until the server ends.
    pub(crate) async fn stall(&mut self, sent: Sent, last: Duration) -> Option<Pace> {
        self.takes_time_until(Until::Doomsday);
        if self.gate.is_none() {
            self.fail(sent);
            self.llm.curtain().await;
            return None;
        }
        self.tell(sent);
        self.pass_gate().await;
        // From here on all is well.
        (self.gate, self.mishap) = (None, None);
        Some(self.pace(last))
    }

    async fn pass_gate(&self) {
        if let Some(gate) = &self.gate
            && let Some(opened) = self.llm.arrive(self.n, gate)
        {
            let _waiting = Waiting {
                llm: &self.llm,
                gate,
            };
            opened.cancelled().await;
        }
    }

    /// Waits until so much more has passed, or the server ends.
    pub(crate) async fn wait(&self, pace: &mut Pace, lapse: Duration) {
        self.llm.wait(pace, lapse).await;
    }

    /// The last byte was handed over.
    pub(crate) fn end(&mut self, sent: Sent) {
        if self.mishap.is_some() {
            return self.fail(sent);
        }
        self.finish(true);
    }

    /// The fault has come, and nothing comes after it.
    pub(crate) fn fail(&mut self, sent: Sent) {
        if !self.is_over {
            self.tell(sent);
        }
        self.finish(self.mishap.as_ref().is_none_or(|mishap| mishap.counts));
    }

    fn finish(&mut self, is_said: bool) {
        if is_said && !self.is_over {
            self.llm.delivered(&self.reply, self.arrives_whole());
        }
        self.is_over = true;
    }

    fn tell(&self, sent: Sent) {
        if let Some(mishap) = &self.mishap {
            self.llm.note("llm.fault", self.told(mishap, sent));
        }
    }

    /// Its fault cannot happen to it, and `why`.
    pub(crate) fn miss(&self, why: &str) {
        let turn = &self.reply.turn;
        let report = format!("turn `{turn}` cannot go wrong as it should: {why}");
        self.llm
            .note("llm.unexpected", json!({ "n": self.n, "report": report }));
    }

    /// Whether all of it arrives, though something goes wrong.
    fn arrives_whole(&self) -> bool {
        let fault = self.fault();
        fault.is_none_or(|fault| fault.lets_all_through(self.gate.is_some()))
    }

    /// Whether nothing of it comes for a while, though nothing goes wrong.
    pub(crate) fn lets_wait(&self) -> bool {
        let is_well = matches!(self.fault(), None | Some(Fault::Slow(_)));
        let is_held = || {
            self.gate
                .as_ref()
                .is_some_and(|gate| self.llm.is_shut(gate))
        };
        is_well && (self.reply.stream.takes_time() || is_held())
    }

    /// Whether its gate is where it stalls.
    fn gate_is_within(&self) -> bool {
        matches!(self.fault(), Some(Fault::Break(Breaking::Stall, _)))
    }

    fn told(&self, mishap: &Mishap, sent: Sent) -> Value {
        let fault = &*mishap.fault;
        let mut fields = Map::new();
        if let Some(rule) = &mishap.rule {
            fields.insert("rule".to_owned(), (**rule).into());
        }
        fields.insert("n".to_owned(), self.n.into());
        fields.insert("lane".to_owned(), self.reply.lane.as_str().into());
        fields.insert("turn".to_owned(), (*self.reply.turn).into());
        fields.insert("fault".to_owned(), fault.word().into());
        match fault {
            Fault::Status(refusal) => fields.insert("status".to_owned(), refusal.status.into()),
            Fault::Html(status) => fields.insert("status".to_owned(), (*status).into()),
            Fault::Break(_, moment) => fields.insert("at".to_owned(), moment.to_string().into()),
            Fault::Error(_)
            | Fault::Empty(_)
            | Fault::Invalid(_)
            | Fault::Slow(_)
            | Fault::Lost
            | Fault::Corrupt(_) => None,
        };
        fields.insert("frames".to_owned(), sent.frames.into());
        fields.insert("bytes".to_owned(), sent.bytes.into());
        Value::Object(fields)
    }
}

/// What the journal is told of an answer that is whole; the rest of it is let go.
struct Told {
    n: u64,
    lane: String,
    turn: Arc<str>,
    content: Option<Arc<str>>,
    calls: Vec<Call>,
    finish_reason: FinishReason,
}

impl Told {
    fn of(n: u64, reply: &Reply) -> Self {
        Self {
            n,
            lane: reply.lane.clone(),
            turn: Arc::clone(&reply.turn),
            content: reply.content.clone(),
            calls: reply.calls.clone(),
            finish_reason: reply.finish_reason,
        }
    }

    fn fields(self) -> Map<String, Value> {
        let calls = self
            .calls
            .iter()
            .map(|call| json!({ "id": call.id, "name": call.name, "arguments": call.arguments }));
        let fields = [
            ("n", Value::from(self.n)),
            ("lane", self.lane.into()),
            ("turn", (*self.turn).into()),
            ("content", self.content.as_deref().into()),
            ("tool_calls", calls.collect()),
            ("finish_reason", self.finish_reason.as_str().into()),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value));
        fields.into_iter().collect()
    }
}

impl Drop for Performance {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let counts = self.mishap.as_ref().is_none_or(|mishap| mishap.counts);
        self.llm
            .abandoned(self.n, counts.then_some(&self.asked), &self.reply);
    }
}

/// Makes the reply one to which the fault can happen.
fn prepare(fault: &Fault, reply: &mut Arc<Reply>) {
    match fault {
        Fault::Empty(Emptiness::Reasoning) => {
            let reply = Arc::make_mut(reply);
            reply.content = None;
            reply.calls.clear();
            reply.finish_reason = FinishReason::Stop;
            let thought = reply.reasoning.take();
            reply.reasoning = thought.or_else(|| Some(IDLE_THOUGHT.into()));
        }
        // Nobody is inside arguments that come in one piece.
        Fault::Break(_, FaultMoment::Arguments) => {
            let reply = Arc::make_mut(reply);
            if let Some(call) = reply.calls.first() {
                let half = call.arguments.chars().count().div_ceil(2);
                reply.stream.arguments = half.try_into().map_or(reply.stream.arguments, |half| {
                    reply.stream.arguments.min(half)
                });
            }
        }
        // Some end with all that was said.
        Fault::Empty(Emptiness::Done) => {
            let reply = Arc::make_mut(reply);
            (reply.content, reply.reasoning) = (None, None);
            reply.calls.clear();
        }
        Fault::Empty(Emptiness::Nothing | Emptiness::Comments)
        | Fault::Break(..)
        | Fault::Status(_)
        | Fault::Html(_)
        | Fault::Error(_)
        | Fault::Invalid(_)
        | Fault::Slow(_)
        | Fault::Lost
        | Fault::Corrupt(_) => {}
    }
}

/// Somebody stands at a gate, for as long as this lives.
struct Waiting<'a> {
    llm: &'a ScriptedLlm,
    gate: &'a str,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.llm.leave(self.gate);
    }
}
