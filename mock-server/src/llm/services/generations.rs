//! The answers that OpenRouter has given, for who asks about them afterwards.

use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::llm::dialect::Dialect;
use crate::llm::score::lines::Reply;
use crate::llm::services::catalogue::dollars;
use crate::llm::services::routing::Route;

/// How many are remembered: a client asks at once, and a long run has no end.
const REMEMBERED: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Generations {
    /// From when on each is known, in seconds, and what is known.
    given: IndexMap<String, (i64, Value)>,
    /// In billionths of a dollar.
    spent: u64,
}

impl Generations {
    /// An answer came to its end; `from` then on, in seconds, it can be asked about.
    pub(crate) fn give(&mut self, reply: &Reply, route: &Route, from: i64) {
        let id = Dialect::OpenRouter.response_id(reply.created, &reply.letters);
        let cost = route.cost(reply.usage).total();
        self.spent = self.spent.saturating_add(cost);
        if self.given.len() == REMEMBERED {
            self.given.shift_remove_index(0);
        }
        let known = (from, body(&id, reply, route));
        self.given.insert(id, known);
    }

    /// What all of them have cost.
    pub(crate) fn spent(&self) -> u64 {
        self.spent
    }

    /// The body of `GET generation`.
    pub(crate) fn find(&self, id: &str, now: i64) -> Option<Value> {
        let (from, data) = self.given.get(id)?;
        (*from <= now).then(|| json!({ "data": data }))
    }
}

fn body(id: &str, reply: &Reply, route: &Route) -> Value {
    let (usage, cost) = (reply.usage, dollars(route.cost(reply.usage).total()));
    let reason = reply.finish_reason.as_str();
    json!({
        "id": id,
        "upstream_id": format!("chatcmpl-{}", reply.letters),
        "model": route.slug,
        "provider_name": route.provider,
        "created_at": jiff::Timestamp::from_second(reply.created).map_or_else(|_too_late| Value::Null, |at| at.to_string().into()),
        "streamed": route.streamed,
        "cancelled": false,
        "total_cost": cost,
        "usage": cost,
        "upstream_inference_cost": null,
        "cache_discount": null,
        "is_byok": false,
        "tokens_prompt": usage.prompt,
        "tokens_completion": usage.completion,
        "native_tokens_prompt": usage.prompt,
        "native_tokens_completion": usage.completion,
        "native_tokens_reasoning": usage.reasoning,
        "native_tokens_cached": usage.cached,
        "num_media_prompt": 0,
        "num_media_completion": 0,
        "num_search_results": 0,
        "finish_reason": reason,
        "native_finish_reason": reason,
        "latency": 0,
        "moderation_latency": null,
        "generation_time": 0,
        "origin": "",
        "app_id": null,
        "external_user": null,
        "api_type": "completions",
    })
}
