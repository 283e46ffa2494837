//! Puts a value to the test of a matcher and says where the two part.
//!
//! Pure: the same value, matcher and names always part in the same places.

use serde_json::Value;

use crate::scenario::{Kind, Matcher, Names, Test, UnknownName};

/// One place where a value is not what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// `user`, `tool_results[0].ok`; empty for the value itself.
    pub(crate) path: String,
    pub(crate) expected: String,
    pub(crate) actual: String,
}

/// How near a value came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) mismatches: Vec<Mismatch>,
    /// How many clauses held.
    pub(crate) held: usize,
    /// What was captured on the way.
    pub(crate) captures: Vec<(String, Value)>,
}

impl Comparison {
    pub(crate) fn matches(&self) -> bool {
        self.mismatches.is_empty()
    }
}

/// Compares a value (`None`: it is not there) with a matcher.
pub(crate) fn compare(
    matcher: &Matcher,
    actual: Option<&Value>,
    names: &Names,
) -> Result<Comparison, UnknownName> {
    let mut comparing = Comparing {
        names,
        path: String::new(),
        result: Comparison::default(),
    };
    comparing.matcher(matcher, actual)?;
    Ok(comparing.result)
}

struct Comparing<'a> {
    names: &'a Names,
    path: String,
    result: Comparison,
}

