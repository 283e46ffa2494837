//! Reads `.env`: `KEY=VALUE` lines, blank lines, and comments that begin with `#`.
//!
//! No `export`, no escapes, no comments behind a value: the ancestors' files have none. A value
//! may stand in one pair of quotes. Errors never quote a line: it may hold a secret.

/// One `KEY=VALUE`, and its line counted from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) value: String,
}

/// The entries of a file, and the numbers of the lines that are none.
pub(super) fn parse(text: &str) -> (Vec<Entry>, Vec<usize>) {
    let mut entries = Vec::new();
    let mut broken = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once('=') {
            Some((key, value)) if is_name(key.trim_end()) => entries.push(Entry {
                line: index + 1,
                key: key.trim_end().to_owned(),
                value: unquoted(value.trim()).to_owned(),
            }),
            Some(_) | None => broken.push(index + 1),
        }
    }
    (entries, broken)
}

/// `export KEY` is none: taken for a name, it would be one that nobody asks for.
fn is_name(key: &str) -> bool {
    !key.is_empty() && !key.contains(char::is_whitespace)
}

fn unquoted(value: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lose_one_pair_of_quotes_and_nothing_else() {
        let text = "A='x'\n# no\n\n B = \"a b\" \nC='\nD=''\nE=it's=#1\nbroken\n=x\nexport F=x\n";
        let (entries, broken) = parse(text);
        let seen: Vec<_> = entries
            .iter()
            .map(|entry| (entry.line, entry.key.as_str(), entry.value.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                (1, "A", "x"),
                (4, "B", "a b"),
                (5, "C", "'"),
                (6, "D", ""),
                (7, "E", "it's=#1")
            ]
        );
        assert_eq!(broken, [8, 9, 10]);
    }
}
