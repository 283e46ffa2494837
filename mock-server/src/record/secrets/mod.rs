//! Taking secrets out of a recording, wherever they stand.
//!
//! Nobody tells the recorder its secrets, so it goes by looks, by names, and by what was seen
//! in a header, and rather takes too much: a masked checksum costs nothing, a published key
//! does.

mod looks;
mod names;
mod stream;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::journal::MASK;

/// A credential of fewer letters is also a word.
const SHORTEST: usize = 6;

/// What was seen where only secrets stand, to be found again anywhere.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    seen: BTreeSet<String>,
}

impl Secrets {
    /// Keeps what a header tells of who somebody is.
    pub(crate) fn learn(&mut self, header: &str, value: &str) {
        if !authenticates(header) {
            return;
        }
        let told = credentials(header, value).into_iter();
        let telling = told.filter(|secret| secret.chars().count() >= SHORTEST);
        self.seen.extend(telling.map(str::to_owned));
    }

    /// The text without secrets.
    pub(crate) fn masked(&self, text: &str) -> String {
        // The longest first: one may be part of another.
        let mut seen: Vec<&String> = self.seen.iter().collect();
        seen.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let known = seen.into_iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret.as_str(), MASK)
        });
        looks::masked(&names::masked(&known))
    }

    /// A JSON document without secrets; any other text as well.
    pub(crate) fn masked_document(&self, text: &str) -> String {
        let Ok(mut value) = serde_json::from_str::<Value>(text) else {
            return self.masked(text);
        };
        let as_it_was = value.clone();
        self.mask(&mut value);
        if value == as_it_was {
            text.to_owned()
        } else {
            value.to_string()
        }
    }

    /// An event stream without secrets, also one that is spread over frames; its framing stays
    /// as it is.
    pub(crate) fn masked_stream(&self, text: &str) -> String {
        stream::masked(text, self)
    }

    fn mask(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.masked(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask(item)),
            Value::Object(members) => {
                for (name, member) in members {
                    if names::is_secret(name) {
                        hide(member);
                    }
                    self.mask(member);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// Whether a header tells who somebody is.
pub(crate) fn authenticates(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    ["authorization", "cookie", "key", "token", "secret"]
        .iter()
        .any(|ending| header.ends_with(ending))
}

/// A text, or several; what a schema says of a key is none.
fn hide(value: &mut Value) {
    match value {
        Value::String(text) if !text.is_empty() => MASK.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::String(_) | Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What stands in such a header: the values of cookies, or what follows a scheme.
fn credentials<'a>(header: &str, value: &'a str) -> Vec<&'a str> {
    let cookies = match header.to_ascii_lowercase().as_str() {
        // How it is to be kept follows.
        "set-cookie" => 1,
        "cookie" => usize::MAX,
        _ => {
            let value = value.trim();
            let told = value.split_once(' ').map_or(value, |(_, told)| told.trim());
            return vec![told];
        }
    };
    let pairs = value.split(';').take(cookies);
    let values = pairs.filter_map(|pair| pair.split_once('='));
    values.map(|(_, value)| value.trim()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_behind_a_line_break_is_found_in_a_document() {
        assert_eq!(
            Secrets::default().masked_document(r#"{"text":"key:\nsk-abcdefghijkl","n":1.0}"#),
            r#"{"text":"key:\n[secret]","n":1.0}"#
        );
    }

    #[test]
    fn what_a_header_told_is_masked_anywhere() {
        #[track_caller]
        fn check(header: &str, value: &str, text: &str, expected: &str) {
            let mut secrets = Secrets::default();
            secrets.learn(header, value);
            assert_eq!(secrets.masked(text), expected);
        }
        let bearer = "Bearer open-sesame";
        check("Authorization", bearer, "an open-sesame.", "an [secret].");
        check("x-api-key", "sesame", "sesame", "[secret]");
        check("cookie", "a=b; id=sesame", "sesame, a=b", "[secret], a=b");
        check("authorization", "Bearer any", "any bearer", "any bearer");
        let kept = "id=sesame; HttpOnly; Secure";
        check("set-cookie", kept, "Secure sesame", "Secure [secret]");
        check("user-agent", "curl/8.5", "curl/8.5", "curl/8.5");
    }

    #[test]
    fn a_name_hides_what_it_stands_for_in_a_document() {
        assert_eq!(
            Secrets::default().masked_document(r#"{"device_code":"a b","n":"x"}"#),
            r#"{"device_code":"[secret]","n":"x"}"#
        );
    }

    #[test]
    fn headers_are_known_by_their_name() {
        assert!(authenticates("X-Api-Key") && authenticates("Set-Cookie"));
        assert!(!authenticates("user-agent"));
    }
}
