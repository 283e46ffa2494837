//! The credential file, `data/env/env`: `KEY='value'` lines that a POSIX shell can source.
//!
//! The ancestors wrote values unquoted or badly quoted, so that a `#` or a `'` in a key cut it
//! short. Here a value is always in single quotes, and `'` is written `'\''`.

use std::collections::BTreeMap;

/// A line of the credential file that is not `KEY='value'`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct CredentialError {
    /// Counted from 1.
    pub line: usize,
    problem: &'static str,
}

/// The text of a credential file.
#[must_use]
pub fn render_credentials(values: &BTreeMap<String, String>) -> String {
    values
        .iter()
        .map(|(key, value)| format!("{key}='{}'\n", value.replace('\'', r"'\''")))
        .collect()
}

/// Reads what [`render_credentials`] wrote. Errors never quote the line: it holds a secret.
pub fn parse_credentials(text: &str) -> Result<BTreeMap<String, String>, CredentialError> {
    let mut values = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = parse_line(line).map_err(|problem| CredentialError {
            line: index + 1,
            problem,
        })?;
        values.insert(key, value);
    }
    Ok(values)
}

fn parse_line(line: &str) -> Result<(String, String), &'static str> {
    let (key, rest) = line
        .split_once('=')
        .ok_or("expected `KEY='value'`, found no `=`")?;
    let quoted = rest
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
        .ok_or("expected the value in single quotes")?;
    let value = quoted.replace(r"'\''", "\u{0}");
    if value.contains('\'') {
        return Err("a single quote inside the value must be written `'\\''`");
    }
    Ok((key.to_owned(), value.replace('\u{0}', "'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn awkward_secrets_survive_the_file() {
        for secret in ["sk-te'st#1", "a b\"c$d`e\\", "''", "=", "ключ"] {
            let values = BTreeMap::from([("MOONSHOT_API_KEY".to_owned(), secret.to_owned())]);
            let text = render_credentials(&values);
            assert_eq!(parse_credentials(&text).unwrap(), values, "{text}");
        }
    }

    #[test]
    fn a_broken_line_is_named_without_showing_the_secret() {
        let error = parse_credentials("A='1'\nMOONSHOT_API_KEY=sk-secret\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2: expected the value in single quotes"
        );
    }
}
