//! The journal of a scenario, for whoever writes into it beside the mocks.
//!
//! What the mocks have seen is written before what we write afterwards, and they go by the same
//! clock as we do.

use jiff::Timestamp;
use mock_server::Journal;
use serde_json::{Map, Value, json};

use super::MockError;
use super::mirror::Afar;

/// A handle to the one record of a scenario.
#[derive(Clone, Debug)]
pub(crate) struct Chronicle {
    journal: Journal,
    /// The server whose record ours must be level with, if it has one of its own.
    afar: Option<Afar>,
}

impl Chronicle {
    /// The mocks write into this very journal.
    pub(crate) fn here(journal: Journal) -> Self {
        Self {
            journal,
            afar: None,
        }
    }

    pub(super) fn level_with(journal: Journal, afar: Afar) -> Self {
        Self {
            journal,
            afar: Some(afar),
        }
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What the mocks have seen by now stands in the journal when this returns.
    pub(crate) async fn caught_up(&self) -> Result<(), MockError> {
        match &self.afar {
            Some(afar) => afar.caught_up().await,
            None => Ok(()),
        }
    }

    /// From now on things happen at this virtual time, here and at the mocks.
    pub(crate) async fn clock_moved(&self, now: Timestamp) -> Result<(), MockError> {
        if let Some(afar) = self
            .afar
            .as_ref()
            .filter(|_| self.journal.now() != Some(now))
        {
            let moved = json!({ "now": now });
            afar.client().post("/_mock/clock", &moved).await?;
        }
        self.journal.clock_moved(now);
        Ok(())
    }

    /// Writes behind all that the mocks have seen by now.
    pub(crate) async fn write(
        &self,
        event: impl Into<std::borrow::Cow<'static, str>>,
        fields: Map<String, Value>,
    ) -> Result<(), MockError> {
        self.caught_up().await?;
        self.journal.write(event, fields);
        Ok(())
    }
}
