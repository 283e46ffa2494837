//! What goes wrong with requests by their number, whatever turn answers them.
//!
//! Types only. A rule stands beside the turns, so that a story can be broken without being
//! written anew.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::llm::script::fault::ScriptedFault;
use crate::llm::script::turn::Match;
use crate::storage::StorageClause;

/// A fault that comes to some of the requests, counted from 1 among those that are meant. The
/// turn that would have answered is not said by that: who asks again gets it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RuleWords", into = "RuleWords")]
pub struct FaultRule {
    /// The name shown in every message about this fault; unique.
    pub id: Option<String>,
    /// Whose answers go wrong.
    pub on: Neighbour,
    /// Which requests. They are counted from the moment at which the fault is put in.
    pub nth: Nth,
    /// Which requests to the model are counted.
    pub condition: Option<Match>,
    pub fault: ScriptedFault,
    /// Whether it has failed if it did not come as often as `nth` says.
    pub must: bool,
}

/// A rule as it is written.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RuleWords {
    /// The name shown in every message about this fault; unique. Default: `fault-<place>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Whose answers go wrong: `model`, on every path where it can be asked; `storage`, or some
    /// of its requests as in `{ storage: { verb: put, object: manifest } }`.
    on: Neighbour,
    /// Which requests: a number, or some of them as in `2..4` or `4..`. Default: 1. They are
    /// counted from the moment at which the fault is put in.
    #[serde(default)]
    nth: Nth,
    /// Which requests to the model are counted, in the words of `match`. Default: all.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    condition: Option<Match>,
    /// What goes wrong, in the words of a turn's `fault`, without `times`.
    #[serde(deserialize_with = "without_times")]
    fault: ScriptedFault,
    /// Whether it has failed if it did not come as often as `nth` says. Default: true.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    must: bool,
}

/// Words that make no rule.
#[derive(Debug, thiserror::Error)]
enum UnclearRule {
    #[error("`{0}` cannot befall the model; `lost` and `corrupt` are for the storage")]
    NotTheModels(&'static str),
    #[error(
        "this `{0}` cannot befall the storage, whose answers have neither frames nor calls; a moment there is `request`, `headers` or `{{ bytes: 120 }}`"
    )]
    NotTheStorages(&'static str),
    #[error(
        "`where` is about what the model is asked; which requests to the storage are meant is said in `on`, as in `{{ storage: {{ verb: put }} }}`"
    )]
    WhereOfStorage,
}

impl TryFrom<RuleWords> for FaultRule {
    type Error = UnclearRule;

    fn try_from(words: RuleWords) -> Result<Self, UnclearRule> {
        let fault = &words.fault.fault;
        match &words.on {
            Neighbour::Model if !fault.is_the_models() => {
                return Err(UnclearRule::NotTheModels(fault.word()));
            }
            Neighbour::Storage(_) if !fault.is_a_documents() => {
                return Err(UnclearRule::NotTheStorages(fault.word()));
            }
            Neighbour::Storage(_) if words.condition.is_some() => {
                return Err(UnclearRule::WhereOfStorage);
            }
            Neighbour::Model | Neighbour::Storage(_) => {}
        }
        Ok(Self {
            id: words.id,
            on: words.on,
            nth: words.nth,
            condition: words.condition,
            fault: words.fault,
            must: words.must,
        })
    }
}

impl From<FaultRule> for RuleWords {
    fn from(rule: FaultRule) -> Self {
        Self {
            id: rule.id,
            on: rule.on,
            nth: rule.nth,
            condition: rule.condition,
            fault: rule.fault,
            must: rule.must,
        }
    }
}

/// A service whose answers can go wrong by their number.
#[derive(Clone, Debug, PartialEq)]
pub enum Neighbour {
    /// The model, on every path where it can be asked.
    Model,
    /// The storage: those of its requests.
    Storage(StorageClause),
}

const NEIGHBOURS: [&str; 2] = ["model", "storage"];

/// With more to say than a word.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StorageWords {
    storage: StorageClause,
}

impl Serialize for Neighbour {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Model => out.serialize_str("model"),
            Self::Storage(clause) if *clause == StorageClause::default() => {
                out.serialize_str("storage")
            }
            Self::Storage(clause) => {
                let storage = clause.clone();
                StorageWords { storage }.serialize(out)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Neighbour {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(WrittenNeighbour)
    }
}

struct WrittenNeighbour;

impl<'de> Visitor<'de> for WrittenNeighbour {
    type Value = Neighbour;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("`model`, `storage`, or `{ storage: { verb: put } }`")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Neighbour, E> {
        match word {
            "model" => Ok(Neighbour::Model),
            "storage" => Ok(Neighbour::Storage(StorageClause::default())),
            other => Err(E::unknown_variant(other, &NEIGHBOURS)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Neighbour, A::Error> {
        let words = StorageWords::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Neighbour::Storage(words.storage))
    }
}

impl JsonSchema for Neighbour {
    fn schema_name() -> Cow<'static, str> {
        "Neighbour".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let words = generator.subschema_for::<StorageWords>();
        json_schema!({
            "description": "A service whose answers can go wrong by their number.",
            "anyOf": [{ "enum": NEIGHBOURS }, words],
        })
    }
}

/// Some of several requests, counted from 1; both ends are among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nth {
    pub first: NonZeroU32,
    /// Without it, all from the first on.
    pub last: Option<NonZeroU32>,
}

impl Nth {
    pub(crate) fn holds(self, number: u32) -> bool {
        number >= self.first.get() && self.last.is_none_or(|last| number <= last.get())
    }

