//! Which type a scalar without quotes has, by the core schema of YAML 1.2.
//!
//! Where YAML 1.1 saw another type, an untyped place must not guess: see [`ambiguity`].

use serde_json::Number;

use super::node::Content;

/// The type of a scalar that was written without quotes.
pub(super) fn resolve(text: &str) -> Content {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        other => number(other).map_or_else(
            || Content::Text {
                text: other.to_owned(),
                plain: true,
            },
            Content::Number,
        ),
    }
}

fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let decimal = digits.bytes().all(|byte| byte.is_ascii_digit());
    // `010` is eight, ten or a text, depending on the reader: see `ambiguity`.
    if digits.is_empty() || (decimal && digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    if decimal {
        return whole(text.strip_prefix('+').unwrap_or(text));
    }
    let fraction = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let starts_as_number = digits.starts_with(|first: char| first.is_ascii_digit());
    if fraction && starts_as_number {
        return text.parse().map_or(None, Number::from_f64);
    }
    None
}

fn whole(text: &str) -> Option<Number> {
    match (text.parse::<i64>(), text.parse::<u64>()) {
        (Ok(number), _) => Some(number.into()),
        (Err(_), Ok(number)) => Some(number.into()),
        (Err(_), Err(_)) => None,
    }
}

/// What YAML 1.1 makes of a text that YAML 1.2 leaves alone, or the other way round.
pub(super) fn ambiguity(text: &str) -> Option<&'static str> {
    const SWITCHES: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "Y", "N"];
    let lower = text.to_ascii_lowercase();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if SWITCHES.contains(&lower.as_str()) {
        return Some("a boolean");
    }
    if let Some((hours, minutes)) = text.split_once(':') {
        return (digits(hours) && digits(minutes)).then_some("a number to the base of 60");
    }
    if text.len() > 1 && text.starts_with('0') && digits(text) {
        return Some("an octal number");
    }
    if text.starts_with("0x") || text.starts_with("0o") {
        return Some("a number");
    }
    let (mantissa, exponent) = lower.split_once('e')?;
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    (digits(&mantissa.replacen('.', "", 1)) && digits(exponent)).then_some("a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = match resolve(text) {
            Content::Null => "null".to_owned(),
            Content::Bool(value) => format!("bool {value}"),
            Content::Number(number) => format!("number {number}"),
            Content::Text { text, .. } => format!("text {text}"),
            Content::List(_) | Content::Map(_) => "no scalar".to_owned(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn scalars_have_the_types_of_yaml_1_2() {
        check("", "null");
        check("~", "null");
        check("true", "bool true");
        check("no", "text no");
        check("5", "number 5");
        check("-5", "number -5");
        check("18446744073709551615", "number 18446744073709551615");
        check("1.5", "number 1.5");
        check("5s", "text 5s");
        check("1.2.3", "text 1.2.3");
        check("010", "text 010");
        check("-", "text -");
    }

    #[test]
    fn what_yaml_1_1_reads_otherwise_is_known() {
        for text in ["yes", "No", "on", "12:30", "010", "1e3", "0x1F", "y"] {
            assert!(ambiguity(text).is_some(), "{text}");
        }
        for text in ["yesterday", "10:30 am", "hello", "e3", "one:two"] {
            assert!(ambiguity(text).is_none(), "{text}");
        }
    }
}
