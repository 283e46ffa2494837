//! Spans of time as people write them: one number, one unit.

use std::str::FromStr;
use std::time::Duration;

/// A span such as `5m`; units are `ms`, `s`, `m`, `h` and `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub Duration);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a span of time: write a number and a unit, e.g. `{example}`")]
pub(crate) struct InvalidSpan {
    text: String,
    example: String,
}

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let (number, unit) = halves(text);
        milliseconds(number, unit)
            .map(|milliseconds| Self(Duration::from_millis(milliseconds)))
            .ok_or_else(|| InvalidSpan {
                text: text.to_owned(),
                example: example_for(number, unit),
            })
    }
}

fn halves(text: &str) -> (&str, &str) {
    let digits = text.find(|c: char| !c.is_ascii_digit());
    text.split_at(digits.unwrap_or(text.len()))
}

fn milliseconds(number: &str, unit: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 5] = [
        ("ms", 1),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ];
    let (_, length) = UNITS.iter().find(|(name, _)| *name == unit)?;
    // Nothing but digits is left, so the only error is a number too long to mean anything.
    let Ok(number) = number.parse::<u64>() else {
        return None;
    };
    number.checked_mul(*length)
}

/// What the writer most likely meant: `5 minutes` becomes `5m`.
fn example_for(number: &str, unit: &str) -> String {
    let number = if number.is_empty() { "5" } else { number };
    let word = unit.trim().to_ascii_lowercase();
    let unit = match word.chars().next() {
        Some('m') if word.starts_with("milli") || word == "ms" => "ms",
        Some('s') => "s",
        Some('h') => "h",
        Some('d') => "d",
        Some(_) | None => "m",
    };
    format!("{number}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit_are_a_span() {
        for (text, milliseconds) in [("250ms", 250), ("90s", 90_000), ("2d", 172_800_000)] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.0.as_millis(), milliseconds, "{text}");
        }
    }

    #[track_caller]
    fn check(text: &str, example: &str) {
        let told = text.parse::<Span>().unwrap_err().to_string();
        assert!(told.ends_with(&format!("e.g. `{example}`")), "{told}");
    }

    #[test]
    fn anything_else_is_refused_with_what_was_meant() {
        check("5 minutes", "5m");
        check("2 Hours", "2h");
        check("10 milliseconds", "10ms");
        check("120", "120m");
        check("", "5m");
        check("-5m", "5m");
        check("1.5h", "1m");
        check("99999999999999999999d", "99999999999999999999d");
    }
}
