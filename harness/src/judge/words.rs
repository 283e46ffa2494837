//! Matchers and values in words, for people.

use mock_server::yaml::At;
use serde_json::Value;

use crate::scenario::{Kind, Matcher, Test};

/// A matcher in words that follow a noun: `contains "x"`, `is 5`.
pub(crate) fn told(matcher: &Matcher) -> String {
    match matcher {
        Matcher::Equals(value) => format!("is {}", shown(Some(value))),
        Matcher::Fields(fields) => {
            let field =
                |(name, matcher): (&String, &At<Matcher>)| format!("{name} {}", told(matcher));
            let fields: Vec<String> = fields.iter().map(field).collect();
            format!("where {}", fields.join(", "))
        }
        Matcher::Items(items) => format!("is a list of {}", items.len()),
        Matcher::Tests(tests) => {
            let tests: Vec<String> = tests.iter().map(told_test).collect();
            tests.join(" and ")
        }
    }
}

pub(super) fn told_test(test: &Test) -> String {
    match test {
        Test::Contains(part) => format!("contains {part:?}"),
        Test::Regex(pattern) => format!("matches /{}/", pattern.0),
        Test::Any(_) => "is there".to_owned(),
        Test::Type(kind) => format!("is a {}", kind_name(*kind)),
        Test::Len(matcher) => format!("has a length that {}", told(matcher)),
        Test::Gt(low) => format!("is more than {low}"),
        Test::Lt(high) => format!("is less than {high}"),
        Test::Between(low, high) => format!("is between {low} and {high}"),
        Test::In(values) => format!("is one of {}", Value::Array(values.clone())),
        Test::Not(matcher) => format!("not: {}", told(matcher)),
        Test::Some(matcher) => format!("has some item: {}", told(matcher)),
        Test::All(matcher) => format!("has only items: {}", told(matcher)),
        Test::Unordered(matchers) => format!("has {} items in any order", matchers.len()),
        Test::Absent(_) => "is not there".to_owned(),
        Test::Json(matcher) => format!("is JSON: {}", told(matcher)),
        Test::Capture(name) => format!("is captured as {name}"),
    }
}

/// A value on one line; differences of type stay visible.
pub(super) fn shown(value: Option<&Value>) -> String {
    let text = match value {
        None => return "absent".to_owned(),
        Some(Value::Array(items)) if items.len() > 3 => format!("a list of {}", items.len()),
        Some(value) => value.to_string(),
    };
    if text.chars().count() <= 160 {
        return text;
    }
    let start: String = text.chars().take(160).collect();
    format!("{start}…")
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "null",
        Kind::Bool => "bool",
        Kind::Number => "number",
        Kind::String => "string",
        Kind::List => "list",
        Kind::Map => "map",
    }
}
