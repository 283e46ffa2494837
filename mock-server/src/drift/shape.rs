//! What a document looks like when its values do not matter: its paths, and what stands there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

/// The kinds of value at each path, e.g. `choices[].delta.content`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    paths: BTreeMap<String, Kinds>,
}

/// What stands at a path, in one document or in several; never empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kinds(BTreeSet<Kind>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Object,
    Array,
    String,
    Number,
    Boolean,
    Null,
}

impl Shape {
    /// Adds a document to what was seen.
    pub(crate) fn see(&mut self, document: &Value) {
        self.look(document, String::new());
    }

    fn look(&mut self, value: &Value, path: String) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    let dot = if path.is_empty() { "" } else { "." };
                    self.look(member, format!("{path}{dot}{name}"));
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.look(item, format!("{path}[]"));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        self.paths
            .entry(path)
            .or_default()
            .0
            .insert(Kind::of(value));
    }

    /// Where two differ: the path, and what stands there in each. What is below a path that
    /// only one of them has is not told again.
    pub(crate) fn differences<'a>(
        &'a self,
        other: &'a Self,
    ) -> Vec<(&'a str, Option<&'a Kinds>, Option<&'a Kinds>)> {
        let paths: BTreeSet<&String> = self.paths.keys().chain(other.paths.keys()).collect();
        let mut told: Vec<&str> = Vec::new();
        let mut differences = Vec::new();
        for path in paths {
            let (mine, theirs) = (self.paths.get(path), other.paths.get(path));
            let is_told = told.iter().any(|above| is_below(path, above));
            if mine == theirs || is_told {
                continue;
            }
            if mine.is_none() || theirs.is_none() {
                told.push(path);
            }
            differences.push((path.as_str(), mine, theirs));
        }
        differences
    }
}

fn is_below(path: &str, above: &str) -> bool {
    let rest = path.strip_prefix(above);
    rest.is_some_and(|rest| rest.starts_with(['.', '[']))
}

impl Kind {
    fn of(value: &Value) -> Self {
        match value {
            Value::Object(_) => Self::Object,
            Value::Array(_) => Self::Array,
            Value::String(_) => Self::String,
            Value::Number(_) => Self::Number,
            Value::Bool(_) => Self::Boolean,
            Value::Null => Self::Null,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Null => "null",
        }
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<_> = self.0.iter().map(|kind| kind.as_str()).collect();
        out.write_str(&kinds.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(one: &[Value], other: &[Value], expected: &[&str]) {
        let shape = |documents: &[Value]| {
            let mut shape = Shape::default();
            documents.iter().for_each(|document| shape.see(document));
            shape
        };
        let (one, other) = (shape(one), shape(other));
        let shown = |kinds: Option<&Kinds>| kinds.map_or("nothing".to_owned(), ToString::to_string);
        let found: Vec<_> = one
            .differences(&other)
            .into_iter()
            .map(|(path, one, other)| format!("{path}: {}, {}", shown(one), shown(other)))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn values_are_no_difference_and_kinds_are() {
        check(
            &[json!({"a": 1, "b": "x"})],
            &[json!({"b": "y", "a": 2.5})],
            &[],
        );
        check(
            &[json!({"a": 1})],
            &[json!({"a": "1"})],
            &["a: number, string"],
        );
        check(
            &[json!({"a": [{"b": null}, {"b": 1}]})],
            &[json!({"a": [{"b": 1}]})],
            &["a[].b: number or null, number"],
        );
    }

    #[test]
    fn documents_of_a_stream_are_seen_together() {
        check(
            &[json!({"a": 1}), json!({"b": 1})],
            &[json!({"b": 2, "a": 3})],
            &[],
        );
    }

    #[test]
    fn what_is_missing_is_told_once() {
        check(
            &[json!({"usage": {"cost": 1, "details": {"x": 1}}, "user": 1})],
            &[json!({})],
            &["usage: object, nothing", "user: number, nothing"],
        );
    }
}
