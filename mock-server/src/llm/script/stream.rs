//! How an answer is cut, paced and dressed when it is streamed.
//!
//! Everything here is something a client must bear; what it need not bear is a fault.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::lapse::Lapse;
use crate::llm::script::wording::NumberOr;

const USUAL_FRAGMENT: NonZeroUsize = NonZeroUsize::new(16).unwrap();

/// How an answer is streamed. The times pass on the scenario's clock, and on the real one
/// where nobody has said what time it is; an answer that is not streamed comes as late as
/// the end of its stream would.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StreamShape {
    /// How much text is in a frame: `word`, or a number of characters. Default: `word`.
    #[serde(skip_serializing_if = "is_default")]
    pub chunk: NumberOr<Word>,
    /// How many characters of a call's arguments are in a frame. Default: 16.
    #[serde(skip_serializing_if = "is_usual")]
    pub arguments: NonZeroUsize,
    /// How many bytes are written to the socket at once, which splits frames and letters.
    /// Default: whole frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<NonZeroUsize>,
    /// What ends a line: `lf` or `crlf`. Default: `lf`.
    #[serde(skip_serializing_if = "is_default")]
    pub line_end: LineEnd,
    /// After how many frames a comment comes, each time. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comments: Option<NonZeroUsize>,
    /// How long the model thinks before the first frame (or before any other answer).
    #[serde(skip_serializing_if = "Lapse::is_zero")]
    pub first_token: Lapse,
    /// How long it takes from each frame to the next.
    #[serde(skip_serializing_if = "Lapse::is_zero")]
    pub per_token: Lapse,
    /// Up to how much longer each wait may be; the seed says how much.
    #[serde(skip_serializing_if = "Lapse::is_zero")]
    pub jitter: Lapse,
    /// Whether parallel calls take turns, fragment by fragment.
    #[serde(skip_serializing_if = "is_default")]
    pub interleave: bool,
    /// Which frames come twice: `3`, or `2..4`. Comments are not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<FrameRange>,
    /// Where the usage is told. Default: as the service does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsagePlace>,
    /// Whether the end mark is sent. Default: yes.
    #[serde(skip_serializing_if = "is_true")]
    pub done: bool,
}

/// Where in a stream the usage stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UsagePlace {
    /// In the choice that ends the answer, as Moonshot does.
    Choice,
    /// Beside the last choice, as OpenRouter does.
    Last,
    /// In a chunk of its own without choices, as OpenAI does when it is asked to.
    Final,
    /// Nowhere.
    None,
}

/// What ends a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LineEnd {
    #[default]
    Lf,
    Crlf,
}

/// The word `word`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    Word,
}

/// Frames of a stream, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameRange(RangeInclusive<usize>);

impl Default for StreamShape {
    fn default() -> Self {
        Self {
            chunk: NumberOr::default(),
            arguments: USUAL_FRAGMENT,
            bytes: None,
            line_end: LineEnd::Lf,
            comments: None,
            first_token: Lapse::default(),
            per_token: Lapse::default(),
            jitter: Lapse::default(),
            interleave: false,
            duplicate: None,
            usage: None,
            done: true,
        }
    }
}

impl Default for NumberOr<Word> {
    fn default() -> Self {
        Self::Word(Word::Word)
    }
}

impl StreamShape {
    /// Whether anything in it takes time.
    pub(crate) fn takes_time(&self) -> bool {
        let lapses = [self.first_token, self.per_token, self.jitter];
        lapses.iter().any(|lapse| !lapse.is_zero())
    }
}

impl FrameRange {
    pub(crate) fn holds(&self, frame: usize) -> bool {
        self.0.contains(&frame)
    }

    fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| match text.trim().parse::<usize>() {
            Ok(number) if number > 0 => Some(number),
            Ok(_) | Err(_) => None,
        };
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let (first, last) = (number(first)?, number(last)?);
        (first <= last).then_some(Self(first..=last))
    }
}

/// `3`, or `2..4`.
impl fmt::Display for FrameRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.0.start(), self.0.end());
        if first == last {
            return write!(out, "{first}");
        }
        write!(out, "{first}..{last}")
    }
}

impl Serialize for FrameRange {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        if self.0.start() == self.0.end() {
            return self.0.start().serialize(out);
        }
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FrameRange {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(NumberOrRange)
    }
}

struct NumberOrRange;

impl Visitor<'_> for NumberOrRange {
    type Value = FrameRange;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the number of a frame from 1 on, or two of them as in `2..4`")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<FrameRange, E> {
        let read = FrameRange::parse(&number.to_string());
        read.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<FrameRange, E> {
        FrameRange::parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl JsonSchema for FrameRange {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "FrameRange".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": 1 },
                { "type": "string", "pattern": "^[1-9][0-9]*\\.\\.[1-9][0-9]*$" },
            ],
            "description": "A frame, or frames from one to another: `3`, `2..4`.",
        })
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn is_usual(fragment: &NonZeroUsize) -> bool {
    *fragment == USUAL_FRAGMENT
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
fn is_true(value: &bool) -> bool {
    *value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn read(shape: &str) -> Result<StreamShape, String> {
        yaml::read("script.yaml", shape).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn a_shape_is_written_as_it_was_read() {
        for shape in [
            "{}",
            r#"{"chunk":3,"arguments":4,"bytes":7,"line_end":"crlf","comments":2,"first_token":"400ms","per_token":"20ms","jitter":"5ms","interleave":true,"duplicate":"2..4","done":false}"#,
            r#"{"duplicate":3}"#,
        ] {
            assert_eq!(serde_json::to_string(&read(shape).unwrap()).unwrap(), shape);
        }
    }

    #[test]
    fn a_shape_that_cannot_be_is_refused() {
        #[track_caller]
        fn check(shape: &str, complaint: &str) {
            let mistake = read(shape).unwrap_err();
            assert!(mistake.contains(complaint), "{mistake}");
        }
        check("{ bytes: 0 }", "nonzero");
        check("{ line_end: cr }", "cr");
        check("{ first_token: 400 }", "a duration like");
        check("{ duplicate: 0 }", "a frame from 1 on");
        check("{ duplicate: 4..2 }", "as in `2..4`");
        check("{ bite: 3 }", "did you mean `bytes`?");
    }
}
