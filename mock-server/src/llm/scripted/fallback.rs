//! OpenRouter's fallback: of several models one that refuses lets the next one answer.

use serde_json::json;

use crate::llm::dialect::Dialect;
use crate::llm::question::request::ChatBody;
use crate::llm::score::{Asked, Part, Refusal};
use crate::llm::script::fault::Fault;
use crate::llm::scripted::ScriptedLlm;

impl ScriptedLlm {
    /// Decides for one model after the other, until one does not refuse or none is left.
    pub(super) fn decide_among(
        &self,
        n: u64,
        asked: &Asked,
        body: &mut ChatBody,
    ) -> (Option<String>, Result<Part, Refusal>) {
        let mut others = self.choose_model(asked, body).into_iter();
        loop {
            let (lane, decided) = self.decide(n, asked, body);
            let refused = decided.as_ref().is_ok_and(refuses);
            let next = if refused { others.next() } else { None };
            let (Some(next), Ok(part)) = (next, &decided) else {
                return (lane, decided);
            };
            self.give_up(n, part, &next);
            body.model = Some(next);
        }
    }

    /// Puts the first model in place that a turn asks for, and returns those behind it.
    fn choose_model(&self, asked: &Asked, body: &mut ChatBody) -> Vec<String> {
        if asked.dialect != Dialect::OpenRouter || body.models.is_empty() {
            return Vec::new();
        }
        let mut candidates: Vec<_> = body.candidates().map(str::to_owned).collect();
        let repertoire = self
            .inner
            .score
            .model_of(candidates.iter().map(String::as_str));
        let place = candidates
            .iter()
            .position(|model| Some(model) == repertoire.as_ref());
        let others = candidates.split_off(place.map_or(candidates.len(), |place| place + 1));
        body.model = candidates.pop();
        others
    }

    /// The refusal is not sent, but it came.
    fn give_up(&self, n: u64, part: &Part, next: &str) {
        let reply = &part.reply;
        if part.mishap.as_ref().is_some_and(|mishap| mishap.counts) {
            reply.receipt.tally.deliver();
        }
        let fields = json!({ "n": n, "turn": &*reply.turn, "from": reply.model, "to": next });
        self.note("llm.fallback", fields);
    }
}

fn refuses(part: &Part) -> bool {
    part.mishap
        .as_ref()
        .is_some_and(|mishap| matches!(*mishap.fault, Fault::Status(_)))
}
