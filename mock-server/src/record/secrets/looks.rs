//! What looks like a key.

use std::sync::LazyLock;

use regex::{Captures, Regex};

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
pub(super) fn masked(text: &str) -> String {
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
}