    /// How often a fault comes that has come to all of them; at least once to those without
    /// an end.
    #[must_use]
    pub fn wanted(self) -> u32 {
        self.last
            .map_or(1, |last| last.get() - self.first.get() + 1)
    }

    fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| match text.trim().parse() {
            Ok(number) => Some(number),
            Err(_no_number) => None,
        };
        let Some((first, last)) = text.split_once("..") else {
            return number(text).map(Self::only);
        };
        let first = number(first)?;
        let last = match last.trim() {
            "" => None,
            last => Some(number(last)?),
        };
        let is_in_order = last.is_none_or(|last| first <= last);
        is_in_order.then_some(Self { first, last })
    }

    fn only(number: NonZeroU32) -> Self {
        Self {
            first: number,
            last: Some(number),
        }
    }
}

impl Default for Nth {
    fn default() -> Self {
        Self::only(NonZeroU32::MIN)
    }
}

/// `2`, `2..4` or `4..`.
impl fmt::Display for Nth {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last {
            Some(last) if last == self.first => write!(out, "{last}"),
            Some(last) => write!(out, "{}..{last}", self.first),
            None => write!(out, "{}..", self.first),
        }
    }
}

impl Serialize for Nth {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        if self.last == Some(self.first) {
            return self.first.serialize(out);
        }
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Nth {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(NumberOrRange)
    }
}

struct NumberOrRange;

impl Visitor<'_> for NumberOrRange {
    type Value = Nth;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the number of a request from 1 on, or some of them as in `2..4` or `4..`")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Nth, E> {
        let read = Nth::parse(&number.to_string());
        read.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Nth, E> {
        Nth::parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl JsonSchema for Nth {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Nth".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Requests by their number: `2`, `2..4` or `4..`.",
            "anyOf": [
                { "type": "integer", "minimum": 1 },
                { "type": "string", "pattern": "^[1-9][0-9]*(\\.\\.([1-9][0-9]*)?)?$" },
            ],
        })
    }
}

fn without_times<'de, D: Deserializer<'de>>(input: D) -> Result<ScriptedFault, D::Error> {
    let fault = ScriptedFault::deserialize(input)?;
    if fault.times.is_some() {
        let message = "`times` is for the fault of a turn; here `nth` beside the fault says how often, e.g. `nth: 1..3`";
        return Err(D::Error::custom(message));
    }
    Ok(fault)
}

fn yes() -> bool {
    true
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
fn is_yes(value: &bool) -> bool {
    *value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn read(rule: &str) -> Result<FaultRule, String> {
        yaml::read("script.yaml", rule).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn a_rule_is_written_as_it_was_read() {
        for rule in [
            r#"{"on":"model","nth":1,"fault":{"status":503}}"#,
            r#"{"id":"down","on":"model","nth":"2..4","where":{"lane":"title"},"fault":{"reset":3},"must":false}"#,
            r#"{"on":"model","nth":"4..","where":"miso","fault":{"html":502}}"#,
            r#"{"on":"storage","nth":1,"fault":{"lost":"answer"}}"#,
            r#"{"on":{"storage":{"verb":"get","bucket":"attic","object":"/[.]json$/"}},"nth":1,"fault":{"corrupt":{"bytes":7}}}"#,
        ] {
            assert_eq!(serde_json::to_string(&read(rule).unwrap()).unwrap(), rule);
        }
    }

    #[test]
    fn requests_are_named_by_their_numbers() {
        #[track_caller]
        fn check(nth: &str, held: &[u32], wanted: u32) {
            let rule = read(&format!("{{ on: model, {nth} fault: {{ html: 502 }} }}")).unwrap();
            let holds: Vec<u32> = (1..=6).filter(|n| rule.nth.holds(*n)).collect();
            assert_eq!((&holds[..], rule.nth.wanted()), (held, wanted), "{nth}");
        }
        check("", &[1], 1);
        check("nth: 2,", &[2], 1);
        check("nth: '2',", &[2], 1);
        check("nth: 1..3,", &[1, 2, 3], 3);
        check("nth: 4..,", &[4, 5, 6], 1);
    }

    #[test]
    fn a_rule_that_cannot_be_is_refused() {
        #[track_caller]
        fn check(rule: &str, complaint: &str) {
            let mistake = read(rule).unwrap_err();
            assert!(mistake.contains(complaint), "{mistake}");
        }
        let fault = "fault: { html: 502 }";
        check(&format!("{{ {fault} }}"), "`on`");
        check(
            &format!("{{ on: modell, {fault} }}"),
            "did you mean `model`?",
        );
        check(&format!("{{ on: model, nth: 0, {fault} }}"), "from 1 on");
        check(
            &format!("{{ on: model, nth: 3..2, {fault} }}"),
            "as in `2..4`",
        );
        check(
            &format!("{{ on: model, nth: ..2, {fault} }}"),
            "as in `2..4`",
        );
        check(
            "{ on: model, fault: { html: 502, times: 2 } }",
            "here `nth` beside the fault says how often",
        );
        check(
            &format!("{{ on: model, where: {{ usr: x }}, {fault} }}"),
            "did you mean `user`?",
        );
        check(
            &format!("{{ on: {{ storage: {{ verb: putt }} }}, {fault} }}"),
            "did you mean `put`?",
        );
        check(
            &format!("{{ on: storage, where: x, {fault} }}"),
            "is said in `on`",
        );
        check(
            "{ on: storage, fault: { invalid: 3 } }",
            "`invalid` cannot befall the storage",
        );
        check(
            "{ on: storage, fault: { reset: 3 } }",
            "`reset` cannot befall the storage",
        );
        check(
            "{ on: model, fault: { lost: answer } }",
            "`lost` cannot befall the model",
        );
    }
}
