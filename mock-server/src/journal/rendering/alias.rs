//! Names for what is different in every run: ids and temporary folders.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// An id of 128 bits as it is usually written, or the beginning of a path to a folder that
/// somebody made for a while.
const FOREIGN: &str = concat!(
    r"(?<uuid>\b[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\b)",
    r"|(?<path>(?:/private)?/var/folders/[^/\s]+/[^/\s]+/T/[\w.-]+|(?:/var)?/tmp[/][\w.-]+)",
);

static PATTERN: LazyLock<Result<Regex, regex::Error>> = LazyLock::new(|| Regex::new(FOREIGN));

#[derive(Debug, Default)]
pub(super) struct Aliases<'a> {
    /// Places that are called otherwise elsewhere, and the name that stands for them.
    places: &'a [(String, &'a str)],
    uuids: BTreeMap<String, usize>,
    paths: BTreeMap<String, usize>,
}

impl<'a> Aliases<'a> {
    pub(super) fn of(places: &'a [(String, &'a str)]) -> Self {
        Self {
            places,
            ..Self::default()
        }
    }

    /// The text with `[uuid-1]` and `[path-1]` in it: the same for the same, in all texts.
    pub(super) fn stable(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (place, name) in self.places {
            text = text.replace(place.as_str(), name);
        }
        let Ok(pattern) = &*PATTERN else {
            // It is a constant, and the tests see it compile.
            return text;
        };
        let name = |found: &Captures<'_>| {
            let (names, kind) = match found.name("uuid") {
                Some(_) => (&mut self.uuids, "uuid"),
                None => (&mut self.paths, "path"),
            };
            let next = names.len() + 1;
            let number = names.entry(found[0].to_lowercase()).or_insert(next);
            format!("[{kind}-{number}]")
        };
        pattern.replace_all(&text, name).into_owned()
    }
}
