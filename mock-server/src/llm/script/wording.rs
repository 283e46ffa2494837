//! The places in a script where one of two shapes may stand, read without guessing.
//!
//! Serde's untagged enums try one shape after the other and forget where they were; these
//! look at what is there once, so that a mistake inside keeps its line and column.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::llm::script::Script;
use crate::llm::script::fault_rule::FaultRule;
use crate::llm::script::lane::LaneRule;
use crate::llm::script::lenient::WireRule;
use crate::llm::script::pattern::TextPattern;
use crate::llm::script::template::{TemplateText, check_all};
use crate::llm::script::turn::{Any, Arguments, Clauses, Match, ScriptedTurn};
use crate::llm::services::ScriptedServices;

/// A positive number, or a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum NumberOr<W> {
    Number(NonZeroU32),
    Word(W),
}

impl fmt::Display for NumberOr<Any> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(out, "{number}"),
            Self::Word(Any::Any) => out.write_str("any"),
        }
    }
}

impl<'de, W: Deserialize<'de>> Deserialize<'de> for NumberOr<W> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(NumberOrWord(PhantomData))
    }
}

struct NumberOrWord<W>(PhantomData<W>);

impl<'de, W: Deserialize<'de>> Visitor<'de> for NumberOrWord<W> {
    type Value = NumberOr<W>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a number from 1 on, or a word")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        u32::try_from(number)
            .map_err(|_too_large| E::invalid_value(Unexpected::Unsigned(number), &self))
            .and_then(|small| {
                NonZeroU32::new(small)
                    .ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
            })
            .map(NumberOr::Number)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_negative) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Self::Value, E> {
        W::deserialize(word.into_deserializer()).map(NumberOr::Word)
    }
}

impl<'de> Deserialize<'de> for Match {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(TextOrClauses)
    }
}

struct TextOrClauses;

impl<'de> Visitor<'de> for TextOrClauses {
    type Value = Match;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a piece of the user's text, or a map of conditions")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Match, E> {
        TextPattern::parse(text).map(Match::User).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Match, A::Error> {
        Clauses::deserialize(MapAccessDeserializer::new(map))
            .map(|clauses| Match::All(Box::new(clauses)))
    }
}

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(TextOrNamed)
    }
}

struct TextOrNamed;

impl<'de> Visitor<'de> for TextOrNamed {
    type Value = Arguments;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a map of arguments, or the text to send as it stands")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Arguments, E> {
        TemplateText::parse(text)
            .map(Arguments::Raw)
            .map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Arguments, A::Error> {
        let arguments = IndexMap::<_, Argument>::deserialize(MapAccessDeserializer::new(map))?;
        let values = arguments
            .into_iter()
            .map(|(name, argument)| (name, argument.0));
        Ok(Arguments::Named(values.collect()))
    }
}

/// One argument: any value whose texts are templates.
struct Argument(Value);

impl<'de> Deserialize<'de> for Argument {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(input)?;
        check_all(&value).map_err(D::Error::custom)?;
        Ok(Self(value))
    }
}

impl<'de> Deserialize<'de> for Script {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(TurnsOrScript)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WholeScript {
    #[serde(default)]
    lanes: IndexMap<String, LaneRule>,
    #[serde(default)]
    lenient: Vec<WireRule>,
    #[serde(default)]
    faults: Vec<FaultRule>,
    #[serde(default)]
    services: ScriptedServices,
    #[serde(default)]
    turns: Vec<ScriptedTurn>,
}

struct TurnsOrScript;

impl<'de> Visitor<'de> for TurnsOrScript {
    type Value = Script;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(
            "a list of turns, or a map of `turns`, `lanes`, `lenient`, `faults` and `services`",
        )
    }

    fn visit_seq<A: SeqAccess<'de>>(self, turns: A) -> Result<Script, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(turns)).map(Script::of)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Script, A::Error> {
        let whole = WholeScript::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Script {
            lanes: whole.lanes,
            lenient: whole.lenient,
            faults: whole.faults,
            services: whole.services,
            ..Script::of(whole.turns)
        })
    }
}
