//! OpenRouter's choice: which model answers, whose machine it runs on, and what that costs.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::llm::dialect::Dialect;
use crate::llm::question::request::list;
use crate::llm::score::lines::Usage;
use crate::llm::services::catalogue::{Catalogue, Cost, ListedModel, Price};

/// Who answers for a model that nobody is listed for.
const NOBODY: &str = "mock-server";

/// `provider` of a request: whom it may be sent to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ProviderWish {
    #[serde(deserialize_with = "list")]
    order: Vec<String>,
    #[serde(deserialize_with = "list")]
    only: Vec<String>,
    #[serde(deserialize_with = "list")]
    ignore: Vec<String>,
    allow_fallbacks: Option<bool>,
}

/// The way an answer takes.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// What the model is called in the answer.
    pub(crate) slug: String,
    pub(crate) provider: String,
    price: Price,
    pub(crate) streamed: bool,
    /// `openrouter_metadata`, if it was asked for.
    pub(crate) metadata: Option<Value>,
}

/// Nobody whom the request allows runs the model.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("No allowed providers are available for the selected model.")]
pub(crate) struct NoProvider;

/// What of a request decides the way.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) model: &'a str,
    pub(crate) wish: Option<&'a ProviderWish>,
    pub(crate) streamed: bool,
    pub(crate) wants_metadata: bool,
}

impl Route {
    pub(crate) fn find(catalogue: &Catalogue, order: &Order<'_>) -> Result<Self, NoProvider> {
        let unlisted;
        let model = match catalogue.find(Dialect::OpenRouter, order.model) {
            Some(listed) => listed,
            None => {
                unlisted = ListedModel::named(order.model);
                &unlisted
            }
        };
        let provider = match order.wish {
            Some(wish) => wish.choose(&model.providers)?,
            None => usual(&model.providers),
        };
        Ok(Self {
            slug: model.slug().to_owned(),
            price: model.price,
            streamed: order.streamed,
            metadata: order
                .wants_metadata
                .then(|| metadata(order.model, model.slug(), &provider)),
            provider,
        })
    }

    pub(crate) fn cost(&self, usage: Usage) -> Cost {
        self.price.of(usage)
    }
}

impl ProviderWish {
    /// The first that is wished for and allowed. A model that nobody is listed for is run by
    /// whoever is wished for.
    fn choose(&self, listed: &[String]) -> Result<String, NoProvider> {
        let allowed = |provider: &&String| {
            let only = self.only.is_empty() || is_among(provider, &self.only);
            only && !is_among(provider, &self.ignore)
        };
        let wished = || self.order.iter().chain(&self.only).filter(allowed);
        if listed.is_empty() {
            let provider = wished().next().cloned();
            return Ok(provider.unwrap_or_else(|| NOBODY.to_owned()));
        }
        let mut in_order = self.order.iter().filter_map(|wished| {
            let mut listed = listed.iter().filter(allowed);
            listed.find(|provider| is_same(provider, wished))
        });
        if let Some(provider) = in_order.next() {
            return Ok(provider.clone());
        }
        if !self.order.is_empty() && self.allow_fallbacks == Some(false) {
            return Err(NoProvider);
        }
        listed.iter().find(allowed).cloned().ok_or(NoProvider)
    }
}

fn usual(listed: &[String]) -> String {
    listed.first().map_or(NOBODY, String::as_str).to_owned()
}

fn is_among(provider: &str, named: &[String]) -> bool {
    named.iter().any(|name| is_same(name, provider))
}

/// `moonshotai`, `moonshot-ai` and `Moonshot AI` are one; `deepinfra/fp4` is `DeepInfra`.
fn is_same(one: &str, other: &str) -> bool {
    let plain = |name: &str| -> String {
        let name = name.split('/').next().unwrap_or(name).chars();
        let letters = name.filter(|letter| letter.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect()
    };
    plain(one) == plain(other)
}

fn metadata(requested: &str, slug: &str, provider: &str) -> Value {
    let endpoint = json!({ "provider": provider, "model": slug, "selected": true });
    json!({
        "requested": requested,
        "strategy": "direct",
        "region": "local",
        "summary": format!("available=1, selected={provider}"),
        "attempt": 1,
        "is_byok": false,
        "endpoints": { "total": 1, "available": [endpoint] },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wish: Value, provider: Result<&str, NoProvider>) {
        let wish: ProviderWish = serde_json::from_value(wish).unwrap();
        let order = Order {
            model: "moonshotai/kimi-k2.5",
            wish: Some(&wish),
            streamed: false,
            wants_metadata: false,
        };
        let route = Route::find(&Catalogue::of(None), &order);
        assert_eq!(
            route.map(|route| route.provider),
            provider.map(str::to_owned)
        );
    }

    #[test]
    fn the_provider_is_one_that_the_request_wants() {
        check(json!({}), Ok("Chutes"));
        check(json!({ "order": ["moonshotai"] }), Ok("Moonshot AI"));
        check(json!({ "only": ["fireworks/fp8"] }), Ok("Fireworks"));
        check(json!({ "ignore": ["chutes"] }), Ok("Moonshot AI"));
        check(json!({ "order": ["groq"] }), Ok("Chutes"));
        check(
            json!({ "order": ["chutes"], "ignore": ["chutes"] }),
            Ok("Moonshot AI"),
        );
    }

    #[test]
    fn nobody_answers_where_nobody_is_allowed() {
        check(json!({ "only": ["groq"] }), Err(NoProvider));
        check(
            json!({ "order": ["groq"], "allow_fallbacks": false }),
            Err(NoProvider),
        );
    }
}
