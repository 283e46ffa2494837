//! `${…}` in the texts of steps: captures, `now` with an offset, `root`, and JIDs.
//!
//! Variables of a matrix are put in before the file is decoded (see `matrix`).

use std::sync::LazyLock;

use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};
use mock_server::yaml::one_of;
use regex::{Captures, Regex};
use serde_json::Value;

use mock_server::Lapse;

/// `${name}`; what stands between the braces.
pub(super) static TEMPLATE: LazyLock<Option<Regex>> =
    LazyLock::new(|| match Regex::new(r"\$\{([^}]*)\}") {
        Ok(regex) => Some(regex),
        Err(_unreachable) => None,
    });

/// `${jid.family}` is the JID of a chat, or of the chat with a person.
pub(super) const JID: &str = "jid.";

/// A name in `${…}` that nothing gave a value to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`${{{name}}}` has no value: {help}")]
pub(crate) struct UnknownName {
    pub(crate) name: String,
    pub(crate) help: String,
}

/// What the names in `${…}` stand for, at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) now: Timestamp,
    pub(crate) root: String,
    /// Chats and people, with their JIDs: `${jid.ada}`.
    pub(crate) jids: IndexMap<String, String>,
    pub(crate) captures: IndexMap<String, Value>,
}

impl Names {
    /// Puts values in the place of names. A text that is nothing but one name
    /// becomes the value itself, with its type.
    ///
    /// # Errors
    /// A name that has no value.
    pub(crate) fn fill(&self, text: &str) -> Result<Value, UnknownName> {
        if let Some(name) = only_name(text) {
            return self.value(name);
        }
        self.fill_text(text).map(Value::String)
    }

    /// Puts values in the place of names, as text.
    ///
    /// # Errors
    /// A name that has no value.
    pub(crate) fn fill_text(&self, text: &str) -> Result<String, UnknownName> {
        let mut unknown = None;
        let filled = replace(text, |name| match self.value(name) {
            Ok(Value::String(text)) => text,
            Ok(value) => value.to_string(),
            Err(error) => {
                unknown = Some(error);
                String::new()
            }
        });
        unknown.map_or(Ok(filled), Err)
    }

    /// Fills all texts within a value.
    ///
    /// # Errors
    /// A name that has no value.
    pub(crate) fn fill_value(&self, value: &Value) -> Result<Value, UnknownName> {
        Ok(match value {
            Value::String(text) => self.fill(text)?,
            Value::Array(items) => {
                let filled: Result<Vec<_>, _> =
                    items.iter().map(|item| self.fill_value(item)).collect();
                Value::Array(filled?)
            }
            Value::Object(fields) => {
                let mut filled = serde_json::Map::new();
                for (name, value) in fields {
                    filled.insert(name.clone(), self.fill_value(value)?);
                }
                Value::Object(filled)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        })
    }

    fn value(&self, name: &str) -> Result<Value, UnknownName> {
        if let Some(value) = self.captures.get(name) {
            return Ok(value.clone());
        }
        if name == "root" {
            return Ok(self.root.clone().into());
        }
        if let Some(chat) = name.strip_prefix(JID) {
            let jid = self.jids.get(chat).cloned().map(Value::from);
            let known = || one_of(chat, self.jids.keys().map(String::as_str));
            return jid.ok_or_else(|| unknown(name, known()));
        }
        if let Some(shift) = shift_of_now(name) {
            let moved = self.now.checked_add(shift);
            return moved
                .map(|moved| moved.to_string().into())
                .map_err(|_too_far| unknown(name, "the instant is out of range".to_owned()));
        }
        let known = self.captures.keys().map(String::as_str);
        Err(unknown(name, one_of(name, known.chain(["now", "root"]))))
    }
}

fn unknown(name: &str, help: String) -> UnknownName {
    UnknownName {
        name: name.to_owned(),
        help,
    }
}

/// `now`, `now+1h`, `now-90s`.
pub(super) fn shift_of_now(name: &str) -> Option<SignedDuration> {
    let shift = name.strip_prefix("now")?;
    if shift.is_empty() {
        return Some(SignedDuration::ZERO);
    }
    let sign = if shift.starts_with('-') { -1 } else { 1 };
    let lapse = Lapse::parse(shift.strip_prefix(['+', '-'])?)?;
    let length = SignedDuration::try_from(lapse.length()).map_or(SignedDuration::MAX, |it| it);
    Some(length * sign)
}

/// The name, if the text is nothing but one.
pub(super) fn only_name(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    (!name.contains('}')).then_some(name)
}

/// Replaces each `${name}` in a text.
pub(super) fn replace(text: &str, mut value: impl FnMut(&str) -> String) -> String {
    match &*TEMPLATE {
        Some(template) => template
            .replace_all(text, |found: &Captures<'_>| value(&found[1]))
            .into_owned(),
        None => text.to_owned(),
    }
}

/// The names in a text.
pub(super) fn names_in(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    replace(text, |name| {
        names.push(name.to_owned());
        String::new()
    });
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names() -> Names {
        Names {
            now: "2026-01-05T09:00:00Z".parse().unwrap(),
            root: "/r".into(),
            jids: [("ada".to_owned(), "49@s.whatsapp.net".to_owned())].into(),
            captures: [("sid".to_owned(), json!("abc")), ("n".to_owned(), json!(7))].into(),
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &Value) {
        assert_eq!(names().fill(text).unwrap(), *expected);
    }

    #[test]
    fn names_become_their_values() {
        check("plain", &json!("plain"));
        check("${n}", &json!(7));
        check("n is ${n} of ${sid}", &json!("n is 7 of abc"));
        check("${root}/store", &json!("/r/store"));
        check("${jid.ada}", &json!("49@s.whatsapp.net"));
        check("${now}", &json!("2026-01-05T09:00:00Z"));
        check("${now+1h30m}", &json!("2026-01-05T10:30:00Z"));
        check("${now-1d}", &json!("2026-01-04T09:00:00Z"));
    }

    #[test]
    fn a_name_without_a_value_is_an_error_with_the_nearest() {
        let error = names().fill("x ${sidd}").unwrap_err().to_string();
        assert_eq!(error, "`${sidd}` has no value: did you mean `sid`?");
    }
}
