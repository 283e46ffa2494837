//! Values and what stands for them, found in a text in one pass however many there are.

use std::collections::HashMap;

/// Values are looked up by so many first bytes; shorter ones one after the other.
const START: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Known {
    placeholders: HashMap<String, String>,
    /// By their first bytes, longer values first: one id may begin another.
    by_start: HashMap<[u8; START], Vec<String>>,
    short: Vec<String>,
}

impl Known {
    pub(super) fn get(&self, value: &str) -> Option<&String> {
        self.placeholders.get(value)
    }

    pub(super) fn add(&mut self, value: &str, placeholder: &str) {
        let longer = |known: &String| known.len() >= value.len();
        let values = match value.as_bytes().first_chunk::<START>() {
            Some(start) => self.by_start.entry(*start).or_default(),
            None => &mut self.short,
        };
        let place = values.partition_point(longer);
        values.insert(place, value.to_owned());
        let placeholder = placeholder.to_owned();
        self.placeholders.insert(value.to_owned(), placeholder);
    }

    /// The text with placeholders for all values that are known.
    pub(super) fn replace(&self, text: &str) -> String {
        let mut replaced = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let found = self.at_start(rest);
            match found.and_then(|value| Some((value, self.get(value)?))) {
                Some((value, placeholder)) => {
                    replaced.push_str(placeholder);
                    rest = &rest[value.len()..];
                }
                None => {
                    replaced.push(first);
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        replaced
    }

    fn at_start(&self, text: &str) -> Option<&str> {
        let start = text.as_bytes().first_chunk::<START>();
        let long = start.and_then(|start| self.by_start.get(start));
        let mut known = long.into_iter().flatten().chain(&self.short);
        known
            .find(|value| text.starts_with(value.as_str()))
            .map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_values_come_first_and_placeholders_are_left_alone() {
        let mut known = Known::default();
        for (value, placeholder) in [
            ("12345", "[a]"),
            ("123456", "[b]"),
            ("é1", "[c]"),
            ("[a]", "x"),
        ] {
            known.add(value, placeholder);
        }
        assert_eq!(
            known.replace("é 12345, 123456 1234 é1"),
            "é [a], [b] 1234 [c]"
        );
    }
}