impl Comparing<'_> {
    fn matcher(&mut self, matcher: &Matcher, actual: Option<&Value>) -> Result<(), UnknownName> {
        match matcher {
            Matcher::Equals(expected) => {
                let expected = self.names.fill_value(expected)?;
                self.tell(actual.is_some_and(|actual| same(actual, &expected)), || shown(Some(&expected)), actual);
                Ok(())
            }
            Matcher::Fields(fields) => {
                let Some(Value::Object(found)) = actual else {
                    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
                    self.differ(format!("a map with {}", names.join(", ")), actual);
                    return Ok(());
                };
                for (name, matcher) in fields {
                    let dot = if self.path.is_empty() { "" } else { "." };
                    self.below(&format!("{dot}{name}"), matcher, found.get(name))?;
                }
                Ok(())
            }
            Matcher::Items(items) => self.items(items.iter().map(|item| &item.value), actual),
            Matcher::Tests(tests) => tests.iter().try_for_each(|test| self.test(test, actual)),
        }
    }

    fn below(
        &mut self,
        step: &str,
        matcher: &Matcher,
        actual: Option<&Value>,
    ) -> Result<(), UnknownName> {
        let length = self.path.len();
        self.path.push_str(step);
        let compared = self.matcher(matcher, actual);
        self.path.truncate(length);
        compared
    }

    fn items<'m>(
        &mut self,
        matchers: impl ExactSizeIterator<Item = &'m Matcher>,
        actual: Option<&Value>,
    ) -> Result<(), UnknownName> {
        let wanted = matchers.len();
        let Some(found) = actual.and_then(Value::as_array) else {
            self.differ(format!("a list of {wanted}"), actual);
            return Ok(());
        };
        if found.len() != wanted {
            self.differ(format!("a list of {wanted}"), actual);
        }
        for (index, (matcher, value)) in matchers.zip(found).enumerate() {
            self.below(&format!("[{index}]"), matcher, Some(value))?;
        }
        Ok(())
    }

    fn test(&mut self, test: &Test, actual: Option<&Value>) -> Result<(), UnknownName> {
        match test {
            Test::Contains(part) => self.contains(part, actual)?,
            Test::Regex(pattern) => {
                let holds = texts(actual).any(|text| pattern.0.is_match(text));
                self.tell(holds, || format!("a text that matches /{}/", pattern.0), actual);
            }
            Test::Any(_) => self.tell(actual.is_some(), || "anything".to_owned(), actual),
            Test::Absent(_) => {
                let absent = actual.is_none_or(Value::is_null);
                self.tell(absent, || "nothing".to_owned(), actual);
            }
            Test::Type(kind) => {
                let holds = actual.is_some_and(|actual| kind_of(actual) == *kind);
                self.tell(holds, || format!("a {}", kind_name(*kind)), actual);
            }
            Test::Len(matcher) => {
                let length = actual.and_then(length).map(Value::from);
                return self.below(".len", matcher, length.as_ref());
            }
            Test::Gt(_) | Test::Lt(_) | Test::Between(..) => self.order(test, actual)?,
            Test::In(values) => {
                let values: Result<Vec<Value>, _> =
                    values.iter().map(|value| self.names.fill_value(value)).collect();
                let values = values?;
                let holds = actual.is_some_and(|actual| values.iter().any(|one| same(actual, one)));
                let wanted = || {
                    let all: Vec<String> = values.iter().map(|one| shown(Some(one))).collect();
                    format!("one of {}", all.join(", "))
                };
                self.tell(holds, wanted, actual);
            }
            Test::Not(matcher) => {
                let holds = !compare(matcher, actual, self.names)?.matches();
                self.tell(holds, || format!("not {}", told(matcher)), actual);
            }
            Test::Some(_) | Test::All(_) | Test::Unordered(_) => self.lists(test, actual)?,
            Test::Json(matcher) => {
                let text = actual.and_then(Value::as_str);
                let parsed = text.and_then(|text| serde_json::from_str(text).map_or(None, Some));
                let parsed: Option<Value> = parsed;
                if parsed.is_none() {
                    self.differ("a text that is JSON".to_owned(), actual);
                    return Ok(());
                }
                return self.matcher(matcher, parsed.as_ref());
            }
            Test::Capture(name) => {
                if let Some(actual) = actual {
                    self.result.captures.push((name.clone(), actual.clone()));
                }
                self.tell(actual.is_some(), || "anything, to capture it".to_owned(), actual);
            }
        }
        Ok(())
    }

    fn contains(&mut self, part: &str, actual: Option<&Value>) -> Result<(), UnknownName> {
        let part = self.names.fill_text(part)?;
        let holds = texts(actual).any(|text| text.contains(&part));
        self.tell(holds, || format!("contains {part:?}"), actual);
        Ok(())
    }

    fn order(&mut self, test: &Test, actual: Option<&Value>) -> Result<(), UnknownName> {
        use std::cmp::Ordering::{Greater, Less};
        let names = self.names;
        let compared = |other: &Value| {
            let other = names.fill_value(other)?;
            Ok(actual.and_then(|actual| ordering(actual, &other)))
        };
        let (holds, wanted) = match test {
            Test::Gt(low) => (compared(low)? == Some(Greater), format!("more than {low}")),
            Test::Lt(high) => (compared(high)? == Some(Less), format!("less than {high}")),
            Test::Between(low, high) => {
                let above = compared(low)?.is_some_and(|order| order != Less);
                let below = compared(high)?.is_some_and(|order| order != Greater);
                (above && below, format!("between {low} and {high}"))
            }
            Test::Contains(_)
            | Test::Regex(_)
            | Test::Any(_)
            | Test::Type(_)
            | Test::Len(_)
            | Test::In(_)
            | Test::Not(_)
            | Test::Some(_)
            | Test::All(_)
            | Test::Unordered(_)
            | Test::Absent(_)
            | Test::Json(_)
            | Test::Capture(_) => return Ok(()),
        };
        self.tell(holds, || wanted, actual);
        Ok(())
    }

    fn lists(&mut self, test: &Test, actual: Option<&Value>) -> Result<(), UnknownName> {
        let Some(found) = actual.and_then(Value::as_array) else {
            self.differ("a list".to_owned(), actual);
            return Ok(());
        };
        match test {
            Test::Some(matcher) => self.some(matcher, found),
            Test::All(matcher) => found.iter().enumerate().try_for_each(|(index, value)| {
                self.below(&format!("[{index}]"), matcher, Some(value))
            }),
            Test::Unordered(matchers) => self.unordered(matchers, found),
            Test::Contains(_)
            | Test::Regex(_)
            | Test::Any(_)
            | Test::Type(_)
            | Test::Len(_)
            | Test::Gt(_)
            | Test::Lt(_)
            | Test::Between(..)
            | Test::In(_)
            | Test::Not(_)
            | Test::Absent(_)
            | Test::Json(_)
            | Test::Capture(_) => Ok(()),
        }
    }

    /// On a miss, the item that came nearest is what is told.
    fn some(&mut self, matcher: &Matcher, found: &[Value]) -> Result<(), UnknownName> {
        let mut nearest: Option<(usize, Comparison)> = None;
        for (index, value) in found.iter().enumerate() {
            let compared = compare(matcher, Some(value), self.names)?;
            if compared.matches() {
                self.result.held += compared.held;
                self.result.captures.extend(compared.captures);
                return Ok(());
            }
            if nearest.as_ref().is_none_or(|(_, best)| compared.held > best.held) {
                nearest = Some((index, compared));
            }
        }
        let Some((index, nearest)) = nearest else {
            self.differ("some item".to_owned(), Some(&Value::Array(Vec::new())));
            return Ok(());
        };
        self.result.held += nearest.held;
        for mismatch in nearest.mismatches {
            let dot = if mismatch.path.is_empty() || mismatch.path.starts_with('[') { "" } else { "." };
            let path = format!("{}[{index}]{dot}{}", self.path, mismatch.path);
            self.result.mismatches.push(Mismatch { path, ..mismatch });
        }
        Ok(())
    }

    fn unordered(&mut self, matchers: &[Matcher], found: &[Value]) -> Result<(), UnknownName> {
        let mut left: Vec<&Value> = found.iter().collect();
        for matcher in matchers {
            let mut at = None;
            for (index, value) in left.iter().enumerate() {
                if compare(matcher, Some(value), self.names)?.matches() {
                    at = Some(index);
                    break;
                }
            }
            match at {
                Some(index) => {
                    self.result.held += 1;
                    left.remove(index);
                }
                None => self.differ(format!("an item that is {}", told(matcher)), None),
            }
        }
        for value in left {
            self.differ("no further item".to_owned(), Some(value));
        }
        Ok(())
    }

    fn tell(&mut self, holds: bool, expected: impl FnOnce() -> String, actual: Option<&Value>) {
        if holds {
            self.result.held += 1;
        } else {
            self.differ(expected(), actual);
        }
    }

    fn differ(&mut self, expected: String, actual: Option<&Value>) {
        self.result.mismatches.push(Mismatch {
            path: self.path.clone(),
            expected,
            actual: shown(actual),
        });
    }
}

