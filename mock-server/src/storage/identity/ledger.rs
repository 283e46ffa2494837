//! Access tokens: to whom they were given, for what and until when.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scatter::scatter;
use crate::storage::refusal::{Refusal, Wrong};

/// How long a token opens something, in seconds.
pub(crate) const LIFETIME: i64 = 3_600;
const SCOPE: &str = "https://www.googleapis.com/auth/";
const WRITING: [&str; 3] = [
    "cloud-platform",
    "devstorage.full_control",
    "devstorage.read_write",
];
const READING: [&str; 2] = ["cloud-platform.read-only", "devstorage.read_only"];

/// Who may do something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Everybody; tokens are not looked at.
    #[default]
    Open,
    /// Who shows a token that was given out here, for a scope that suffices.
    Token,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    seed: u64,
    pub(crate) access: Access,
    grants: HashMap<String, Grant>,
    count: u64,
}

/// What a token is good for.
#[derive(Debug)]
struct Grant {
    scopes: String,
    until: Timestamp,
}

impl Ledger {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    /// Whoever begins anew is let in; tokens stay good.
    pub(crate) fn open(&mut self) {
        self.access = Access::Open;
    }

    /// A new token for these scopes, with spaces between them.
    pub(crate) fn issue(&mut self, scopes: &str, now: Timestamp) -> String {
        self.count += 1;
        let letters = scatter(self.seed ^ scatter(self.count));
        let token = format!("ya29.mock-{}-{letters:016x}", self.count);
        let grant = Grant {
            scopes: scopes.to_owned(),
            until: now + SignedDuration::from_secs(LIFETIME),
        };
        self.grants.insert(token.clone(), grant);
        token
    }

    /// Lets a request in that shows this as its authorization.
    pub(crate) fn admit(
        &self,
        shown: Option<&str>,
        writes: bool,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if self.access == Access::Open {
            return Ok(());
        }
        let Some(shown) = shown else {
            let message =
                "Anonymous caller does not have storage access to the Google Cloud Storage object.";
            return Err(Refusal::new(Wrong::Anonymous, message));
        };
        let token = shown.strip_prefix("Bearer ").unwrap_or(shown).trim();
        let Some(grant) = self.grants.get(token).filter(|grant| now < grant.until) else {
            return Err(Refusal::new(Wrong::Unauthorized, "Invalid Credentials"));
        };
        if grant.suffices(writes) {
            return Ok(());
        }
        let message = "Insufficient Permission: Request had insufficient authentication scopes.";
        Err(Refusal::new(Wrong::Scope, message))
    }
}

impl Grant {
    fn suffices(&self, writes: bool) -> bool {
        let readers = READING.iter().filter(|_| !writes);
        let mut enough = WRITING.iter().chain(readers);
        enough.any(|name| {
            let mut scopes = self.scopes.split_whitespace();
            scopes.any(|scope| scope.strip_prefix(SCOPE) == Some(name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> Timestamp {
        "2026-01-05T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_token_opens_what_its_scope_says_until_its_hour_is_over() {
        let mut ledger = Ledger::new(1);
        ledger.access = Access::Token;
        let reader = ledger.issue(&format!("openid {SCOPE}devstorage.read_only"), noon());
        let writer = ledger.issue(&format!("{SCOPE}cloud-platform"), noon());
        let check = |token: Option<&str>, writes, minutes, wrong: Option<Wrong>| {
            let shown = token.map(|token| format!("Bearer {token}"));
            let now = noon() + SignedDuration::from_mins(minutes);
            let refused = ledger.admit(shown.as_deref(), writes, now).err();
            assert_eq!(
                refused.map(|refusal| refusal.wrong),
                wrong,
                "{token:?} {writes}"
            );
        };
        check(Some(&reader), false, 59, None);
        check(Some(&reader), true, 59, Some(Wrong::Scope));
        check(Some(&writer), true, 59, None);
        check(Some(&writer), true, 60, Some(Wrong::Unauthorized));
        check(Some("ya29.other"), false, 0, Some(Wrong::Unauthorized));
        check(None, false, 0, Some(Wrong::Anonymous));
        assert_ne!(reader, writer);
    }

    #[test]
    fn without_being_asked_for_tokens_are_not_looked_at() {
        let ledger = Ledger::new(1);
        ledger.admit(None, true, noon()).unwrap();
        ledger.admit(Some("Bearer x"), true, noon()).unwrap();
    }
}
