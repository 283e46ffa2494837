//! The particulars of an entry, made out when somebody looks at them for the first time.
//!
//! Most entries of a long run are never looked at, and a conversation is long.

use std::fmt;
use std::ops::Deref;
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// Names and values; used like the map that it stands for.
pub struct Fields(LazyLock<Map<String, Value>, MakeOut>);

type MakeOut = Box<dyn FnOnce() -> Map<String, Value> + Send>;

impl Fields {
    pub(super) fn later(make_out: impl FnOnce() -> Map<String, Value> + Send + 'static) -> Self {
        Self(LazyLock::new(Box::new(make_out)))
    }
}

impl From<Map<String, Value>> for Fields {
    fn from(fields: Map<String, Value>) -> Self {
        let written = Self::later(move || fields);
        // What is there already need not be looked for again.
        LazyLock::force(&written.0);
        written
    }
}

impl Deref for Fields {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(out)
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Map::deserialize(input).map(Self::from)
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(out)
    }
}
