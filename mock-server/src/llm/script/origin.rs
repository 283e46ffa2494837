//! Where a request comes from, as a lane may ask: its headers, its key, its tools.

use std::borrow::Cow;

use axum::http::HeaderMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::llm::question::Question;
use crate::llm::script::lane::{HeaderPatterns, LaneRule};
use crate::llm::script::pattern::{Heard, TextPattern};

/// Says which lane a request is in.
const LANE: &str = "x-lane";
/// Says which conversation a request is in.
const SESSION: &str = "x-session-id";
/// Stands for the middle of a key.
const ELLIPSIS: char = '…';

/// A condition on headers.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum HeaderRule {
    /// `x-lane` is this.
    Lane(String),
    /// Each has a value that holds this.
    Each(HeaderPatterns),
}

/// An API key, in clear or with `…` for its middle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyPattern(String);

/// A condition on the tools that a request offers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToolsRule {
    /// All of these are offered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub has: Vec<String>,
    /// None of these is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
}

/// Where a request comes from, and what it asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'q> {
    pub(crate) headers: &'q HeaderMap,
    pub(crate) question: &'q Question<'q>,
}

impl LaneRule {
    pub(crate) fn claims(&self, origin: Origin<'_>) -> bool {
        let Origin { headers, question } = origin;
        let holds = |wanted: &Option<TextPattern>, heard: Option<&Heard<'_>>| {
            let is_in = |wanted: &TextPattern| heard.is_some_and(|heard| wanted.is_in(heard));
            wanted.as_ref().is_none_or(is_in)
        };
        let first_user = self.first_user.as_ref().and_then(|_| question.first_user());
        holds(&self.model, Some(&question.model))
            && holds(&self.system, question.system.as_ref())
            && holds(&self.user, question.user.as_ref())
            && holds(&self.first_user, first_user.map(Heard::new).as_ref())
            && holds(
                &self.conversation,
                question.conversation.map(Heard::new).as_ref(),
            )
            && self.claims_envelope(headers, &question.tools)
    }

    fn claims_envelope(&self, headers: &HeaderMap, offered: &[&str]) -> bool {
        let header = self.header.as_ref();
        let key = self.key.as_ref();
        let tools = self.tools.as_ref();
        header.is_none_or(|wanted| wanted.holds(headers))
            && key.is_none_or(|wanted| wanted.is(key_in(headers)))
            && tools.is_none_or(|wanted| wanted.holds(offered))
    }
}

impl HeaderRule {
    fn holds(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Lane(lane) => lane_in(headers) == Some(lane),
            Self::Each(wanted) => wanted.iter().all(|(name, pattern)| {
                let values = headers.get_all(name).iter();
                values
                    .filter_map(readable)
                    .any(|value| pattern.is_in(&Heard::new(value)))
            }),
        }
    }
}

impl KeyPattern {
    /// The key, if it is written in clear.
    pub(crate) fn in_clear(&self) -> Option<&str> {
        (!self.0.contains(ELLIPSIS)).then_some(&*self.0)
    }

    fn is(&self, key: Option<&str>) -> bool {
        let Some(key) = key else {
            return false;
        };
        match self.0.split_once(ELLIPSIS) {
            None => self.0 == key,
            Some((begin, end)) => {
                key.len() > begin.len() + end.len() && key.starts_with(begin) && key.ends_with(end)
            }
        }
    }
}

impl ToolsRule {
    fn holds(&self, offered: &[&str]) -> bool {
        let is_offered = |tool: &String| offered.contains(&tool.as_str());
        self.has.iter().all(is_offered) && !self.lacks.iter().any(is_offered)
    }
}

/// The lane that a request names.
pub(crate) fn lane_in(headers: &HeaderMap) -> Option<&str> {
    headers.get(LANE).and_then(readable)
}

/// The conversation that a request names in its headers.
pub(crate) fn session_in(headers: &HeaderMap) -> Option<&str> {
    headers.get(SESSION).and_then(readable)
}

/// The key that a request is made with: a bearer's, or the one in Anthropic's header.
pub(crate) fn key_in(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get("authorization").and_then(readable);
    let bearer = bearer.and_then(|credentials| {
        let (scheme, key) = credentials.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    let key = bearer.or_else(|| headers.get("x-api-key").and_then(readable));
    key.filter(|key| !key.is_empty())
}

/// A value in other letters than ASCII's is none that a script can name.
fn readable(value: &axum::http::HeaderValue) -> Option<&str> {
    match value.to_str() {
        Ok(text) => Some(text),
        Err(_other_letters) => None,
    }
}

impl<'de> Deserialize<'de> for HeaderRule {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(LaneOrHeaders)
    }
}

struct LaneOrHeaders;

impl<'de> Visitor<'de> for LaneOrHeaders {
    type Value = HeaderRule;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("the value of `x-lane`, or a map of headers")
    }

    fn visit_str<E: Error>(self, lane: &str) -> Result<HeaderRule, E> {
        Ok(HeaderRule::Lane(lane.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HeaderRule, A::Error> {
        HeaderPatterns::deserialize(MapAccessDeserializer::new(map)).map(HeaderRule::Each)
    }
}

impl JsonSchema for KeyPattern {
    fn schema_name() -> Cow<'static, str> {
        "KeyPattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "description": "An API key, in clear or with … for its middle",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, key: &str, same: bool) {
        assert_eq!(KeyPattern(pattern.to_owned()).is(Some(key)), same);
    }

    #[test]
    fn a_key_is_known_in_clear_and_masked() {
        check("sk-title", "sk-title", true);
        check("sk-title", "sk-title-2", false);
        check("sk-t…le", "sk-title", true);
        check("sk-t…le", "sk-table-x", false);
        // The two ends must not overlap.
        check("abc…cde", "abcde", false);
    }
}
