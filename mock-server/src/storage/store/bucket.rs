//! A bucket: its settings, and its objects in the order of their names.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::storage::refusal::Refusal;
use crate::storage::store::object::{Object, merge};

/// The members of a bucket's resource that the store itself says.
const OWN: [&str; 8] = [
    "kind",
    "id",
    "name",
    "selfLink",
    "metageneration",
    "timeCreated",
    "updated",
    "etag",
];

#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub(crate) name: Arc<str>,
    pub(crate) metageneration: u64,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    /// As clients told them, in the words of the resource: `versioning`, `labels`, `lifecycle`
    /// and so on. All are kept, and `versioning` is heeded.
    pub(crate) settings: Map<String, Value>,
    /// In the order of UTF-8, which is that of the service.
    pub(crate) objects: BTreeMap<Arc<str>, Shelf>,
}

/// What there is under one name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf {
    pub(crate) live: Option<Arc<Object>>,
    /// Those that were live, oldest first; kept only where versions are.
    pub(crate) old: Vec<Arc<Object>>,
}

impl Bucket {
    pub(crate) fn new(
        name: &str,
        mut settings: Map<String, Value>,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        if !is_bucket_name(name) {
            return Err(Refusal::invalid(format!("Invalid bucket name: '{name}'")));
        }
        settings.retain(|member, _| !OWN.contains(&member.as_str()));
        Ok(Self {
            name: name.into(),
            metageneration: 1,
            created: now,
            updated: now,
            settings,
            objects: BTreeMap::new(),
        })
    }

    pub(crate) fn keeps_versions(&self) -> bool {
        let versioning = self.settings.get("versioning");
        let enabled = versioning.and_then(|versioning| versioning.get("enabled"));
        enabled.and_then(Value::as_bool) == Some(true)
    }

    /// Changes the settings as a patch says.
    pub(crate) fn patch(&mut self, patch: &Map<String, Value>, now: Timestamp) {
        let mut settings = Value::Object(std::mem::take(&mut self.settings));
        merge(&mut settings, patch);
        if let Value::Object(mut settings) = settings {
            settings.retain(|member, _| !OWN.contains(&member.as_str()));
            self.settings = settings;
        }
        self.metageneration += 1;
        self.updated = now;
    }

    /// The live object of this name, or the given generation of it.
    pub(crate) fn find(&self, name: &str, generation: Option<u64>) -> Option<&Arc<Object>> {
        let shelf = self.objects.get(name)?;
        match generation {
            None => shelf.live.as_ref(),
            Some(wanted) => shelf.all().find(|object| object.generation == wanted),
        }
    }
}

impl Shelf {
    /// Every generation, oldest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.old.iter().chain(&self.live)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.live.is_none() && self.old.is_empty()
    }
}

/// <https://cloud.google.com/storage/docs/buckets#naming>
fn is_bucket_name(name: &str) -> bool {
    let is_of_a_name =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    let longest = if name.contains('.') { 222 } else { 63 };
    (3..=longest).contains(&bytes.len())
        && bytes.iter().copied().all(is_of_a_name)
        && is_edge(bytes.first())
        && is_edge(bytes.last())
        && name.split('.').all(|part| (1..=63).contains(&part.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_are_those_that_the_service_allows() {
        for name in ["abc", "my-bucket_1", "a.b.example.org", "123"] {
            assert!(is_bucket_name(name), "{name}");
        }
        let long = "x".repeat(64);
        for name in [
            "",
            "ab",
            "Abc",
            "-abc",
            "abc-",
            "a..b",
            "a b c",
            "日本語",
            &long,
        ] {
            assert!(!is_bucket_name(name), "{name}");
        }
    }
}
