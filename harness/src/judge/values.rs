//! How values are compared: what is the same, what is more, what has which length and kind.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::Value;

use crate::lenient::parsed;
use crate::scenario::Kind;

/// Numbers and instants are the same however they are written.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::String(one), Value::String(other)) => {
            one == other || instant(one).is_some_and(|at| instant(other) == Some(at))
        }
        (one, other) => one == other,
    }
}

fn instant(text: &str) -> Option<Timestamp> {
    parsed(text)
}

pub(super) fn ordering(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64()?.partial_cmp(&other.as_f64()?),
        (Value::String(one), Value::String(other)) => match (instant(one), instant(other)) {
            (Some(one), Some(other)) => Some(one.cmp(&other)),
            (_, _) => Some(one.cmp(other)),
        },
        (_, _) => None,
    }
}

/// The texts that an operator on text looks at: the value, or the items of a list.
pub(super) fn texts(actual: Option<&Value>) -> impl Iterator<Item = &str> {
    let own = actual.and_then(Value::as_str);
    let items = actual.and_then(Value::as_array);
    own.into_iter()
        .chain(items.into_iter().flatten().filter_map(Value::as_str))
}

pub(super) fn length(value: &Value) -> Option<usize> {
    match value {
        Value::Array(items) => Some(items.len()),
        Value::Object(fields) => Some(fields.len()),
        Value::String(text) => Some(text.chars().count()),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

pub(super) fn kind_of(value: &Value) -> Kind {
    match value {
        Value::Null => Kind::Null,
        Value::Bool(_) => Kind::Bool,
        Value::Number(_) => Kind::Number,
        Value::String(_) => Kind::String,
        Value::Array(_) => Kind::List,
        Value::Object(_) => Kind::Map,
    }
}
