//! What is called a secret: members of JSON, fields of a form and parameters of a query.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::journal::MASK;

/// How such names end.
const ENDINGS: [&str; 6] = [
    "token",
    "key",
    "secret",
    "password",
    "device_code",
    "devicecode",
];
/// A member of a document that stands in a text; there its quotes may be escaped.
const MEMBER: &str =
    r#"(?i)(?<before>(?:token|key|secret|password|device_?code)\\*"\s*:\s*\\*")(?<value>[^"\\]+)"#;
/// A parameter of a query, or a field of a form; a form is a text of its own.
const FIELD: &str = concat!(
    r"(?i)(?<before>(?:^|[?&])[\w.%\[\]-]*(?:token|key|secret|password|device_?code)=)",
    r#"(?<value>[^&\s"'<>#\\]+)"#,
);

static PATTERNS: LazyLock<Result<[Regex; 2], regex::Error>> =
    LazyLock::new(|| Ok([Regex::new(MEMBER)?, Regex::new(FIELD)?]));

/// Whether what is called so is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// The text without the secrets that are named in it.
pub(super) fn masked(text: &str) -> String {
    let Ok(patterns) = &*PATTERNS else {
        // They are constants, and the tests of this file see them compile.
        return MASK.to_owned();
    };
    let hide = |text: String, pattern: &Regex| {
        let hidden = |found: &Captures<'_>| format!("{}{MASK}", &found["before"]);
        pattern.replace_all(&text, hidden).into_owned()
    };
    patterns.iter().fold(text.to_owned(), hide)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(masked(text), expected);
    }

    #[test]
    fn what_a_name_calls_a_secret_is_masked() {
        check(
            "a=1&device_code=x&API_KEY=y",
            "a=1&device_code=[secret]&API_KEY=[secret]",
        );
        check("see https://a/b?key=x#c", "see https://a/b?key=[secret]#c");
        check(
            r#"{"apiKey": "x", "n": "y"}"#,
            r#"{"apiKey": "[secret]", "n": "y"}"#,
        );
        check(
            r#"{\"refresh_token\":\"x\"}"#,
            r#"{\"refresh_token\":\"[secret]\"}"#,
        );
    }

    #[test]
    fn what_has_another_name_stays() {
        for text in [
            "sorted(words, key=len)",
            r#"{"prompt_tokens": 7, "keys": "x", "key": 7}"#,
            "a?keys=x&tokens=y",
        ] {
            check(text, text);
        }
    }
}
