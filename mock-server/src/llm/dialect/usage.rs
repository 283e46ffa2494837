//! What an answer took and cost, in the detail that each service tells.

use serde::Serialize;

use crate::llm::dialect::Dialect;
use crate::llm::score::lines::Reply;
use crate::llm::services::catalogue::dollars;

/// The `usage` of an answer.
#[derive(Serialize)]
pub(super) struct UsageBody {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_byok: Option<bool>,
    prompt_tokens_details: PromptDetails,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_details: Option<CostDetails>,
    completion_tokens_details: CompletionDetails,
}

#[derive(Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    video_tokens: Option<u64>,
}

#[derive(Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_tokens: Option<u64>,
}

#[derive(Serialize)]
struct CostDetails {
    upstream_inference_cost: f64,
    upstream_inference_prompt_cost: f64,
    upstream_inference_completions_cost: f64,
}

impl UsageBody {
    pub(super) fn new(reply: &Reply, dialect: Dialect) -> Self {
        let usage = reply.usage;
        let cost = reply.route.as_deref().map(|route| route.cost(usage));
        // Only OpenRouter tells what nothing was spent on.
        let none = cost.map(|_told| 0);
        Self {
            prompt_tokens: usage.prompt,
            completion_tokens: usage.completion,
            total_tokens: usage.prompt.saturating_add(usage.completion),
            cached_tokens: dialect.is_moonshots().then_some(usage.cached),
            cost: cost.map(|cost| dollars(cost.total())),
            is_byok: cost.map(|_told| false),
            prompt_tokens_details: PromptDetails {
                cached_tokens: usage.cached,
                cache_write_tokens: none,
                audio_tokens: none,
                video_tokens: none,
            },
            cost_details: cost.map(|cost| CostDetails {
                upstream_inference_cost: dollars(cost.total()),
                upstream_inference_prompt_cost: dollars(cost.prompt),
                upstream_inference_completions_cost: dollars(cost.completion),
            }),
            completion_tokens_details: CompletionDetails {
                reasoning_tokens: usage.reasoning,
                image_tokens: none,
                audio_tokens: none,
            },
        }
    }
}
