//! Text made fit for one line of a report.

use std::error::Error;

/// `text` on one line and in at most `limit` characters: each run of white space becomes
/// one space, and what is too much is left out of the middle, since both the beginning
/// and the end of a message tell who wrote it.
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let length = line.chars().count();
    if length <= limit {
        return line;
    }
    let kept = limit.saturating_sub(1);
    let head = line.chars().take(kept.div_ceil(2));
    let tail = line.chars().skip(length - kept / 2);
    head.chain(['…']).chain(tail).collect()
}

/// An error and its causes in one line: no error here repeats its cause.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, limit: usize, short: &str) {
        assert_eq!(shorten(text, limit), short);
    }

    #[test]
    fn a_text_loses_its_middle_and_its_line_breaks() {
        check("short", 5, "short");
        check("two\n  lines", 20, "two lines");
        check("abcdefghij", 5, "ab…ij");
        check("日本語のテキスト", 4, "日本…ト");
        check("abc", 0, "…");
    }
}
