//! One line of the journal, as it is kept and as it is shown.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::journal::fields::Fields;
use crate::text::shorten;

/// How much of a field is shown on one line, in characters.
const SHOWN: usize = 60;

/// Something that happened.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place in the record, from 1.
    pub seq: u64,
    /// The virtual time, once somebody has said what it is.
    pub at: Option<Timestamp>,
    /// Real time since the journal was opened; in JSON `real_ms`, in milliseconds.
    #[serde(
        rename = "real_ms",
        serialize_with = "milliseconds",
        deserialize_with = "from_milliseconds"
    )]
    pub real: Duration,
    /// What happened, e.g. `llm.request`.
    pub event: Cow<'static, str>,
    /// And the particulars of it.
    pub fields: Fields,
}

impl Entry {
    /// A field that holds text.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }

    /// Its line without the fields that nobody reads.
    pub fn without(&self, unread: &[&str]) -> impl fmt::Display {
        fmt::from_fn(move |out| self.write(unread, out))
    }

    fn write(&self, unread: &[&str], out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "#{} {}", self.seq, self.event)?;
        let fields = self.fields.iter();
        for (name, value) in fields.filter(|(name, _)| !unread.contains(&name.as_str())) {
            match value {
                Value::Null => {}
                Value::Bool(_) | Value::Number(_) => write!(out, " {name}={value}")?,
                Value::String(text) => write!(out, " {name}={:?}", shorten(text, SHOWN))?,
                Value::Array(items) => write!(out, " {name}=[{}]", items.len())?,
                Value::Object(members) => write!(out, " {name}={{{}}}", members.len())?,
            }
        }
        Ok(())
    }
}

/// One line: number, event and the fields, each cut short.
impl fmt::Display for Entry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(&[], out)
    }
}

fn milliseconds<S: Serializer>(real: &Duration, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_f64(real.as_secs_f64() * 1e3)
}

fn from_milliseconds<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    let milliseconds = f64::deserialize(input)?;
    Duration::try_from_secs_f64(milliseconds / 1e3).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_is_shown_on_one_line() {
        let Value::Object(fields) = json!({
            "n": 3, "user": "two\nlines", "messages": [1, 2], "usage": {}, "session": null,
        }) else {
            panic!("an object")
        };
        let entry = Entry {
            seq: 7,
            at: None,
            real: Duration::ZERO,
            event: "llm.request".into(),
            fields: fields.into(),
        };
        assert_eq!(
            entry.to_string(),
            r#"#7 llm.request n=3 user="two lines" messages=[2] usage={0}"#
        );
        assert_eq!(
            entry.without(&["messages", "user"]).to_string(),
            "#7 llm.request n=3 usage={0}"
        );
    }
}
