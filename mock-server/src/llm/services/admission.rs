//! Who is let in: keys, and Kimi's gate for coding agents.
//!
//! Real services answer nobody without a key, so by default some key is wanted; which is
//! for a script to say.

use std::borrow::Cow;
use std::fmt;

use axum::http::{HeaderMap, StatusCode, header};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::llm::dialect::{AGENTS_ONLY, Complaint, Dialect};

/// How programs begin their `User-Agent` that Kimi's coding service was seen to let in, and
/// our own agent.
const CODING_AGENTS: [&str; 12] = [
    "KimiCLI/",
    "kimi-code-cli/",
    "kimi_cli/",
    "kimi_code_cli/",
    "claude-cli/",
    "claude-code/",
    "RooCode/",
    "Roo-Code/",
    "Kilo-Code/",
    "Cline/",
    "opencode/",
    "nanokimi-agent/",
];

/// Which keys pass: `any`, `none` if none is needed, or a list of those that do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// Any key, but not none.
    #[default]
    Any,
    /// None is needed.
    None,
    /// One of these.
    Only(Vec<String>),
}

/// Which programs Kimi's coding service talks to: `any`, or those whose `User-Agent` begins
/// like one of a list. Default: the coding agents that it is known to let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Agents {
    #[default]
    Known,
    /// Any.
    Any,
    /// These.
    Only(Vec<String>),
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TurnedAway {
    NoKey,
    WrongKey,
    NotAnAgent,
}

impl TurnedAway {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::NoKey | Self::WrongKey => StatusCode::UNAUTHORIZED,
            Self::NotAnAgent => StatusCode::FORBIDDEN,
        }
    }

    /// The type and the words of the service, where they are not the usual ones of the status.
    pub(crate) fn complaint(self, dialect: Dialect) -> Complaint<'static> {
        let (kind, message) = match (self, dialect) {
            (Self::NotAnAgent, _) => (Some(AGENTS_ONLY.kind), Some(AGENTS_ONLY.message)),
            (Self::WrongKey, Dialect::OpenRouter) => (None, Some("User not found.")),
            (Self::WrongKey, Dialect::OpenAi | Dialect::Responses) => {
                (Some("invalid_api_key"), None)
            }
            (Self::NoKey | Self::WrongKey, _) => (None, None),
        };
        Complaint { kind, message }
    }
}

impl Keys {
    /// Those that are named.
    pub(crate) fn in_clear(&self) -> impl Iterator<Item = &str> {
        let named: &[String] = match self {
            Self::Only(keys) => keys,
            Self::Any | Self::None => &[],
        };
        named.iter().map(String::as_str)
    }

    pub(crate) fn admit(&self, key: Option<&str>) -> Result<(), TurnedAway> {
        match (self, key) {
            (Self::None, _) | (Self::Any, Some(_)) => Ok(()),
            (Self::Any | Self::Only(_), None) => Err(TurnedAway::NoKey),
            (Self::Only(keys), Some(key)) if keys.iter().any(|known| known == key) => Ok(()),
            (Self::Only(_), Some(_)) => Err(TurnedAway::WrongKey),
        }
    }
}

impl Agents {
    pub(crate) fn admit(&self, headers: &HeaderMap) -> Result<(), TurnedAway> {
        let agent = text(headers, header::USER_AGENT.as_str()).unwrap_or_default();
        let is_known = match self {
            Self::Any => true,
            Self::Known => CODING_AGENTS.iter().any(|known| agent.starts_with(known)),
            Self::Only(agents) => agents.iter().any(|known| agent.starts_with(known.as_str())),
        };
        is_known.then_some(()).ok_or(TurnedAway::NotAnAgent)
    }
}

/// A header that is text; another is as good as none.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    match headers.get(name)?.to_str() {
        Ok(text) => Some(text),
        Err(_no_text) => None,
    }
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Ok(
            match input.deserialize_any(WordOrList("`any`, `none` or a list of keys"))? {
                WordOr::List(keys) => Self::Only(keys),
                WordOr::Word(word) if word == "any" => Self::Any,
                WordOr::Word(word) if word == "none" => Self::None,
                WordOr::Word(word) => {
                    return Err(D::Error::unknown_variant(&word, &["any", "none"]));
                }
            },
        )
    }
}

impl<'de> Deserialize<'de> for Agents {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let expected = WordOrList("`any` or a list of beginnings of a `User-Agent`");
        Ok(match input.deserialize_any(expected)? {
            WordOr::List(agents) => Self::Only(agents),
            WordOr::Word(word) if word == "any" => Self::Any,
            WordOr::Word(word) => return Err(D::Error::unknown_variant(&word, &["any"])),
        })
    }
}

impl Serialize for Keys {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Any => out.serialize_str("any"),
            Self::None => out.serialize_str("none"),
            Self::Only(keys) => keys.serialize(out),
        }
    }
}

impl Serialize for Agents {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            // As if nothing had been said.
            Self::Known => out.serialize_none(),
            Self::Any => out.serialize_str("any"),
            Self::Only(agents) => agents.serialize(out),
        }
    }
}

impl JsonSchema for Keys {
    fn schema_name() -> Cow<'static, str> {
        "Keys".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        word_or_list(
            "Which keys pass: `any`, `none` if none is needed, or these.",
            &["any", "none"],
        )
    }
}

impl JsonSchema for Agents {
    fn schema_name() -> Cow<'static, str> {
        "Agents".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        word_or_list(
            "Which programs are let in: `any`, or those whose User-Agent begins so.",
            &["any"],
        )
    }
}

fn word_or_list(description: &str, words: &[&str]) -> Schema {
    json_schema!({
        "description": description,
        "oneOf": [
            { "type": "string", "enum": words },
            { "type": "array", "items": { "type": "string" } },
        ],
    })
}

enum WordOr {
    Word(String),
    List(Vec<String>),
}

struct WordOrList(&'static str);

impl<'de> Visitor<'de> for WordOrList {
    type Value = WordOr;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0)
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<WordOr, E> {
        Ok(WordOr::Word(word.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<WordOr, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(WordOr::List)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::script::origin::key_in;

    #[track_caller]
    fn check(keys: &str, headers: &[(&'static str, &str)], expected: Result<(), TurnedAway>) {
        let keys: Keys = crate::yaml::read("script.yaml", keys).unwrap();
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                let name = axum::http::HeaderName::from_static(name);
                (name, value.parse().unwrap())
            })
            .collect();
        assert_eq!(keys.admit(key_in(&headers)), expected);
    }

    #[test]
    fn a_key_is_wanted_unless_the_script_says_otherwise() {
        check("any", &[], Err(TurnedAway::NoKey));
        check(
            "any",
            &[("authorization", "Bearer ")],
            Err(TurnedAway::NoKey),
        );
        check(
            "any",
            &[("authorization", "Basic abc")],
            Err(TurnedAway::NoKey),
        );
        check("any", &[("authorization", "bearer x")], Ok(()));
        check("any", &[("x-api-key", "x")], Ok(()));
        check("none", &[], Ok(()));
        check("[sk-1]", &[("authorization", "Bearer sk-1")], Ok(()));
        check(
            "[sk-1]",
            &[("authorization", "Bearer sk-2")],
            Err(TurnedAway::WrongKey),
        );
    }
}
