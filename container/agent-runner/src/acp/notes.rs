//! The agent's own words in the run log: without its secrets, and not without end.

use super::secrets::Secrets;
use crate::events::note;

/// Bytes that are kept in all.
const MOST_NOTES: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Notes {
    secrets: Secrets,
    left: usize,
}

impl Notes {
    pub(super) fn new(secrets: Secrets) -> Self {
        Self {
            secrets,
            left: MOST_NOTES,
        }
    }

    pub(super) fn keep(&mut self, text: &str) {
        if self.left == 0 {
            return;
        }
        let text = self.secrets.mask(text.to_owned());
        note(&format!("agent: {text}"));
        self.left = self.left.saturating_sub(text.len().max(1));
        if self.left == 0 {
            note("agent: [more is left out]");
        }
    }
}
