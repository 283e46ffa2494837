//! What of the groups' workspaces is kept beyond this machine and what is not yet, for operators.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::config::Config;
use crate::store::{OwedRelease, Store, StoreError};

/// How it stands, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Keeping {
    /// Everything is kept.
    Kept,
    /// A release waits for its turn.
    Pending,
    /// A release, or the restore that comes before it, was tried in vain, and is tried again.
    Failing,
}

/// `{"store": "gs://attic/kimi", "state": "failing", "owed": [{"group": "ada", …}]}`.
#[derive(Debug, Serialize)]
pub(crate) struct Standing {
    /// The URL.
    store: String,
    state: Keeping,
    /// Groups that are not in step with the store: releases that have not been made, and restores
    /// that failed; longest owed first.
    owed: Vec<OwedRelease>,
}

impl Keeping {
    pub(crate) fn of(owed: &[OwedRelease]) -> Self {
        if owed.iter().any(|release| release.attempts > 0) {
            Self::Failing
        } else if owed.is_empty() {
            Self::Kept
        } else {
            Self::Pending
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Pending => "pending",
            Self::Failing => "failing",
        }
    }
}

impl Standing {
    /// None where workspaces stay on this machine.
    pub(crate) async fn of(config: &Config, store: &Store) -> Result<Option<Self>, StoreError> {
        let Some(url) = &config.workspace.store else {
            return Ok(None);
        };
        let owed = store.owed_releases().await?;
        Ok(Some(Self {
            store: url.to_string(),
            state: Keeping::of(&owed),
            owed,
        }))
    }

    pub(crate) fn state(&self) -> Keeping {
        self.state
    }
}

/// `failing, 2 not in step with gs://attic/kimi since 2026-01-05T09:00:00Z: …`.
impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { store, state, owed } = self;
        let state = state.word();
        match owed.first() {
            None => write!(f, "{state} in {store}"),
            Some(oldest) => write!(
                f,
                "{state}, {} not in step with {store} since {}{}",
                owed.len(),
                oldest.owed_since,
                trouble(owed),
            ),
        }
    }
}

/// `: the reason; tried again at …` of the first that was tried in vain.
pub(crate) fn trouble(owed: &[OwedRelease]) -> String {
    let failed = owed.iter().find_map(|release| {
        let problem = release.problem.as_deref()?;
        Some((problem, release.retry_at))
    });
    let again = |at: Timestamp| format!("; tried again at {at}");
    match failed {
        Some((problem, at)) => format!(": {problem}{}", at.map(again).unwrap_or_default()),
        None => String::new(),
    }
}
