//! Arguments that a script sent broken, so that a client may send them back.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use serde::de::IgnoredAny;

/// Arguments that the script sent and that are no JSON.
#[derive(Debug, Default)]
pub(crate) struct BrokenArguments(RwLock<HashSet<String>>);

impl BrokenArguments {
    /// Looks at what is about to be sent, and remembers it if it is broken.
    pub(crate) fn sent(&self, arguments: &str) {
        if !is_json(arguments) {
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            known.insert(arguments.to_owned());
        }
    }

    pub(crate) fn forget(&self) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.clear();
    }

    pub(super) fn knows(&self, arguments: &str) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.contains(arguments)
    }
}

pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}
