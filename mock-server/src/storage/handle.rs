//! The storage service as the rest of the program knows it: one store behind a short lock, and
//! a journal.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::journal::Journal;
use crate::llm::{Fault, ScriptedLlm};
use crate::storage::errand::Errand;
use crate::storage::identity::{Access, Ledger};
use crate::storage::refusal::Refusal;
use crate::storage::retry_test::RetryTests;
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
    /// Holds the script, and in it what goes wrong.
    llm: ScriptedLlm,
    ledger: Mutex<Ledger>,
    tests: Mutex<RetryTests>,
    /// Whether it answers nothing but that it is down.
    down: AtomicBool,
    /// Ends what has stalled.
    closing: CancellationToken,
    /// Host and port as clients know them.
    authority: OnceLock<String>,
}

impl Storage {
    pub(crate) fn new(llm: &ScriptedLlm, seed: u64, closing: &CancellationToken) -> Self {
        Self {
            shared: Arc::new(Shared {
                store: Mutex::new(Store::new(seed)),
                journal: llm.journal().clone(),
                llm: llm.clone(),
                ledger: Mutex::new(Ledger::new(seed)),
                tests: Mutex::default(),
                down: AtomicBool::new(false),
                closing: closing.clone(),
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

    pub(crate) fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    pub(crate) async fn closed(&self) {
        self.shared.closing.cancelled().await;
    }

    fn now(&self) -> Timestamp {
        let told = self.shared.journal.now();
        told.unwrap_or_else(Timestamp::now)
    }

    /// Looks at the store, or changes it. Nothing in it panics, and nothing waits.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Store, Timestamp) -> T) -> T {
        act(&mut locked(&self.shared.store), self.now())
    }

    pub(crate) fn retry_tests<T>(&self, act: impl FnOnce(&mut RetryTests) -> T) -> T {
        act(&mut locked(&self.shared.tests))
    }

    /// What the script has go wrong with this, and how that is called.
    pub(crate) fn befall(&self, errand: &Errand) -> Option<(Arc<str>, Arc<Fault>)> {
        self.shared.llm.befall_storage(errand)
    }

    pub(crate) fn admit(&self, shown: Option<&str>, writes: bool) -> Result<(), Refusal> {
        locked(&self.shared.ledger).admit(shown, writes, self.now())
    }

    /// A new token, which is never written down.
    pub(crate) fn issue(&self, scopes: &str) -> String {
        let token = locked(&self.shared.ledger).issue(scopes, self.now());
        self.shared.journal.hide(&token);
        token
    }

    pub(crate) fn hide(&self, secret: &str) {
        self.shared.journal.hide(secret);
    }

    /// From now on only these may do something.
    pub fn set_access(&self, access: Access) {
        locked(&self.shared.ledger).access = access;
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.shared.down.store(down, Ordering::Relaxed);
    }

    pub(crate) fn is_down(&self) -> bool {
        self.shared.down.load(Ordering::Relaxed)
    }

    pub(crate) fn has_bucket(&self, name: &str) -> bool {
        self.with(|store, _| store.bucket(name).is_ok())
    }

    /// Begins anew: without buckets, open for everybody.
    pub(crate) fn reset(&self) {
        self.with(|store, _| store.clear());
        locked(&self.shared.ledger).open();
        self.set_down(false);
        self.retry_tests(|tests| *tests = RetryTests::default());
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

/// Nobody panics while they hold one of these.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