/// A matcher in a few words.
pub(crate) fn told(matcher: &Matcher) -> String {
    match matcher {
        Matcher::Equals(value) => shown(Some(value)),
        Matcher::Fields(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, matcher)| format!("{name}: {}", told(matcher)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        Matcher::Items(items) => format!("a list of {}", items.len()),
        Matcher::Tests(tests) => {
            let tests: Vec<String> = tests.iter().map(told_test).collect();
            tests.join(" and ")
        }
    }
}

fn told_test(test: &Test) -> String {
    match test {
        Test::Contains(part) => format!("contains {part:?}"),
        Test::Regex(pattern) => format!("matches /{}/", pattern.0),
        Test::Any(_) => "anything".to_owned(),
        Test::Type(kind) => format!("a {}", kind_name(*kind)),
        Test::Len(matcher) => format!("of length {}", told(matcher)),
        Test::Gt(low) => format!("more than {low}"),
        Test::Lt(high) => format!("less than {high}"),
        Test::Between(low, high) => format!("between {low} and {high}"),
        Test::In(values) => format!("one of {}", Value::Array(values.clone())),
        Test::Not(matcher) => format!("not {}", told(matcher)),
        Test::Some(matcher) => format!("some item {}", told(matcher)),
        Test::All(matcher) => format!("every item {}", told(matcher)),
        Test::Unordered(matchers) => format!("{} items in any order", matchers.len()),
        Test::Absent(_) => "absent".to_owned(),
        Test::Json(matcher) => format!("JSON that is {}", told(matcher)),
        Test::Capture(name) => format!("captured as {name}"),
    }
}

/// A value on one line; differences of type stay visible.
fn shown(value: Option<&Value>) -> String {
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

/// Numbers are the same whatever they are written as.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (one, other) => one == other,
    }
}

fn ordering(one: &Value, other: &Value) -> Option<std::cmp::Ordering> {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64()?.partial_cmp(&other.as_f64()?),
        (Value::String(one), Value::String(other)) => {
            let instant = |text: &str| text.parse::<jiff::Timestamp>().map_or(None, Some);
            match (instant(one), instant(other)) {
                (Some(one), Some(other)) => Some(one.cmp(&other)),
                (_, _) => Some(one.cmp(other)),
            }
        }
        (_, _) => None,
    }
}

/// The texts that an operator on text looks at: the value, or the items of a list.
fn texts(actual: Option<&Value>) -> impl Iterator<Item = &str> {
    let own = actual.and_then(Value::as_str);
    let items = actual.and_then(Value::as_array);
    own.into_iter()
        .chain(items.into_iter().flatten().filter_map(Value::as_str))
}

