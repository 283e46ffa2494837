//! Taking out of a recording what looks like a key, wherever it stands.
//!
//! Nobody tells the recorder its secrets, so it goes by looks and rather takes too much:
//! a masked checksum costs nothing, a published key does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

use crate::journal::MASK;

/// What keys look like. Those known by their beginning are taken as they are; a long run of
/// letters is looked at once more.
const LOOKS: &str = concat!(
    // Model services, and others that follow them.
    r"(?<known>\b(?:sk|pk|rk)-[A-Za-z0-9_-]{8,}",
    // Code hosts, chats, clouds.
    r"|\b(?:gh[oprsu]_|github_pat_|glpat-|xox[abeprs]-|lin_api_|hf_)[A-Za-z0-9_-]{10,}",
    r"|\b(?:AKIA|ASIA|AIza)[A-Za-z0-9_-]{12,}",
    // A signed token: three parts, the first of which begins `{"`.
    r"|\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*)",
    r"|(?<hex>\b[0-9A-Fa-f]{32,}\b)",
    r"|(?<mixed>[A-Za-z0-9+/_-]{40,}={0,2})",
);
const BEARER: &str = r"(?i)\b(bearer|basic)\s+([A-Za-z0-9._~+/=-]{8,})";

static PATTERNS: LazyLock<Result<(Regex, Regex), regex::Error>> =
    LazyLock::new(|| Ok((Regex::new(BEARER)?, Regex::new(LOOKS)?)));

/// The text without what looks like a key.
pub(crate) fn masked(text: &str) -> String {
    let Ok((bearer, key)) = &*PATTERNS else {
        // They are constants, and the tests of this file see them compile.
        return MASK.to_owned();
    };
    let text = bearer.replace_all(text, |found: &Captures<'_>| {
        // "The bearer of bad news" carries no token.
        let is_token = found[2].contains(|letter: char| !letter.is_ascii_lowercase());
        let shown = if is_token { MASK } else { &found[2] };
        format!("{} {shown}", &found[1])
    });
    key.replace_all(&text, |found: &Captures<'_>| {
        let shown = if is_key(found) { MASK } else { &found[0] };
        shown.to_owned()
    })
    .into_owned()
}

/// A JSON document without what looks like a key; any other text as well.
pub(crate) fn masked_document(text: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(text) else {
        return masked(text);
    };
    let as_it_was = value.clone();
    mask(&mut value);
    if value == as_it_was {
        text.to_owned()
    } else {
        value.to_string()
    }
}

/// An event stream without what looks like a key, also one that is spread over frames; its
/// framing stays as it is.
pub(crate) fn masked_stream(stream: &str) -> String {
    let lines: Vec<Line<'_>> = stream.split_inclusive('\n').map(Line::read).collect();
    let mut texts = BTreeMap::new();
    for line in &lines {
        if let Line::Document { value, .. } = line {
            collect(value, &mut String::new(), &mut texts);
        }
    }
    // What a key shows in only when it is put together must go in all its pieces.
    let spread: BTreeSet<String> = texts
        .into_iter()
        .filter(|(_, text)| masked(text) != *text)
        .map(|(path, _)| path)
        .collect();
    let hide = |line: Line<'_>| line.masked(&spread);
    lines.into_iter().map(hide).collect()
}

/// Whether a header tells who somebody is.
pub(crate) fn authenticates(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    ["authorization", "cookie", "key", "token", "secret"]
        .iter()
        .any(|ending| header.ends_with(ending))
}

enum Line<'a> {
    /// `data:` with a JSON document.
    Document {
        before: &'a str,
        value: Value,
        after: &'a str,
    },
    Other(&'a str),
}

impl<'a> Line<'a> {
    fn read(line: &'a str) -> Self {
        let content = line.trim_end_matches(['\r', '\n']);
        let Some(data) = content.strip_prefix("data:") else {
            return Self::Other(line);
        };
        let data = data.trim_start();
        match serde_json::from_str(data) {
            Ok(value) => Self::Document {
                before: &content[..content.len() - data.len()],
                value,
                after: &line[content.len()..],
            },
            Err(_no_document) => Self::Other(line),
        }
    }

