//! What a text must hold: a piece of it, or a regular expression.
//!
//! Compiled when it is read, so that a bad one is refused at its place in the file.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A condition on a text, as scripts write it.
///
/// `report the outage` is found anywhere in the text, in upper or lower case;
/// `/outages?$/` is a regular expression (of the `regex` crate), case and all.
#[derive(Clone, Debug)]
pub struct TextPattern {
    source: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Folded already.
    Piece(String),
    Regex(Regex),
}

/// A pattern that cannot be one.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPattern {
    #[error("an empty text is found in any text; leave the key out instead")]
    Empty,
    #[error("`{pattern}` is not a regular expression: {fault}")]
    Regex { pattern: String, fault: String },
}

/// A text that is looked at by many patterns: its case is folded once, on demand.
#[derive(Debug)]
pub(crate) struct Heard<'a> {
    text: Cow<'a, str>,
    folded: OnceCell<String>,
}

impl TextPattern {
    /// # Errors
    /// An empty text, and what is no regular expression between two slashes.
    pub fn parse(source: &str) -> Result<Self, InvalidPattern> {
        let kind = match between_slashes(source) {
            Some(pattern) => Kind::Regex(compile(pattern)?),
            None if source.is_empty() => return Err(InvalidPattern::Empty),
            None => Kind::Piece(fold(source)),
        };
        Ok(Self {
            source: source.to_owned(),
            kind,
        })
    }

    pub(crate) fn is_in(&self, heard: &Heard<'_>) -> bool {
        match &self.kind {
            Kind::Piece(piece) => heard.folded().contains(piece.as_str()),
            Kind::Regex(regex) => regex.is_match(&heard.text),
        }
    }

    /// The folded piece that must occur, unless this is a regular expression.
    pub(crate) fn piece(&self) -> Option<&str> {
        match &self.kind {
            Kind::Piece(piece) => Some(piece),
            Kind::Regex(_) => None,
        }
    }

    /// The regular expression that must match, unless this is a piece.
    pub(crate) fn regex(&self) -> Option<&str> {
        match &self.kind {
            Kind::Piece(_) => None,
            Kind::Regex(regex) => Some(regex.as_str()),
        }
    }

    /// As the script writes it.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// As the end of a sentence that begins with "does not": `contain "outage"`.
impl fmt::Display for TextPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Piece(_) => write!(out, "contain {:?}", self.source),
            Kind::Regex(_) => write!(out, "match {}", self.source),
        }
    }
}

impl PartialEq for TextPattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl<'a> Heard<'a> {
    pub(crate) fn new(text: impl Into<Cow<'a, str>>) -> Self {
        Self {
            text: text.into(),
            folded: OnceCell::new(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn folded(&self) -> &str {
        self.folded.get_or_init(|| fold(&self.text))
    }
}

fn between_slashes(source: &str) -> Option<&str> {
    let pattern = source.strip_prefix('/')?.strip_suffix('/')?;
    (!pattern.is_empty()).then_some(pattern)
}

fn compile(pattern: &str) -> Result<Regex, InvalidPattern> {
    Regex::new(pattern).map_err(|fault| InvalidPattern::Regex {
        pattern: pattern.to_owned(),
        fault: last_line(&fault.to_string()),
    })
}

/// The crate draws the place over several lines; the last says what is wrong.
fn last_line(fault: &str) -> String {
    let line = fault.lines().next_back().unwrap_or(fault);
    line.trim_start_matches("error: ").to_owned()
}

/// Letter by letter, so that a piece of a text folds to a piece of the folded text.
/// (`str::to_lowercase` is not like that: it knows the end of a Greek word.)
fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_lowercase).collect()
}

impl<'de> Deserialize<'de> for TextPattern {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let source = String::deserialize(input)?;
        Self::parse(&source).map_err(de::Error::custom)
    }
}

impl Serialize for TextPattern {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.source)
    }
}

impl JsonSchema for TextPattern {
    fn schema_name() -> Cow<'static, str> {
        "TextPattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "description": "A piece of the text in any case, or a regular expression between slashes: /…/",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, found: bool) {
        assert_eq!(
            TextPattern::parse(pattern)
                .unwrap()
                .is_in(&Heard::new(text)),
            found
        );
    }

    #[test]
    fn a_piece_is_found_in_any_case_and_any_script() {
        check("Outage", "report the OUTAGE now", true);
        check("outage", "report", false);
        check("ΟΔΟΣ", "η οδοσ εδω", true);
        check("größe", "DIE GRÖSSE", false);
        check("/", "a/b", true);
        check("//", "http://x", true);
    }

    #[test]
    fn slashes_make_a_regular_expression_that_minds_the_case() {
        check("/^report .*now$/", "report it now", true);
        check("/REPORT/", "report", false);
        check("/(?i)REPORT/", "report", true);
    }

    #[test]
    fn what_cannot_be_a_pattern_is_refused() {
        let refused = |source| TextPattern::parse(source).unwrap_err().to_string();
        assert_eq!(
            refused("/(/"),
            "`(` is not a regular expression: unclosed group"
        );
        assert_eq!(
            refused(""),
            "an empty text is found in any text; leave the key out instead"
        );
    }
}
