//! Lengths of time as authors write them: `150ms`, `5s`, `1h30m`, `2d`.
//!
//! A bare number is refused, because nobody can tell seconds from milliseconds.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time, to the millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lapse(Duration);

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

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

    /// `None` for anything that is not numbers with units.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim();
        let mut total = 0_u64;
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let after = &rest[digits..];
            let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (_, size) = UNITS.iter().find(|(unit, _)| *unit == &after[..letters])?;
            let Ok(number) = rest[..digits].parse::<u64>() else {
                return None;
            };
            total = total.checked_add(number.checked_mul(*size)?)?;
            rest = &after[letters..];
        }
        Some(Self(Duration::from_millis(total)))
    }
}

/// The largest unit first: `1h30m`, as it may be written.
impl fmt::Display for Lapse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0.as_millis();
        if left == 0 {
            return f.write_str("0s");
        }
        for (unit, size) in UNITS.iter().rev() {
            let whole = left / u128::from(*size);
            if whole > 0 {
                write!(f, "{whole}{unit}")?;
                left %= u128::from(*size);
            }
        }
        Ok(())
    }
}

impl Serialize for Lapse {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lapse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Written)
    }
}

struct Written;

impl Visitor<'_> for Written {
    type Value = Lapse;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration like `5s`\nhelp: use ms, s, m, h or d, as in `1h30m`")
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
            "pattern": "^([0-9]+(ms|s|m|h|d))+$",
            "description": "A length of time, e.g. `150ms`, `5s`, `1h30m`, `2d`."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let shown = Lapse::parse(text).map(|lapse| lapse.to_string());
        assert_eq!(shown.as_deref(), expected, "{text}");
    }

    #[test]
    fn lengths_of_time_are_numbers_with_units() {
        check("5s", Some("5s"));
        check("90s", Some("1m30s"));
        check("1h30m", Some("1h30m"));
        check("2d", Some("2d"));
        check("0s", Some("0s"));
        check("150ms", Some("150ms"));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "5 s",
            "5 minutes",
            "1e3s",
            "-5s",
            "99999999999999999999d",
        ] {
            check(text, None);
        }
        check("99999999999999999d", None);
    }
}
