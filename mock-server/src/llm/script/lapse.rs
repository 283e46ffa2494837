//! A length of time in a script: `400ms`, `5s`, `1h30m`.
//!
//! A bare number is refused, because nobody can tell seconds from milliseconds.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time that is not negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lapse(Duration);

impl Lapse {
    #[must_use]
    pub const fn new(length: Duration) -> Self {
        Self(length)
    }

    #[must_use]
    pub const fn length(self) -> Duration {
        self.0
    }

    /// Whether no time passes at all.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// `None` for anything but numbers with units, and for what is negative.
    fn parse(text: &str) -> Option<Self> {
        let Ok(length) = text.parse::<SignedDuration>() else {
            return None;
        };
        match Duration::try_from(length) {
            Ok(length) => Some(Self(length)),
            Err(_negative) => None,
        }
    }
}

/// As it may be written in a script.
impl fmt::Display for Lapse {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = SignedDuration::try_from(self.0).map_or(SignedDuration::MAX, |it| it);
        write!(out, "{length:#}")
    }
}

impl Serialize for Lapse {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let text = self.to_string();
        out.serialize_str(&text.replace(' ', ""))
    }
}

impl<'de> Deserialize<'de> for Lapse {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_str(Written)
    }
}

struct Written;

impl Visitor<'_> for Written {
    type Value = Lapse;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a length of time with its unit, as in `400ms` or `5s`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Lapse, E> {
        Lapse::parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl JsonSchema for Lapse {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Lapse".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([0-9]+(ms|s|m|h))+$",
            "description": "A length of time, e.g. `400ms`, `5s`, `1h30m`.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, milliseconds: Option<u64>) {
        let length = milliseconds.map(|length| Lapse(Duration::from_millis(length)));
        assert_eq!(Lapse::parse(text), length, "{text}");
    }

    #[test]
    fn a_length_of_time_is_a_number_with_its_unit() {
        check("400ms", Some(400));
        check("5s", Some(5_000));
        check("1h30m", Some(5_400_000));
        check("0s", Some(0));
        for text in ["", "5", "-5s", "soon"] {
            check(text, None);
        }
    }

    #[test]
    fn a_length_of_time_is_written_as_it_was_read() {
        for text in ["400ms", "5s", "1h30m"] {
            let lapse = Lapse::parse(text).unwrap();
            assert_eq!(serde_json::to_value(lapse).unwrap(), text);
        }
    }
}
