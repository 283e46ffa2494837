//! What lies in storage before anything happens, as a scenario or a person writes it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::storage::Storage;
use crate::storage::identity::Access;
use crate::storage::refusal::Refusal;
use crate::storage::store::Draft;
use crate::storage::store::conditions::Conditions;
use crate::storage::store::content::Content;
use crate::storage::store::object::{Address, Attributes, Object};

/// Buckets, and who may do something.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StagedStorage {
    /// Who may do something. Default: everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// Whether the service is down: it answers 503, and does nothing, until it is said to be up
    /// again. Default: as it was, at first up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down: Option<bool>,
    /// By their names.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub buckets: IndexMap<String, StagedBucket>,
}

/// A bucket; one that is there already gets what is named here on top.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StagedBucket {
    /// Whether it keeps what is overwritten or deleted.
    #[serde(skip_serializing_if = "is_false")]
    pub versioning: bool,
    /// Its objects: a text, or a map of what there is to say.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub objects: IndexMap<String, StagedObject>,
}

/// An object: its text, or what there is to say.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum StagedObject {
    /// What it holds.
    Text(String),
    /// That, and what is said of it.
    Told(Box<ToldObject>),
}

/// An object, and what is said of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToldObject {
    /// What it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What it holds, where that is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub metadata: IndexMap<String, String>,
}

fn is_false(value: &bool) -> bool {
    !*value
}

impl<'de> Deserialize<'de> for StagedObject {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(Written)
    }
}

struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = StagedObject;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text, or a map with `text` or `base64`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<StagedObject, E> {
        Ok(StagedObject::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StagedObject, A::Error> {
        let told = ToldObject::deserialize(MapAccessDeserializer::new(map))?;
        match (&told.text, &told.base64) {
            (Some(_), Some(_)) => Err(A::Error::custom(
                "an object holds `text` or `base64`, not both",
            )),
            (_, Some(base64)) if STANDARD.decode(base64).is_err() => {
                Err(A::Error::custom("this is no base64"))
            }
            (_, _) => Ok(StagedObject::Told(Box::new(told))),
        }
    }
}

impl StagedObject {
    fn put(self, at: Address) -> Result<(Draft, Content), Refusal> {
        let told = match self {
            Self::Text(text) => ToldObject {
                text: Some(text),
                ..ToldObject::default()
            },
            Self::Told(told) => *told,
        };
        let bytes = match (told.text, told.base64) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(base64)) => {
                let decoded = STANDARD.decode(base64);
                decoded.map_err(|fault| Refusal::invalid(fault.to_string()))?
            }
            (None, None) => Vec::new(),
        };
        let draft = Draft {
            at,
            attributes: Attributes {
                content_type: told.content_type,
                metadata: told.metadata,
                ..Attributes::default()
            },
            conditions: Conditions::default(),
        };
        Ok((draft, Content::of(bytes.into())))
    }
}

/// It cannot lie there: a name that the service does not allow.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unstorable(String);

impl Storage {
    /// Puts this there, beside what is.
    ///
    /// # Errors
    /// The first name that the service does not allow; what comes before it is there.
    pub fn stage(&self, staged: StagedStorage) -> Result<(), Unstorable> {
        let told = |refusal: Refusal| Unstorable(refusal.message);
        if let Some(access) = staged.access {
            self.set_access(access);
        }
        if let Some(down) = staged.down {
            self.set_down(down);
        }
        for (name, bucket) in staged.buckets {
            let settings = json!({ "versioning": { "enabled": bucket.versioning } });
            let settings = settings.as_object().cloned().unwrap_or_default();
            self.with(|store, now| match store.bucket_mut(&name) {
                Ok(known) => {
                    known.patch(&settings, now);
                    Ok(())
                }
                Err(_unknown) => store.create_bucket(&name, settings, now).map(|_| ()),
            })
            .map_err(told)?;
            for (object, staged) in bucket.objects {
                let (draft, content) = Address::new(&name, &object)
                    .and_then(|at| staged.put(at))
                    .map_err(told)?;
                self.with(|store, now| store.put(draft, content, now))
                    .map_err(told)?;
            }
        }
        Ok(())
    }

    /// What lies in a bucket, in the order of the names; null if there is no such bucket. Each is
    /// `{object, size, crc32c, content_type, metadata, text}`; only UTF-8 has a text.
    #[must_use]
    pub fn contents(&self, bucket: &str) -> Value {
        let objects: Option<Vec<_>> = self.with(|store, _| match store.bucket(bucket) {
            Ok(bucket) => Some(
                bucket
                    .objects
                    .values()
                    .filter_map(|shelf| shelf.live.clone())
                    .collect(),
            ),
            Err(_unknown) => None,
        });
        objects.map_or(Value::Null, |objects| {
            objects.iter().map(|object| row(object)).collect()
        })
    }

    /// All of it, by bucket.
    #[must_use]
    pub fn describe(&self) -> Value {
        let names: Vec<_> = self.with(|store, _| {
            store
                .buckets()
                .map(|bucket| bucket.name.to_string())
                .collect()
        });
        let buckets = names.into_iter().map(|name| {
            let contents = self.contents(&name);
            (name, contents)
        });
        Value::Object(buckets.collect())
    }
}

fn row(object: &Object) -> Value {
    let mut row = json!({
        "object": &*object.at.object,
        "size": object.content.len(),
        "crc32c": object.content.crc32c_text(),
        "content_type": object.content_type(),
    });
    if !object.attributes.metadata.is_empty() {
        row["metadata"] = json!(object.attributes.metadata);
    }
    if let Ok(text) = str::from_utf8(&object.content.bytes) {
        row["text"] = text.into();
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn read(staged: &str) -> Result<StagedStorage, String> {
        yaml::read("storage.yaml", staged).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn storage_is_written_as_it_was_read() {
        let staged = r#"{"access":"token","down":true,"buckets":{"attic":{"versioning":true,"objects":{"a":"Miso","b/c":{"base64":"AAE=","content_type":"x/y","metadata":{"k":"v"}}}}}}"#;
        let read = read(staged).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), staged);
    }

    #[test]
    fn what_cannot_be_is_refused_at_its_place() {
        #[track_caller]
        fn check(staged: &str, complaint: &str) {
            let mistake = read(staged).unwrap_err();
            assert!(mistake.contains(complaint), "{mistake}");
        }
        check("{ bucket: {} }", "did you mean `buckets`?");
        check("{ access: tokens }", "did you mean `token`?");
        check(
            "{ buckets: { a: { objects: { x: 3 } } } }",
            "a text, or a map",
        );
        check(
            "{ buckets: { a: { objects: { x: { base64: '!' } } } } }",
            "no base64",
        );
        check(
            "{ buckets: { a: { objects: { x: { text: a, base64: '' } } } } }",
            "not both",
        );
    }
}
