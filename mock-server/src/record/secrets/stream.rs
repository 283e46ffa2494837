//! Event streams: what is spread over frames is put together, looked at, and hidden in all of
//! its pieces.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Secrets;
use crate::journal::MASK;

/// What tells one of several things that are told in turns.
const INDEXES: [&str; 2] = ["index", "output_index"];

pub(super) fn masked(stream: &str, secrets: &Secrets) -> String {
    let mut lines: Vec<Line<'_>> = stream.split_inclusive('\n').map(Line::read).collect();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    each_text(&mut lines, &mut |path, text| {
        texts.entry(path.to_owned()).or_default().push(text.clone());
    });
    // What a key shows in only when it is put together must go in all its pieces.
    let spread: BTreeSet<String> = texts
        .into_iter()
        .filter(|(_, pieces)| {
            let text = put_together(pieces);
            secrets.masked(&text) != text
        })
        .map(|(path, _)| path)
        .collect();
    each_text(&mut lines, &mut |path, text| {
        if spread.contains(path) {
            MASK.clone_into(text);
        }
    });
    lines.into_iter().map(|line| line.masked(secrets)).collect()
}

/// One text in each of several frames is said again, as an id is, and is not a piece.
fn put_together(pieces: &[String]) -> String {
    match pieces {
        [first, rest @ ..] if rest.iter().all(|piece| piece == first) => first.clone(),
        _ => pieces.concat(),
    }
}

enum Line<'a> {
    /// `data:` with a JSON document.
    Document {
        before: &'a str,
        value: Value,
        after: &'a str,
    },
    Other(&'a str),
}

impl<'a> Line<'a> {
    fn read(line: &'a str) -> Self {
        let content = line.trim_end_matches(['\r', '\n']);
        let Some(data) = content.strip_prefix("data:") else {
            return Self::Other(line);
        };
        let data = data.trim_start();
        match serde_json::from_str(data) {
            Ok(value) => Self::Document {
                before: &content[..content.len() - data.len()],
                value,
                after: &line[content.len()..],
            },
            Err(_no_document) => Self::Other(line),
        }
    }

    fn masked(self, secrets: &Secrets) -> String {
        match self {
            Self::Other(text) => secrets.masked(text),
            Self::Document {
                before,
                mut value,
                after,
            } => {
                secrets.mask(&mut value);
                format!("{before}{value}{after}")
            }
        }
    }
}

fn each_text(lines: &mut [Line<'_>], visit: &mut impl FnMut(&str, &mut String)) {
    for line in lines {
        if let Line::Document { value, .. } = line {
            walk(value, &mut String::new(), visit);
        }
    }
}

/// Visits each text with its path: that of its members, and of two choices or calls the index.
fn walk(value: &mut Value, path: &mut String, visit: &mut impl FnMut(&str, &mut String)) {
    match value {
        Value::String(text) => visit(path, text),
        Value::Array(items) => {
            for (place, item) in items.iter_mut().enumerate() {
                // Calls stand in a list of one each, and tell by an index which they are.
                let step = if has_index(item) { 0 } else { place };
                below(path, &step.to_string(), |path| walk(item, path, visit));
            }
        }
        Value::Object(members) => {
            let indexes = INDEXES
                .iter()
                .filter_map(|name| members.get(*name)?.as_u64());
            let own: String = indexes.map(|index| format!("#{index}")).collect();
            below(path, &own, |path| {
                for (name, member) in members {
                    below(path, name, |path| walk(member, path, visit));
                }
            });
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn has_index(value: &Value) -> bool {
    INDEXES.iter().any(|name| value.get(name).is_some())
}

fn below(path: &mut String, step: &str, visit: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push('.');
    path.push_str(step);
    visit(path);
    path.truncate(length);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stream: &[String], expected: &[String]) {
        let masked = masked(&stream.concat(), &Secrets::default());
        assert_eq!(masked, expected.concat());
    }

    #[test]
    fn a_key_that_is_spread_over_frames_is_masked_in_all_of_them() {
        let frame =
            |text: &str| format!("data: {{\"delta\":{{\"text\":\"{text}\"}},\"n\":1}}\r\n\r\n");
        let comment = ": hi\r\n\r\n".to_owned();
        let hidden = frame("[secret]");
        check(
            &[comment.clone(), frame("it is sk-abc"), frame("defghijkl")],
            &[comment, hidden.clone(), hidden],
        );
    }

    #[test]
    fn an_id_that_each_frame_says_again_is_no_key() {
        let id = "resp_5eed5eed5eed5eed5eed0001";
        let frames = ["created", "in_progress", "completed"].map(|kind| {
            format!("data: {{\"type\":\"{kind}\",\"response\":{{\"id\":\"{id}\"}}}}\n\n")
        });
        check(&frames, &frames);
    }

    #[test]
    fn a_key_is_found_in_one_of_two_that_are_told_in_turns() {
        let call = |index: u8, text: &str| {
            format!("data: {{\"calls\":[{{\"index\":{index},\"text\":\"{text}\"}}]}}\n\n")
        };
        let choice =
            |index: u8, text: &str| format!("data: {{\"index\":{index},\"delta\":\"{text}\"}}\n\n");
        #[track_caller]
        fn check_turns(frame: impl Fn(u8, &str) -> String) {
            let told = [
                (0, "it is sk-abc"),
                (1, "no "),
                (0, "defghijkl"),
                (1, "key"),
            ];
            let hidden = [(0, "[secret]"), (1, "no "), (0, "[secret]"), (1, "key")];
            check(
                &told.map(|(index, text)| frame(index, text)),
                &hidden.map(|(index, text)| frame(index, text)),
            );
        }
        check_turns(call);
        check_turns(choice);
    }
}
