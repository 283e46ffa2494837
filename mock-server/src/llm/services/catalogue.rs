//! The models that a service lists, and what they cost.
//!
//! A script answers whatever model is asked for; what is listed only tells clients what they
//! may expect. A model that is not listed costs what Kimi does.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::llm::dialect::Dialect;
use crate::llm::score::lines::Usage;

const USUAL_CONTEXT: u64 = 262_144;

/// A model in the lists of the services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListedModel {
    /// What clients ask for.
    pub id: String,
    /// What OpenRouter calls it in answers, with a date. Default: the id.
    #[serde(default)]
    pub slug: Option<String>,
    /// Its name for people. Default: the id.
    #[serde(default)]
    pub name: Option<String>,
    /// In tokens. Default: 262144.
    #[serde(default = "usual_context")]
    pub context_length: u64,
    /// What it costs.
    #[serde(default)]
    pub price: Price,
    /// Who runs it for OpenRouter; the first does unless the request says otherwise.
    #[serde(default)]
    pub providers: Vec<String>,
    /// Whether it thinks. Default: yes.
    #[serde(default = "yes")]
    pub reasoning: bool,
    /// Whether it takes pictures. Default: no.
    #[serde(default)]
    pub images: bool,
}

/// Dollars for a million tokens. Default: 0.6, 2.5 and 0.15.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Price {
    /// Of the request.
    pub prompt: f64,
    /// Of the answer.
    pub completion: f64,
    /// Of the request, where it came from a cache.
    pub cached: f64,
}

/// What an answer costs, in billionths of a dollar: whole numbers, so that sums are exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) prompt: u64,
    pub(crate) completion: u64,
}

/// The list of a server.
#[derive(Clone, Debug)]
pub(crate) struct Catalogue {
    /// None: each service has its usual models.
    scripted: Option<Vec<ListedModel>>,
}

impl Default for Price {
    fn default() -> Self {
        Self {
            prompt: 0.6,
            completion: 2.5,
            cached: 0.15,
        }
    }
}

impl Price {
    pub(crate) fn of(self, usage: Usage) -> Cost {
        let fresh = usage.prompt.saturating_sub(usage.cached);
        let read = billionths(self.prompt).saturating_mul(fresh);
        let recalled = billionths(self.cached).saturating_mul(usage.cached);
        Cost {
            prompt: read.saturating_add(recalled),
            completion: billionths(self.completion).saturating_mul(usage.completion),
        }
    }
}

impl Cost {
    pub(crate) fn total(self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}

pub(crate) fn dollars(billionths: u64) -> f64 {
    billionths as f64 / 1e9
}

/// A dollar for a million tokens is a thousand billionths for one.
fn billionths(dollars_per_million: f64) -> u64 {
    (dollars_per_million * 1e3).round() as u64
}

impl Catalogue {
    pub(crate) fn of(scripted: Option<Vec<ListedModel>>) -> Self {
        Self { scripted }
    }

    /// What the service lists.
    pub(crate) fn models(&self, dialect: Dialect) -> &[ListedModel] {
        self.scripted.as_deref().unwrap_or_else(|| usual(dialect))
    }

    /// What every one of them can hold.
    pub(crate) fn shortest_context(&self) -> u64 {
        let scripted = self.scripted.iter().flatten();
        let lengths = scripted.map(|model| model.context_length);
        lengths.min().unwrap_or(USUAL_CONTEXT)
    }

    pub(crate) fn find(&self, dialect: Dialect, model: &str) -> Option<&ListedModel> {
        let mut models = self.models(dialect).iter();
        models.find(|listed| listed.id == model || listed.slug.as_deref() == Some(model))
    }
}

/// The body of `GET models`.
pub(crate) fn listing(dialect: Dialect, models: &[ListedModel]) -> Value {
    let entry = match dialect {
        Dialect::OpenAi | Dialect::Anthropic | Dialect::Responses => ListedModel::for_openai,
        Dialect::OpenRouter => ListedModel::for_openrouter,
        Dialect::Moonshot | Dialect::Kimi => ListedModel::for_kimi,
    };
    let data: Value = models.iter().map(entry).collect();
    match dialect {
        Dialect::OpenRouter => json!({ "data": data }),
        Dialect::OpenAi
        | Dialect::Anthropic
        | Dialect::Responses
        | Dialect::Moonshot
        | Dialect::Kimi => {
            json!({ "object": "list", "data": data })
        }
    }
}

impl ListedModel {
    pub(crate) fn named(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            slug: None,
            name: None,
            context_length: USUAL_CONTEXT,
            price: Price::default(),
            providers: Vec::new(),
            reasoning: true,
            images: false,
        }
    }