fn length(value: &Value) -> Option<usize> {
    match value {
        Value::Array(items) => Some(items.len()),
        Value::Object(fields) => Some(fields.len()),
        Value::String(text) => Some(text.chars().count()),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn kind_of(value: &Value) -> Kind {
    match value {
        Value::Null => Kind::Null,
        Value::Bool(_) => Kind::Bool,
        Value::Number(_) => Kind::Number,
        Value::String(_) => Kind::String,
        Value::Array(_) => Kind::List,
        Value::Object(_) => Kind::Map,
    }
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

#[cfg(test)]
mod tests {
    use mock_server::yaml;
    use serde_json::json;

    use super::*;

    /// `expected` is one `path: wanted, not actual` for each mismatch.
    #[track_caller]
    fn check(matcher: &str, actual: &Value, expected: &[&str]) {
        let matcher: Matcher = yaml::read("m.yaml", matcher).unwrap();
        let names = Names {
            now: "2026-01-05T09:00:00Z".parse().unwrap(),
            root: "/r".into(),
            captures: [("who".to_owned(), json!("Ada"))].into(),
        };
        let compared = compare(&matcher, Some(actual), &names).unwrap();
        let told: Vec<String> = compared
            .mismatches
            .iter()
            .map(|one| format!("{}: {}, not {}", one.path, one.expected, one.actual))
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_scalar_is_equal_and_types_are_told_apart() {
        check("5", &json!(5.0), &[]);
        check("\"5\"", &json!(5), &[": \"5\", not 5"]);
        check("${who}", &json!("Ada"), &[]);
        check("hi ${who}", &json!("hi Bob"), &[": \"hi Ada\", not \"hi Bob\""]);
    }

    #[test]
    fn a_map_is_a_subset_and_a_list_is_exact() {
        check("{a: 1}", &json!({"a": 1, "b": 2}), &[]);
        check("{a: {b: 1}}", &json!({"a": {"b": 2}}), &["a.b: 1, not 2"]);
        check("{c: 1}", &json!({"a": 1}), &["c: 1, not absent"]);
        check("[1, 2]", &json!([1, 3]), &["[1]: 2, not 3"]);
        check("[1]", &json!([1, 3]), &[": a list of 1, not [1,3]"]);
        check("{a: 1}", &json!("x"), &[": a map with a, not \"x\""]);
    }

    #[test]
    fn operators_say_the_rest() {
        check("{contains: is}", &json!("Miso"), &[]);
        check("{contains: is}", &json!(["a", "Miso"]), &[]);
        check("{contains: \"${who}\"}", &json!("x"), &[": contains \"Ada\", not \"x\""]);
        check("{regex: '^M'}", &json!("Kim"), &[": a text that matches /^M/, not \"Kim\""]);
        check("{type: number}", &json!("x"), &[": a number, not \"x\""]);
        check("{len: 2}", &json!([1]), &[".len: 2, not 1"]);
        check("{len: {gt: 0}}", &json!([1]), &[]);
        check("{gt: 2, lt: 4}", &json!(4), &[": less than 4, not 4"]);
        check("{between: [\"2026-01-05T10:00:00+01:00\", \"${now+1h}\"]}", &json!("2026-01-05T09:00:00Z"), &[]);
        check("{in: [a, b]}", &json!("c"), &[": one of \"a\", \"b\", not \"c\""]);
        check("{not: {contains: x}}", &json!("axb"), &[": not contains \"x\", not \"axb\""]);
        check("{a: {absent: true}}", &json!({"a": null}), &[]);
        check("{a: {any: true}}", &json!({}), &["a: anything, not absent"]);
        check("{json: {a: 1}}", &json!("{\"a\": 2}"), &["a: 1, not 2"]);
    }

    #[test]
    fn lists_are_searched_and_the_nearest_item_is_told() {
        let rows = json!([{"g": "a", "s": 1}, {"g": "b", "s": 2}]);
        check("{some: {g: b, s: 2}}", &rows, &[]);
        check("{some: {g: b, s: 3}}", &rows, &["[1].s: 3, not 2"]);
        check("{all: {s: 1}}", &rows, &["[1].s: 1, not 2"]);
        check("{unordered: [{g: b}, {g: a}]}", &rows, &[]);
        check("{unordered: [{g: b}]}", &rows, &[": no further item, not {\"g\":\"a\",\"s\":1}"]);
        check("{some: {g: a}}", &json!([]), &[": some item, not []"]);
    }

    #[test]
    fn what_matched_can_be_captured() {
        let matcher: Matcher = yaml::read("m.yaml", "{some: {s: {type: number, capture: n}}}").unwrap();
        let names = Names {
            now: jiff::Timestamp::UNIX_EPOCH,
            root: String::new(),
            captures: indexmap::IndexMap::new(),
        };
        let compared = compare(&matcher, Some(&json!([{"s": "x"}, {"s": 7}])), &names).unwrap();
        assert_eq!(compared.captures, [("n".to_owned(), json!(7))]);
    }
}