    fn masked(self, spread: &BTreeSet<String>) -> String {
        match self {
            Self::Other(text) => masked(text),
            Self::Document {
                before,
                mut value,
                after,
            } => {
                mask(&mut value);
                blank(&mut value, &mut String::new(), spread);
                format!("{before}{value}{after}")
            }
        }
    }
}

fn mask(value: &mut Value) {
    match value {
        Value::String(text) => *text = masked(text),
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Object(members) => members.values_mut().for_each(mask),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Puts together what the documents say at each path.
fn collect(value: &Value, path: &mut String, texts: &mut BTreeMap<String, String>) {
    match value {
        Value::String(text) => texts.entry(path.clone()).or_default().push_str(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, path, texts)),
        Value::Object(members) => {
            for (name, member) in members {
                below(path, name, |path| collect(member, path, texts));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn blank(value: &mut Value, path: &mut String, spread: &BTreeSet<String>) {
    match value {
        Value::String(text) if spread.contains(path) => MASK.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| blank(item, path, spread)),
        Value::Object(members) => {
            for (name, member) in members {
                below(path, name, |path| blank(member, path, spread));
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn below(path: &mut String, name: &str, visit: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push('.');
    path.push_str(name);
    visit(path);
    path.truncate(length);
}

fn is_key(found: &Captures<'_>) -> bool {
    let word = &found[0];
    if found.name("hex").is_some() {
        // What has no letter is a number.
        return word.contains(|letter: char| letter.is_ascii_alphabetic());
    }
    found.name("known").is_some() || is_mixed(word)
}

/// Too mixed for a word, and no path of a file.
fn is_mixed(word: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| word.as_bytes().iter().any(kind);
    let slashes = word.bytes().filter(|letter| *letter == b'/').count();
    has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_digit)
        && slashes * 16 <= word.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(masked(text), expected);
    }

    #[test]
    fn what_looks_like_a_key_is_masked_within_its_text() {
        check(
            "my key is sk-or-v1-0123456789abcdef, keep it",
            "my key is [secret], keep it",
        );
        check("sk-abcdefghijkl", "[secret]");
        check(
            "Authorization: Bearer abc.def-123456",
            "Authorization: Bearer [secret]",
        );
        check("ghp_abcdefghij0123456789", "[secret]");
        check("AKIAIOSFODNN7EXAMPLE", "[secret]");
        check("eyJhbGciOi.eyJzdWIiOiIx.c2ln", "[secret]");
        check("0123456789abcdef0123456789abcdef", "[secret]");
        check("QWxhZGRpbjpvcGVuIHNlc2FtZQ1234567890abcdefgh==", "[secret]");
    }

    #[test]
    fn what_is_no_key_stays() {
        for text in [
            "task-force of the desk-bound",
            "the bearer of bad news",
            "/srv/Alice/projects2/nanokimi/container/agent-runner/src",
            "b2c6f0de-1f7e-4c4e-9d3a-2f0b6a1c9e11",
            "gen-1767603600-AbCdEfGhIjKlMnOpQrSt",
            "12345678901234567890123456789012",
            "a_long_name_of_a_function_that_does_not_end_here",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn a_key_behind_a_line_break_is_found_in_a_document() {
        assert_eq!(
            masked_document(r#"{"text":"key:\nsk-abcdefghijkl","n":1.0}"#),
            r#"{"text":"key:\n[secret]","n":1.0}"#
        );
    }

    #[test]
    fn a_key_that_is_spread_over_frames_is_masked_in_all_of_them() {
        let frame =
            |text: &str| format!("data: {{\"delta\":{{\"text\":\"{text}\"}},\"n\":1}}\r\n\r\n");
        let stream = [": hi\r\n\r\n", &frame("it is sk-abc"), &frame("defghijkl")].concat();
        let hidden = frame("[secret]");
        assert_eq!(
            masked_stream(&stream),
            [": hi\r\n\r\n", &hidden, &hidden].concat()
        );
    }

    #[test]
    fn headers_are_known_by_their_name() {
        assert!(authenticates("X-Api-Key") && authenticates("Set-Cookie"));
        assert!(!authenticates("user-agent"));
    }
}
