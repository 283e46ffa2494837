//! Puts a value to the test of a matcher and says where the two part.
//!
//! Pure: the same value, matcher and names always part in the same places.

use std::cmp::Ordering::{self, Greater, Less};

use serde_json::Value;

use super::values::{kind_of, length, ordering, same, texts};
use super::words::{shown, told, told_test};
use crate::lenient::json;
use crate::scenario::{Matcher, Names, Test, UnknownName};

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

    /// Takes in what was found of one field.
    pub(crate) fn add(&mut self, field: &str, found: Self) {
        let below = |path: &str| match path.chars().next() {
            None => field.to_owned(),
            Some('[') => format!("{field}{path}"),
            Some(_) => format!("{field}.{path}"),
        };
        let mismatches = found.mismatches.into_iter().map(|mismatch| Mismatch {
            path: below(&mismatch.path),
            ..mismatch
        });
        self.mismatches.extend(mismatches);
        self.held += found.held;
        self.captures.extend(found.captures);
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
                self.tell(
                    actual.is_some_and(|actual| same(actual, &expected)),
                    || shown(Some(&expected)),
                    actual,
                );
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
            Matcher::Tests(tests) => {
                self.capture(tests, actual);
                tests.iter().try_for_each(|test| self.test(test, actual))
            }
        }
    }

    /// Takes note of what is to be remembered: the value, or, beside a regular expression with
    /// a group, the part that the group matches.
    fn capture(&mut self, tests: &[Test], actual: Option<&Value>) {
        let part = tests.iter().find_map(|test| {
            let Test::Regex(pattern) = test else {
                return None;
            };
            texts(actual).find_map(|text| Some(pattern.0.captures(text)?.get(1)?.as_str()))
        });
        let captured = part.map(Value::from).or_else(|| actual.cloned());
        for test in tests {
            if let (Test::Capture(name), Some(captured)) = (test, &captured) {
                self.result.captures.push((name.clone(), captured.clone()));
            }
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
        let holds = match test {
            Test::Contains(part) => {
                let part = self.names.fill_text(part)?;
                let holds = texts(actual).any(|text| text.contains(&part));
                self.tell(holds, || told_test(&Test::Contains(part)), actual);
                return Ok(());
            }
            Test::Regex(pattern) => texts(actual).any(|text| pattern.0.is_match(text)),
            Test::Any(_) => actual.is_some(),
            Test::Absent(_) => actual.is_none_or(Value::is_null),
            Test::Type(kind) => actual.is_some_and(|actual| kind_of(actual) == *kind),
            Test::Gt(low) => self.order(actual, low)? == Some(Greater),
            Test::Lt(high) => self.order(actual, high)? == Some(Less),
            Test::Between(low, high) => {
                let above = self.order(actual, low)?.is_some_and(Ordering::is_ge);
                above && self.order(actual, high)?.is_some_and(Ordering::is_le)
            }
            Test::In(values) => self.is_in(values, actual)?,
            Test::Not(matcher) => !compare(matcher, actual, self.names)?.matches(),
            // Remembered already, see `capture`.
            Test::Capture(_) => actual.is_some(),
            Test::Len(matcher) => {
                let length = actual.and_then(length).map(Value::from);
                return self.below(".len", matcher, length.as_ref());
            }
            Test::Json(matcher) => {
                let Some(value) = actual.and_then(Value::as_str).and_then(json) else {
                    self.differ(told_test(test), actual);
                    return Ok(());
                };
                return self.matcher(matcher, Some(&value));
            }
            Test::Some(matcher) => return self.some(matcher, actual),
            Test::All(matcher) => return self.all(matcher, actual),
            Test::Unordered(matchers) => return self.unordered(matchers, actual),
        };
        self.tell(holds, || told_test(test), actual);
        Ok(())
    }

    fn order(
        &self,
        actual: Option<&Value>,
        other: &Value,
    ) -> Result<Option<Ordering>, UnknownName> {
        let other = self.names.fill_value(other)?;
        Ok(actual.and_then(|actual| ordering(actual, &other)))
    }

    fn is_in(&self, values: &[Value], actual: Option<&Value>) -> Result<bool, UnknownName> {
        for value in values {
            let value = self.names.fill_value(value)?;
            if actual.is_some_and(|actual| same(actual, &value)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The items, or a mismatch if the value is no list.
    fn list<'v>(&mut self, actual: Option<&'v Value>) -> Option<&'v Vec<Value>> {
        let found = actual.and_then(Value::as_array);
        if found.is_none() {
            self.differ("a list".to_owned(), actual);
        }
        found
    }

    fn all(&mut self, matcher: &Matcher, actual: Option<&Value>) -> Result<(), UnknownName> {
        let Some(found) = self.list(actual) else {
            return Ok(());
        };
        found
            .iter()
            .enumerate()
            .try_for_each(|(index, value)| self.below(&format!("[{index}]"), matcher, Some(value)))
    }

    /// On a miss, the item that came nearest is what is told.
    fn some(&mut self, matcher: &Matcher, actual: Option<&Value>) -> Result<(), UnknownName> {
        let Some(found) = self.list(actual) else {
            return Ok(());
        };
        let mut nearest: Option<(usize, Comparison)> = None;
        for (index, value) in found.iter().enumerate() {
            let compared = compare(matcher, Some(value), self.names)?;
            if compared.matches() {
                self.result.held += compared.held;
                self.result.captures.extend(compared.captures);
                return Ok(());
            }
            if nearest
                .as_ref()
                .is_none_or(|(_, best)| compared.held > best.held)
            {
                nearest = Some((index, compared));
            }
        }
        let Some((index, nearest)) = nearest else {
            self.differ("some item".to_owned(), Some(&Value::Array(Vec::new())));
            return Ok(());
        };
        self.result.held += nearest.held;
        for mismatch in nearest.mismatches {
            let dot = if mismatch.path.is_empty() || mismatch.path.starts_with('[') {
                ""
            } else {
                "."
            };
            let path = format!("{}[{index}]{dot}{}", self.path, mismatch.path);
            self.result.mismatches.push(Mismatch { path, ..mismatch });
        }
        Ok(())
    }

    fn unordered(
        &mut self,
        matchers: &[Matcher],
        actual: Option<&Value>,
    ) -> Result<(), UnknownName> {
        let Some(found) = self.list(actual) else {
            return Ok(());
        };
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
                None => self.differ(format!("an item: {}", told(matcher)), None),
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

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
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
            jids: IndexMap::new(),
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
        check(
            "\"2026-01-05T10:00:00+01:00\"",
            &json!("2026-01-05T09:00:00.000Z"),
            &[],
        );
        check(
            "hi ${who}",
            &json!("hi Bob"),
            &[": \"hi Ada\", not \"hi Bob\""],
        );
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
        check(
            "{contains: \"${who}\"}",
            &json!("x"),
            &[": contains \"Ada\", not \"x\""],
        );
        check(
            "{regex: '^M'}",
            &json!("Kim"),
            &[": matches /^M/, not \"Kim\""],
        );
        check("{type: number}", &json!("x"), &[": is a number, not \"x\""]);
        check("{len: 2}", &json!([1]), &[".len: 2, not 1"]);
        check("{len: {gt: 0}}", &json!([1]), &[]);
        check("{gt: 2, lt: 4}", &json!(4), &[": is less than 4, not 4"]);
        check(
            "{between: [\"2026-01-05T10:00:00+01:00\", \"${now+1h}\"]}",
            &json!("2026-01-05T09:00:00Z"),
            &[],
        );
        check(
            "{in: [a, b]}",
            &json!("c"),
            &[": is one of [\"a\",\"b\"], not \"c\""],
        );
        check(
            "{not: {contains: x}}",
            &json!("axb"),
            &[": not: contains \"x\", not \"axb\""],
        );
        check("{a: {absent: true}}", &json!({"a": null}), &[]);
        check("{a: {any: true}}", &json!({}), &["a: is there, not absent"]);
        check("{json: {a: 1}}", &json!("{\"a\": 2}"), &["a: 1, not 2"]);
    }

    #[test]
    fn lists_are_searched_and_the_nearest_item_is_told() {
        let rows = json!([{"g": "a", "s": 1}, {"g": "b", "s": 2}]);
        check("{some: {g: b, s: 2}}", &rows, &[]);
        check("{some: {g: b, s: 3}}", &rows, &["[1].s: 3, not 2"]);
        check("{all: {s: 1}}", &rows, &["[1].s: 1, not 2"]);
        check("{unordered: [{g: b}, {g: a}]}", &rows, &[]);
        check(
            "{unordered: [{g: b}]}",
            &rows,
            &[": no further item, not {\"g\":\"a\",\"s\":1}"],
        );
        check("{some: {g: a}}", &json!([]), &[": some item, not []"]);
    }

    #[test]
    fn what_is_found_of_a_field_lies_below_its_name() {
        let of = |path: &str| Comparison {
            mismatches: vec![Mismatch {
                path: path.to_owned(),
                expected: String::new(),
                actual: String::new(),
            }],
            held: 1,
            ..Comparison::default()
        };
        let mut whole = Comparison::default();
        for path in ["", "[0].ok", "len"] {
            whole.add("media", of(path));
        }
        let paths: Vec<&str> = whole.mismatches.iter().map(|one| &*one.path).collect();
        assert_eq!(paths, ["media", "media[0].ok", "media.len"]);
        assert_eq!(whole.held, 3);
    }

    #[track_caller]
    fn check_captured(matcher: &str, actual: &Value, expected: &Value) {
        let matcher: Matcher = yaml::read("m.yaml", matcher).unwrap();
        let names = Names {
            now: jiff::Timestamp::UNIX_EPOCH,
            root: String::new(),
            jids: IndexMap::new(),
            captures: IndexMap::new(),
        };
        let compared = compare(&matcher, Some(actual), &names).unwrap();
        assert_eq!(compared.captures, [("n".to_owned(), expected.clone())]);
    }

    #[test]
    fn what_matched_can_be_captured() {
        let list = json!([{"s": "x"}, {"s": 7}]);
        check_captured("{some: {s: {type: number, capture: n}}}", &list, &json!(7));
        let status = json!("code:AB12");
        check_captured("{regex: 'code:', capture: n}", &status, &status);
        check_captured("{regex: 'code:(.+)', capture: n}", &status, &json!("AB12"));
    }
}
