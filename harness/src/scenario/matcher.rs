//! What a value must look like: a scalar is equal, a map is a subset, a list is exact,
//! and operators say the rest.
//!
//! The words only; they are put to the test in `matching`.

use std::borrow::Cow;
use std::fmt;

use indexmap::IndexMap;
use mock_server::yaml::{At, nearest};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::{self, StrDeserializer};
use serde::de::{Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// What a value must look like.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Matcher {
    /// Equal; a text may hold `${…}`.
    Equals(Value),
    /// A map that has at least these fields.
    Fields(IndexMap<String, At<Self>>),
    /// A list of exactly these items, in this order.
    Items(Vec<At<Self>>),
    /// All of these hold.
    Tests(Vec<Test>),
}

/// An operator and what it is given.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    /// A text that holds this text, or a list that holds such an item.
    Contains(String),
    Regex(Pattern),
    /// Anything, as long as it is there.
    Any(Always),
    Type(Kind),
    Len(Box<Matcher>),
    Gt(Value),
    Lt(Value),
    /// From the first to the second, both included.
    Between(Value, Value),
    In(Vec<Value>),
    Not(Box<Matcher>),
    /// At least one item of a list.
    Some(Box<Matcher>),
    /// Every item of a list.
    All(Box<Matcher>),
    /// The items of a list in any order.
    Unordered(Vec<Matcher>),
    Absent(Always),
    /// A text that is JSON which matches.
    Json(Box<Matcher>),
    /// Remembers the value under this name, for `${name}`; beside a `regex` with a group, the
    /// part that the group matches.
    Capture(String),
}

/// The operators, as they are written.
pub(crate) const OPERATORS: [&str; 16] = [
    "contains",
    "regex",
    "any",
    "type",
    "len",
    "gt",
    "lt",
    "between",
    "in",
    "not",
    "some",
    "all",
    "unordered",
    "absent",
    "json",
    "capture",
];

/// `true`, the only value that `any` and `absent` take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Always;

/// A type of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    String,
    Number,
    Bool,
    List,
    Map,
    Null,
}

/// A regular expression that is known to be one.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(pub(crate) regex::Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// The variant that is written so.
fn named<'de, T: Deserialize<'de>>(name: &str) -> Option<T> {
    let word: StrDeserializer<'_, value::Error> = name.into_deserializer();
    match T::deserialize(word) {
        Ok(variant) => Some(variant),
        Err(_unknown) => None,
    }
}

impl<'de> Deserialize<'de> for Always {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if bool::deserialize(deserializer)? {
            return Ok(Self);
        }
        Err(D::Error::custom(
            "only `true` says something here\nhelp: use `not` for the opposite",
        ))
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        regex::Regex::new(&text).map(Self).map_err(|error| {
            let shown = error.to_string();
            let cause = shown.lines().last().map_or("", |line| line);
            let cause = cause.trim_start_matches("error: ");
            D::Error::custom(format_args!("not a regular expression: {cause}"))
        })
    }
}

impl JsonSchema for Pattern {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "regex" })
    }
}

