//! Reads `nanokimi.toml`: one flat table.

use toml::de::{DeTable, DeValue};

/// One `key = value`, with the places of both as `line:column` counted from 1.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: String,
    pub(super) value: Result<String, &'static str>,
    pub(super) value_at: String,
}

/// The entries of a file, or where it stops being TOML and why.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, (String, String)> {
    let table = DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        (place(text, start), error.message().to_owned())
    })?;
    let mut entries: Vec<(usize, Entry)> = table
        .get_ref()
        .iter()
        .map(|(key, value)| {
            let entry = Entry {
                key: key.get_ref().to_string(),
                key_at: place(text, key.span().start),
                value: plain(value.get_ref()),
                value_at: place(text, value.span().start),
            };
            (key.span().start, entry)
        })
        .collect();
    entries.sort_by_key(|(start, _)| *start);
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

/// A value as the text that the environment would give.
fn plain(value: &DeValue<'_>) -> Result<String, &'static str> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(number.to_string()),
        DeValue::Boolean(flag) => Ok(flag.to_string()),
        DeValue::Float(_) => Err("a fraction"),
        DeValue::Datetime(_) => Err("a date"),
        DeValue::Array(_) => Err("a list"),
        DeValue::Table(_) => Err("a table"),
    }
}

fn place(text: &str, start: usize) -> String {
    let before = &text[..start.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |line| line.chars().count())
        + 1;
    format!("{line}:{column}")
}
