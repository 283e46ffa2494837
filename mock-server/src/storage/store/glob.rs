//! `matchGlob`: which names a listing is about.
//!
//! <https://cloud.google.com/storage/docs/json_api/v1/objects/list#list-objects-and-prefixes-using-glob>

use regex::Regex;

use crate::storage::refusal::Refusal;

/// A pattern over whole names: `*` within a folder, `**` beyond, `?`, `[a-z]`, `{one,two}`.
#[derive(Clone, Debug)]
pub(crate) struct Glob(Regex);

impl Glob {
    pub(crate) fn parse(pattern: &str) -> Result<Self, Refusal> {
        let refused = || Refusal::invalid(format!("Invalid value for matchGlob: '{pattern}'"));
        let expression = expression(pattern).ok_or_else(refused)?;
        let regex = Regex::new(&expression).map_err(|_not_one| refused())?;
        Ok(Self(regex))
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

/// None if a bracket is not closed.
fn expression(pattern: &str) -> Option<String> {
    let mut out = "(?s)^".to_owned();
    let mut letters = pattern.chars().peekable();
    let mut open = 0_u32;
    while let Some(letter) = letters.next() {
        match letter {
            '*' if letters.next_if_eq(&'*').is_some() => {
                // `**/` is also nothing at all.
                let tail = if letters.next_if_eq(&'/').is_some() {
                    "(?:.*/)?"
                } else {
                    ".*"
                };
                out.push_str(tail);
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => class(&mut letters, &mut out)?,
            '{' => {
                open += 1;
                out.push_str("(?:");
            }
            '}' if open > 0 => {
                open -= 1;
                out.push(')');
            }
            ',' if open > 0 => out.push('|'),
            '\\' => literal(letters.next()?, &mut out),
            other => literal(other, &mut out),
        }
    }
    out.push('$');
    (open == 0).then_some(out)
}

/// What stands between brackets; `!` excludes.
fn class(letters: &mut impl Iterator<Item = char>, out: &mut String) -> Option<()> {
    out.push('[');
    let mut count = 0;
    loop {
        match letters.next()? {
            ']' if count > 0 => break,
            '!' | '^' if count == 0 => {
                out.push('^');
                continue;
            }
            '-' => out.push('-'),
            other => literal(other, out),
        }
        count += 1;
    }
    out.push(']');
    Some(())
}

fn literal(letter: char, out: &mut String) {
    if letter.is_alphanumeric() || letter == '/' {
        out.push(letter);
    } else {
        out.push_str(&regex::escape(letter.encode_utf8(&mut [0; 4])));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], other: &[&str]) {
        let glob = Glob::parse(pattern).unwrap();
        for name in matching {
            assert!(glob.matches(name), "{pattern} does not match {name}");
        }
        for name in other {
            assert!(!glob.matches(name), "{pattern} matches {name}");
        }
    }

    #[test]
    fn patterns_are_over_whole_names() {
        check("*.txt", &["a.txt", ".txt"], &["a/b.txt", "a.txt2", "atxt"]);
        check("a/**", &["a/", "a/b", "a/b/c"], &["a", "b/a/c"]);
        check("**/x", &["x", "a/x", "a/b/x"], &["ax", "a/bx"]);
        check("foo**bar", &["foobar", "foo/x/bar"], &["foo"]);
        check("?.md", &["a.md", "é.md"], &["ab.md", "/.md"]);
        check("[a-c]x[!0-9]", &["axb", "cx-"], &["dxb", "ax1"]);
        check("[]]", &["]"], &["["]);
        check("{a,b/*}.rs", &["a.rs", "b/c.rs"], &["c.rs", "b/c/d.rs"]);
        check("a,b", &["a,b"], &["a"]);
        check("\\*(+)", &["*(+)"], &["a(+)"]);
        check("日*", &["日本"], &["本日"]);
    }

    #[test]
    fn a_bracket_that_is_not_closed_is_refused() {
        for pattern in ["{a,b", "[a", "[", "a\\", "[z-a]"] {
            assert!(Glob::parse(pattern).is_err(), "{pattern}");
        }
        // A closing one alone is itself.
        check("a}", &["a}"], &["a"]);
    }
}
