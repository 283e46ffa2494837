//! When within an answer something goes wrong, and the text of a header: the places of a
//! fault where scalars of several kinds may stand.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultMoment {
    /// Before a byte of the answer.
    Request,
    /// After the headers.
    Headers,
    /// After so many frames; comments are not counted.
    Frames(usize),
    /// Inside the arguments of the first call.
    Arguments,
    /// After the last word of the response, before anything of its end.
    Said,
    /// After so many bytes of the body.
    Bytes(usize),
}

/// Before which frame a stream tells of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorMoment {
    /// After so many frames; comments are not counted.
    Frames(usize),
    /// After the last word of the response, before anything of its end.
    Said,
}

/// The text of a header; a number may be written without quotes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeaderText(pub String);

const SAID: &str = "said";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AfterBytes {
    bytes: usize,
}

/// As it stands in a sentence: `after 3 frames`.
impl fmt::Display for FaultMoment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request => out.write_str("before the answer"),
            Self::Headers => out.write_str("after the headers"),
            Self::Frames(1) => out.write_str("after 1 frame"),
            Self::Frames(frames) => write!(out, "after {frames} frames"),
            Self::Arguments => out.write_str("inside the arguments of a call"),
            Self::Said => out.write_str("after what is said"),
            Self::Bytes(bytes) => write!(out, "after {bytes} bytes"),
        }
    }
}

impl Serialize for FaultMoment {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Request => out.serialize_str("request"),
            Self::Headers => out.serialize_str("headers"),
            Self::Arguments => out.serialize_str("arguments"),
            Self::Said => out.serialize_str(SAID),
            Self::Frames(frames) => frames.serialize(out),
            Self::Bytes(bytes) => AfterBytes { bytes: *bytes }.serialize(out),
        }
    }
}

impl<'de> Deserialize<'de> for FaultMoment {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(WrittenMoment)
    }
}

struct WrittenMoment;

impl<'de> Visitor<'de> for WrittenMoment {
    type Value = FaultMoment;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a moment: `request`, `headers`, `arguments`, `said`, a number of frames from 1 on, or `{ bytes: 120 }`")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<FaultMoment, E> {
        match usize::try_from(number) {
            Ok(frames) if frames > 0 => Ok(FaultMoment::Frames(frames)),
            Ok(_) | Err(_) => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<FaultMoment, E> {
        match word {
            "request" => Ok(FaultMoment::Request),
            "headers" => Ok(FaultMoment::Headers),
            "arguments" => Ok(FaultMoment::Arguments),
            SAID => Ok(FaultMoment::Said),
            other => Err(E::invalid_value(Unexpected::Str(other), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FaultMoment, A::Error> {
        let after = AfterBytes::deserialize(MapAccessDeserializer::new(map))?;
        Ok(FaultMoment::Bytes(after.bytes))
    }
}

impl JsonSchema for FaultMoment {
    fn schema_name() -> Cow<'static, str> {
        "FaultMoment".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A moment of an answer: `request`, `headers`, a number of frames, `arguments`, `said`, or `{ bytes: 120 }`.",
            "anyOf": [
                { "enum": ["request", "headers", "arguments", SAID] },
                { "type": "integer", "minimum": 1 },
                {
                    "type": "object",
                    "properties": { "bytes": { "type": "integer", "minimum": 0 } },
                    "required": ["bytes"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

impl Default for ErrorMoment {
    fn default() -> Self {
        Self::Frames(0)
    }
}

impl From<ErrorMoment> for FaultMoment {
    fn from(moment: ErrorMoment) -> Self {
        match moment {
            ErrorMoment::Frames(frames) => Self::Frames(frames),
            ErrorMoment::Said => Self::Said,
        }
    }
}

impl Serialize for ErrorMoment {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        FaultMoment::from(*self).serialize(out)
    }
}

impl<'de> Deserialize<'de> for ErrorMoment {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(WrittenErrorMoment)
    }
}

struct WrittenErrorMoment;

impl Visitor<'_> for WrittenErrorMoment {
    type Value = ErrorMoment;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a number of frames, or `said`")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<ErrorMoment, E> {
        match usize::try_from(number) {
            Ok(frames) => Ok(ErrorMoment::Frames(frames)),
            Err(_too_large) => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<ErrorMoment, E> {
        match word {
            SAID => Ok(ErrorMoment::Said),
            other => Err(E::invalid_value(Unexpected::Str(other), &self)),
        }
    }
}

impl JsonSchema for ErrorMoment {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ErrorMoment".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "enum": [SAID] },
                { "type": "integer", "minimum": 0 },
            ],
        })
    }
}

impl<'de> Deserialize<'de> for HeaderText {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(TextOrNumber)
    }
}

struct TextOrNumber;

impl Visitor<'_> for TextOrNumber {
    type Value = HeaderText;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text or a number")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<HeaderText, E> {
        Ok(HeaderText(number.to_string()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<HeaderText, E> {
        Ok(HeaderText(text.to_owned()))
    }
}

impl JsonSchema for HeaderText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "HeaderText".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"] })
    }
}