impl<'de> Deserialize<'de> for Matcher {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = Matcher;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value to compare with, or a map of operators")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Matcher, E> {
        Ok(Matcher::Equals(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Matcher, E> {
        Ok(Matcher::Equals(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Matcher, E> {
        Ok(Matcher::Equals(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Matcher, E> {
        Ok(Matcher::Equals(value.into()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Matcher, E> {
        Ok(Matcher::Equals(value.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<Matcher, E> {
        Ok(Matcher::Equals(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Matcher, A::Error> {
        let mut matchers = Vec::new();
        while let Some(matcher) = items.next_element()? {
            matchers.push(matcher);
        }
        Ok(Matcher::Items(matchers))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Matcher, A::Error> {
        let mut fields: IndexMap<String, At<Matcher>> = IndexMap::new();
        let mut tests = Vec::new();
        while let Some(word) = entries.next_key::<Word>()? {
            match word {
                Word::Operator(name) => tests.push(operator(name, &mut entries)?),
                Word::Field(name) => {
                    fields.insert(name, entries.next_value()?);
                }
            }
        }
        sorted(fields, tests)
    }
}

/// `type` is an operator and a common name of a field: its company and value decide.
fn sorted<E: Error>(
    fields: IndexMap<String, At<Matcher>>,
    mut tests: Vec<Test>,
) -> Result<Matcher, E> {
    if let [(name, value)] = fields.iter().collect::<Vec<_>>().as_slice()
        && *name == "type"
        && let Matcher::Equals(Value::String(kind)) = &value.value
        && let Some(kind) = named(kind)
    {
        tests.push(Test::Type(kind));
        return Ok(Matcher::Tests(tests));
    }
    match (fields.first(), tests.is_empty()) {
        (_, true) => Ok(Matcher::Fields(fields)),
        (None, false) => Ok(Matcher::Tests(tests)),
        (Some((name, _)), false) => Err(E::custom(format_args!(
            "`{name}` is a field and stands beside an operator\nhelp: use fields or operators in one map, not both; the operators are {}",
            OPERATORS.join(", ")
        ))),
    }
}

fn operator<'de, A: MapAccess<'de>>(name: Operator, entries: &mut A) -> Result<Test, A::Error> {
    Ok(match name {
        Operator::Contains => Test::Contains(entries.next_value()?),
        Operator::Regex => Test::Regex(entries.next_value()?),
        Operator::Any => Test::Any(entries.next_value()?),
        Operator::Len => Test::Len(entries.next_value()?),
        Operator::Gt => Test::Gt(entries.next_value()?),
        Operator::Lt => Test::Lt(entries.next_value()?),
        Operator::Between => {
            let (low, high) = entries.next_value()?;
            Test::Between(low, high)
        }
        Operator::In => Test::In(entries.next_value()?),
        Operator::Not => Test::Not(entries.next_value()?),
        Operator::Some => Test::Some(entries.next_value()?),
        Operator::All => Test::All(entries.next_value()?),
        Operator::Unordered => Test::Unordered(entries.next_value()?),
        Operator::Absent => Test::Absent(entries.next_value()?),
        Operator::Json => Test::Json(entries.next_value()?),
        Operator::Capture => Test::Capture(entries.next_value()?),
    })
}

enum Word {
    Operator(Operator),
    Field(String),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Operator {
    Contains,
    Regex,
    Any,
    Len,
    Gt,
    Lt,
    Between,
    In,
    Not,
    Some,
    All,
    Unordered,
    Absent,
    Json,
    Capture,
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if let Some(operator) = named(&name) {
            return Ok(Self::Operator(operator));
        }
        // A misspelt operator would read as a field that nothing has: long ones are told.
        let long = OPERATORS.into_iter().filter(|word| word.len() >= 5);
        match nearest(&name, long) {
            Some(word) if name.len().abs_diff(word.len()) <= 1 && name.len() > 5 => {
                Err(D::Error::custom(format_args!(
                    "unknown operator `{name}`\nhelp: did you mean `{word}`?"
                )))
            }
            Some(_) | None => Ok(Self::Field(name)),
        }
    }
}

impl JsonSchema for Matcher {
    fn schema_name() -> Cow<'static, str> {
        "Matcher".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": format!(
                "A scalar is equal, a map is a subset, a list is exact; or operators: {}.",
                OPERATORS.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use mock_server::yaml::{self, Span};
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &Matcher) {
        let read: At<Matcher> = yaml::read("m.yaml", text).unwrap();
        assert_eq!(read.value, *expected);
    }

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        let mistakes = yaml::read::<Matcher>("m.yaml", text).unwrap_err();
        let first = &mistakes.list()[0];
        let help = first.help.as_deref().map_or("", |help| help);
        assert_eq!(format!("{} | {help}", first.message), expected);
    }

    fn equals(value: Value) -> At<Matcher> {
        At {
            value: Matcher::Equals(value),
            span: Span::default(),
        }
    }

    #[test]
    fn operators_are_told_from_fields() {
        check("5", &Matcher::Equals(json!(5)));
        check(
            "{contains: x}",
            &Matcher::Tests(vec![Test::Contains("x".into())]),
        );
        check(
            "{type: string}",
            &Matcher::Tests(vec![Test::Type(Kind::String)]),
        );
        let fields = [("type".to_owned(), equals(json!("message")))];
        check(
            "{type: message}",
            &Matcher::Fields(fields.into_iter().collect()),
        );
        let both = vec![Test::Capture("sid".into()), Test::Type(Kind::String)];
        check("{type: string, capture: sid}", &Matcher::Tests(both));
    }

    #[test]
    fn a_misspelt_operator_is_told_from_a_field() {
        check_error(
            "{contans: x}",
            "unknown operator `contans` | did you mean `contains`?",
        );
        check_error(
            "{regex: '('}",
            "not a regular expression: unclosed group | ",
        );
        check_error(
            "{absent: false}",
            "only `true` says something here | use `not` for the opposite",
        );
    }
}
