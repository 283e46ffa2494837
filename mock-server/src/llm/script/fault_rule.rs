//! What goes wrong with requests by their number, whatever turn answers them.
//!
//! Types only. A rule stands beside the turns, so that a story can be broken without being
//! written anew.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::llm::script::fault::ScriptedFault;
use crate::llm::script::turn::Match;

/// A fault that comes to some of the requests, counted from 1 among those for which `where`
/// holds. The turn that would have answered is not said by that: who asks again gets it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// The name shown in every message about this fault; unique. Default: `fault-<place>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Whose answers go wrong.
    pub on: Neighbour,
    /// Which requests: a number, or some of them as in `2..4` or `4..`. Default: 1. They are
    /// counted from the moment at which the fault is put in.
    #[serde(default)]
    pub nth: Nth,
    /// Which requests are counted, in the words of `match`. Default: all.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub condition: Option<Match>,
    /// What goes wrong, in the words of a turn's `fault`, without `times`.
    #[serde(deserialize_with = "without_times")]
    pub fault: ScriptedFault,
    /// Whether it has failed if it did not come as often as `nth` says. Default: true.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub must: bool,
}

/// A service whose answers can go wrong by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Neighbour {
    /// The model, on every path where it can be asked.
    Model,
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
    }
}
