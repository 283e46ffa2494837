//! What differs from run to run becomes a placeholder: the same for the same value, and
//! numbered in the order of first appearance, so that identity can still be seen.

use std::collections::HashMap;
use std::path::Path;

use regex::{Captures, Regex};
use serde_json::{Map, Value};

use super::known::Known;
use crate::scenario::Redaction;

/// Fields that hold an id, and what such an id is called.
const IDS: [(&str, &str); 10] = [
    ("session", "session"),
    ("session_id", "session"),
    ("resumed", "session"),
    ("run", "run"),
    ("run_id", "run"),
    ("task", "task"),
    ("task_id", "task"),
    ("file", "file"),
    ("message_id", "message"),
    ("id", "id"),
];

/// Texts that differ wherever they stand.
const PATTERNS: [(&str, &str); 6] = [
    (
        "id",
        r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
    ),
    ("file", r"\b[0-9]{13}-[0-9a-z]+(\.json)?\b"),
    ("call", r"\b(call|gen|chatcmpl)[-_][0-9A-Za-z_-]{6,}\b"),
    ("message", r"\b3EB0[0-9A-F]{8,}\b"),
    ("media", r"/v/t[0-9.-]+/[0-9A-Za-z_-]+\.enc\b"),
    ("port", r"127\.0\.0\.1:([0-9]{2,5})\b"),
];

/// Knows what has been seen and under which name.
#[derive(Debug)]
pub(crate) struct Redactor {
    root: String,
    patterns: Vec<(String, Regex)>,
    known: Known,
    counted: HashMap<String, usize>,
}

impl Redactor {
    pub(crate) fn new(root: &Path, own: &[Redaction]) -> Self {
        let own = own
            .iter()
            .map(|one| (one.name.clone(), one.pattern.0.clone()));
        let usual = PATTERNS
            .iter()
            .filter_map(|(name, pattern)| match Regex::new(pattern) {
                Ok(regex) => Some(((*name).to_owned(), regex)),
                Err(_unreachable) => None,
            });
        Self {
            root: root.display().to_string(),
            patterns: own.chain(usual).collect(),
            known: Known::default(),
            counted: HashMap::new(),
        }
    }

    /// Redacts all texts of a value; ids in fields get the name of their field.
    pub(crate) fn value(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => Value::Object(self.fields(fields)),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    pub(crate) fn fields(&mut self, fields: &Map<String, Value>) -> Map<String, Value> {
        for (name, value) in fields {
            let kind = IDS.iter().find(|(field, _)| field == name);
            if let (Some((_, kind)), Value::String(id)) = (kind, value)
                && looks_made(id)
            {
                self.placeholder(kind, id);
            }
        }
        fields
            .iter()
            .map(|(name, value)| (self.text(name), self.value(value)))
            .collect()
    }

    pub(crate) fn text(&mut self, text: &str) -> String {
        let mut text = self.known.replace(&text.replace(&self.root, "[root]"));
        // Taken out meanwhile: a clone of a pattern would begin without the memory it works in.
        let patterns = std::mem::take(&mut self.patterns);
        for (kind, pattern) in &patterns {
            text = pattern
                .replace_all(&text, |found: &Captures<'_>| {
                    let whole = &found[0];
                    match found.get(1).filter(|_| kind == "port") {
                        Some(port) => whole.replace(port.as_str(), "[port]"),
                        None => self.placeholder(kind, whole),
                    }
                })
                .into_owned();
        }
        self.patterns = patterns;
        text
    }

    fn placeholder(&mut self, kind: &str, value: &str) -> String {
        if let Some(known) = self.known.get(value) {
            return known.clone();
        }
        let count = self.counted.entry(kind.to_owned()).or_default();
        *count += 1;
        let placeholder = format!("[{kind}-{count}]");
        self.known.add(value, &placeholder);
        placeholder
    }
}

/// Ids that somebody chose (`http:main`, `daily`) stay; made ones have digits and length.
fn looks_made(id: &str) -> bool {
    id.len() >= 8 && id.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_value_has_the_same_placeholder_wherever_it_stands() {
        let mut redactor = Redactor::new(Path::new("/folder/root"), &[]);
        let value = json!({
            "session": "0b0cd1a7-8d4f-4f5c-9d55-0123456789ab",
            "group": "main",
            "path": "/folder/root/x",
            "url": "http://127.0.0.1:4711/v1",
        });
        assert_eq!(
            redactor.value(&value),
            json!({
                "session": "[session-1]",
                "group": "main",
                "path": "[root]/x",
                "url": "http://127.0.0.1:[port]/v1",
            })
        );
        let later = redactor.text("resumed 0b0cd1a7-8d4f-4f5c-9d55-0123456789ab");
        assert_eq!(later, "resumed [session-1]");
    }

    #[test]
    fn a_scenario_may_redact_more() {
        let own = Redaction {
            pattern: crate::scenario::Pattern(Regex::new("cat-[0-9]").unwrap()),
            name: "cat".to_owned(),
        };
        let mut redactor = Redactor::new(Path::new("/r"), &[own]);
        assert_eq!(
            redactor.text("cat-1 cat-2 cat-1"),
            "[cat-1] [cat-2] [cat-1]"
        );
    }
}
