//! Spans of time as people write them: `90s`, `5m`, `2h`, `1d`, or plain milliseconds.

use std::time::Duration;

/// Reads a span; none if it is not one. `5 minutes` and `1e3` are not: guessing what they mean
/// is how an ancestor came to run a task every five milliseconds.
#[must_use]
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let Ok(number) = number.parse::<u64>() else {
        return None;
    };
    let millis = match unit {
        "" | "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _unknown => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_needs_a_known_unit_or_none() {
        for (text, millis) in [
            ("5m", 300_000),
            ("1500", 1_500),
            ("20ms", 20),
            ("1d", 86_400_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "m",
            "5 m",
            "5 minutes",
            "1e3",
            "-5m",
            "5M",
            "99999999999999999d",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
