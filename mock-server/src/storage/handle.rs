//! The storage service as the rest of the program knows it: one store behind a short lock, and
//! a journal.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::journal::Journal;
use crate::storage::store::Store;
use crate::storage::store::object::Object;

/// A handle to what lies in storage; a clone is the same storage.
#[derive(Clone, Debug)]
pub struct Storage {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Mutex<Store>,
    journal: Journal,
    /// Host and port as clients know them.
    authority: OnceLock<String>,
}

impl Storage {
    pub(crate) fn new(journal: &Journal, seed: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                store: Mutex::new(Store::new(seed)),
                journal: journal.clone(),
                authority: OnceLock::new(),
            }),
        }
    }

    pub(crate) fn is_known_at(&self, authority: &str) {
        self.shared.authority.get_or_init(|| authority.to_owned());
    }

    pub(crate) fn authority(&self) -> &str {
        let authority = self.shared.authority.get();
        authority.map_or("localhost", String::as_str)
    }

    /// Looks at the store, or changes it. Nothing in it panics, and nothing waits.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Store, Timestamp) -> T) -> T {
        let now = self.shared.journal.now().unwrap_or_else(Timestamp::now);
        let store = self.shared.store.lock();
        act(&mut store.unwrap_or_else(PoisonError::into_inner), now)
    }

    pub(crate) fn has_bucket(&self, name: &str) -> bool {
        self.with(|store, _| store.bucket(name).is_ok())
    }

    /// Begins anew, without buckets.
    pub(crate) fn reset(&self) {
        self.with(|store, _| store.clear());
    }

    /// Writes down that something happened to an object; never what is in it.
    pub(crate) fn note(&self, event: &'static str, how: &'static str, object: &Object) {
        let fields = [
            ("how", Value::from(how)),
            ("bucket", Value::from(&*object.at.bucket)),
            ("object", Value::from(&*object.at.object)),
            ("generation", Value::from(object.generation)),
            ("metageneration", Value::from(object.metageneration)),
            ("size", Value::from(object.content.len())),
            ("crc32c", Value::from(object.content.crc32c_text())),
        ];
        self.write(event, fields);
    }

    pub(crate) fn write<const N: usize>(&self, event: &'static str, fields: [(&str, Value); N]) {
        let fields = fields.map(|(name, value)| (name.to_owned(), value));
        self.shared.journal.write(event, Map::from_iter(fields));
    }
}
