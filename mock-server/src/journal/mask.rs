//! Keeping secrets out of the record.
//!
//! What is masked is gone: the journal is printed, snapshotted and uploaded by CI.

use serde_json::{Map, Value};

/// What stands where a secret stood.
pub const MASK: &str = "[secret]";

/// The secrets that were told to us; headers that authenticate need no telling.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mask {
    secrets: Vec<String>,
}

impl Mask {
    pub(crate) fn add(&mut self, secret: &str) {
        // An empty secret is found between any two letters.
        if secret.is_empty() || self.secrets.iter().any(|known| known == secret) {
            return;
        }
        self.secrets.push(secret.to_owned());
        // The longest first: one secret may be the beginning of another.
        self.secrets
            .sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    pub(crate) fn secrets(&self) -> &[String] {
        &self.secrets
    }

    pub(crate) fn hide(&self, fields: &mut Map<String, Value>) {
        if let Some(Value::Object(headers)) = fields.get_mut("headers") {
            hide_credentials(headers);
        }
        if !self.secrets.is_empty() {
            fields.values_mut().for_each(|value| self.hide_in(value));
        }
    }

    pub(crate) fn masked(&self, text: &str) -> String {
        let mut text = text.to_owned();
        self.hide_in_text(&mut text);
        text
    }

    fn hide_in(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.hide_in_text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide_in(item)),
            Value::Object(members) => members.values_mut().for_each(|member| self.hide_in(member)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn hide_in_text(&self, text: &mut String) {
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                *text = text.replace(secret.as_str(), MASK);
            }
        }
    }
}

fn hide_credentials(headers: &mut Map<String, Value>) {
    for (name, value) in headers {
        if authenticates(&name.to_ascii_lowercase()) {
            *value = Value::from(MASK);
        }
    }
}

fn authenticates(header: &str) -> bool {
    ["authorization", "cookie", "key", "token", "secret"]
        .iter()
        .any(|ending| header.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(secrets: &[&str], text: &str, masked: &str) {
        let mut mask = Mask::default();
        secrets.iter().for_each(|secret| mask.add(secret));
        let mut fields = Map::from_iter([("text".to_owned(), Value::from(text))]);
        mask.hide(&mut fields);
        assert_eq!(fields["text"], masked);
    }

    #[test]
    fn every_occurrence_goes_and_the_longest_secret_first() {
        check(&["abc"], "abc abc", "[secret] [secret]");
        check(&["abc", "abcdef"], "abcdef", "[secret]");
        check(&[""], "abc", "abc");
    }
}