    pub(crate) fn slug(&self) -> &str {
        self.slug.as_deref().unwrap_or(&self.id)
    }

    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }

    fn for_openai(&self) -> Value {
        json!({ "id": self.id, "object": "model", "created": 0, "owned_by": "mock-server" })
    }

    fn for_openrouter(&self) -> Value {
        let inputs = if self.images {
            json!(["text", "image"])
        } else {
            json!(["text"])
        };
        let modality = if self.images {
            "text+image->text"
        } else {
            "text->text"
        };
        json!({
            "id": self.id,
            "canonical_slug": self.slug(),
            "name": self.name(),
            "created": 0,
            "description": "",
            "context_length": self.context_length,
            "architecture": {
                "modality": modality,
                "input_modalities": inputs,
                "output_modalities": ["text"],
                "tokenizer": "Other",
                "instruct_type": null,
            },
            "pricing": {
                "prompt": per_token(self.price.prompt),
                "completion": per_token(self.price.completion),
                "input_cache_read": per_token(self.price.cached),
            },
            "top_provider": {
                "context_length": self.context_length,
                "max_completion_tokens": self.context_length,
                "is_moderated": false,
            },
            "per_request_limits": null,
            "supported_parameters": self.parameters(),
        })
    }

    fn parameters(&self) -> Value {
        let always = [
            "max_tokens",
            "response_format",
            "temperature",
            "tool_choice",
            "tools",
        ];
        let thinking = ["include_reasoning", "reasoning"];
        let thinking = thinking.iter().filter(|_| self.reasoning);
        always.iter().chain(thinking).copied().collect()
    }

    fn for_kimi(&self) -> Value {
        json!({
            "id": self.id,
            "object": "model",
            "created": 0,
            "owned_by": "moonshot",
            "display_name": self.name(),
            "context_length": self.context_length,
            "supports_reasoning": self.reasoning,
            "supports_image_in": self.images,
            "supports_video_in": false,
        })
    }
}

/// Dollars for one token, as a text without an exponent.
fn per_token(dollars_per_million: f64) -> String {
    let text = format!("{:.9}", dollars(billionths(dollars_per_million)));
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

fn usual(dialect: Dialect) -> &'static [ListedModel] {
    match dialect {
        Dialect::OpenAi | Dialect::Anthropic | Dialect::Responses => &*SCRIPTED,
        Dialect::OpenRouter => &*OPENROUTERS,
        Dialect::Moonshot => &*MOONSHOTS,
        Dialect::Kimi => &*KIMIS,
    }
}

static SCRIPTED: LazyLock<[ListedModel; 1]> = LazyLock::new(|| [ListedModel::named("scripted")]);
static OPENROUTERS: LazyLock<[ListedModel; 3]> = LazyLock::new(|| {
    [
        ListedModel::named("moonshotai/kimi-k2"),
        measured_kimi(),
        ListedModel::named("moonshotai/kimi-k2.6"),
    ]
});
static MOONSHOTS: LazyLock<[ListedModel; 3]> =
    LazyLock::new(|| ["kimi-k2.6", "kimi-k2.5", "moonshot-v1-8k"].map(ListedModel::named));
static KIMIS: LazyLock<[ListedModel; 1]> = LazyLock::new(|| {
    [ListedModel {
        name: Some("Kimi for Coding".to_owned()),
        images: true,
        ..ListedModel::named("kimi-for-coding")
    }]
});

/// As OpenRouter was seen to sell it.
fn measured_kimi() -> ListedModel {
    ListedModel {
        slug: Some("moonshotai/kimi-k2.5-0127".to_owned()),
        name: Some("MoonshotAI: Kimi K2.5".to_owned()),
        price: Price {
            prompt: 0.44,
            completion: 2.0,
            cached: 0.22,
        },
        providers: ["Chutes", "Moonshot AI", "Fireworks"]
            .map(str::to_owned)
            .into(),
        images: true,
        ..ListedModel::named("moonshotai/kimi-k2.5")
    }
}

fn usual_context() -> u64 {
    USUAL_CONTEXT
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_costs_what_it_was_measured_to() {
        let usage = Usage {
            prompt: 125,
            completion: 97,
            reasoning: 56,
            cached: 64,
        };
        let cost = measured_kimi().price.of(usage);
        let figures = [cost.total(), cost.prompt, cost.completion].map(dollars);
        assert_eq!(figures, [0.000_234_92, 0.000_040_92, 0.000_194]);
    }

    #[test]
    fn a_price_is_written_without_an_exponent() {
        assert_eq!(
            [0.6, 2.0, 0.0].map(per_token),
            ["0.0000006", "0.000002", "0"]
        );
    }
}
