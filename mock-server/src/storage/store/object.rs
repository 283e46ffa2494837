//! One generation of an object: what it holds, and what is said of it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::storage::refusal::Refusal;
use crate::storage::store::content::Content;

/// What the service says of an object whose type nobody told.
pub(crate) const UNTYPED: &str = "application/octet-stream";

/// The place of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) bucket: Arc<str>,
    pub(crate) object: Arc<str>,
}

impl Address {
    /// Names as the service allows them: up to 1024 bytes of UTF-8, without line ends, and
    /// neither `.` nor `..`.
    pub(crate) fn new(bucket: &str, object: &str) -> Result<Self, Refusal> {
        let is_name = (1..=1024).contains(&object.len())
            && !object.contains(['\r', '\n'])
            && object != "."
            && object != "..";
        if !is_name {
            let message = format!("Invalid argument: `{object}` is no name of an object.");
            return Err(Refusal::invalid(message));
        }
        Ok(Self {
            bucket: bucket.into(),
            object: object.into(),
        })
    }
}

/// One generation.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) at: Address,
    /// Strictly increasing over the whole store.
    pub(crate) generation: u64,
    /// Counts the changes of what is said of it, from 1.
    pub(crate) metageneration: u64,
    pub(crate) content: Content,
    pub(crate) attributes: Attributes,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    /// Of how many pieces it was composed.
    pub(crate) components: Option<usize>,
    /// Since when it is no longer the live one.
    pub(crate) deleted: Option<Timestamp>,
}

/// What clients may say of an object, in the words of the JSON API's resource. What is not
/// among them is not kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Attributes {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache_control: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) storage_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) custom_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) temporary_hold: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event_based_hold: Option<bool>,
    #[serde(skip_serializing_if = "IndexMap::is_empty", deserialize_with = "told")]
    pub(crate) metadata: IndexMap<String, String>,
}

/// In a resource, `null` is as good as nothing.
fn told<'de, D: serde::Deserializer<'de>>(input: D) -> Result<IndexMap<String, String>, D::Error> {
    let told = Option::<IndexMap<String, Option<String>>>::deserialize(input)?;
    let told = told.into_iter().flatten();
    Ok(told
        .filter_map(|(name, value)| Some((name, value?)))
        .collect())
}

impl Attributes {
    /// Of a resource as a client sends it.
    pub(crate) fn of(resource: &Map<String, Value>) -> Result<Self, Refusal> {
        let read = Self::deserialize(Value::Object(resource.clone()));
        read.map_err(|fault| Refusal::invalid(format!("Invalid value: {fault}")))
    }

    /// With what a patch says: its members replace those here, and `null` takes one away.
    /// Metadata is patched key by key.
    pub(crate) fn patched(&self, patch: &Map<String, Value>) -> Result<Self, Refusal> {
        let whole = serde_json::to_value(self);
        let mut whole = whole.map_err(|fault| Refusal::invalid(fault.to_string()))?;
        merge(&mut whole, patch);
        match whole {
            Value::Object(whole) => Self::of(&whole),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Ok(Self::default()),
        }
    }
}

/// RFC 7396.
pub(crate) fn merge(target: &mut Value, patch: &Map<String, Value>) {
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(target) = target.as_object_mut() else {
        return;
    };
    for (name, value) in patch {
        match value {
            Value::Null => {
                target.shift_remove(name);
            }
            Value::Object(inner) => merge(target.entry(name).or_insert(Value::Null), inner),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                target.insert(name.clone(), value.clone());
            }
        }
    }
}

impl Object {
    /// Its tag in the JSON API: both numbers, as the service writes them (a protobuf message of
    /// two varints, in base64).
    pub(crate) fn etag(&self) -> String {
        let mut message = vec![0x08];
        varint(self.generation, &mut message);
        message.push(0x10);
        varint(self.metageneration, &mut message);
        STANDARD.encode(message)
    }

    /// Its tag in the XML API, with the quotes: the MD5, where it has one.
    pub(crate) fn entity_tag(&self) -> String {
        match self.content.md5 {
            Some(md5) => format!("\"{}\"", hex(&md5)),
            None => format!("\"-{}\"", self.etag()),
        }
    }

    pub(crate) fn content_type(&self) -> &str {
        self.attributes.content_type.as_deref().unwrap_or(UNTYPED)
    }

    pub(crate) fn storage_class(&self) -> &str {
        let class = self.attributes.storage_class.as_deref();
        class.unwrap_or("STANDARD")
    }

    pub(crate) fn is_held(&self) -> bool {
        self.attributes.temporary_hold == Some(true)
            || self.attributes.event_based_hold == Some(true)
    }
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    loop {
        let [low, ..] = (number & 0x7f).to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.map(digit).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;

    pub(crate) fn object(generation: u64, metageneration: u64) -> Object {
        let noon = "2026-01-05T12:00:00Z".parse().unwrap();
        Object {
            at: Address::new("attic", "cat.txt").unwrap(),
            generation,
            metageneration,
            content: Content::of(Bytes::from_static(b"Miso")),
            attributes: Attributes::default(),
            created: noon,
            updated: noon,
            components: None,
            deleted: None,
        }
    }

    fn fields(value: Value) -> Map<String, Value> {
        let Value::Object(fields) = value else {
            panic!("{value} is not an object")
        };
        fields
    }

    /// The first tag is one of those in the service's documentation.
    #[test]
    fn tags_are_made_as_the_service_makes_them() {
        assert_eq!(object(1_418_688_703_353_000, 1).etag(), "CKih16GjycICEAE=");
        let tag = object(5, 1).entity_tag();
        assert_eq!(tag, "\"962b4e87447e49f1c109aeaed03b038e\"");
    }

    #[test]
    fn a_patch_replaces_adds_and_takes_away() {
        let before = json!({ "contentType": "a/b", "cacheControl": "no-store",
            "metadata": { "Keep_Me": "1", "drop": "2" }, "size": "12" });
        let before = Attributes::of(&fields(before)).unwrap();
        let patch = json!({ "cacheControl": null, "contentLanguage": "de",
            "metadata": { "drop": null, "new": "3" } });
        let after = before.patched(&fields(patch)).unwrap();
        let expected = json!({ "contentType": "a/b", "contentLanguage": "de",
            "metadata": { "Keep_Me": "1", "new": "3" } });
        assert_eq!(serde_json::to_value(&after).unwrap(), expected);
        let cleared = after.patched(&fields(json!({ "metadata": null }))).unwrap();
        assert!(cleared.metadata.is_empty());
        let wrong = after.patched(&fields(json!({ "contentType": 3 })));
        assert!(wrong.is_err());
    }

    #[test]
    fn names_are_those_that_the_service_allows() {
        for name in ["a", "a/b", " ", "日本語", "..a", "x\0"] {
            assert!(Address::new("attic", name).is_ok(), "{name}");
        }
        let long = "x".repeat(1025);
        for name in ["", ".", "..", "a\nb", "a\r", long.as_str()] {
            assert!(Address::new("attic", name).is_err(), "{name}");
        }
    }
}
