//! The journal of a scenario, for whoever writes into it beside the mocks.
//!
//! What the mocks have seen is written before what we write afterwards.

use mock_server::Journal;
use serde_json::{Map, Value};

use super::MockError;

/// A handle to the one record of a scenario.
#[derive(Clone, Debug)]
pub(crate) struct Chronicle {
    journal: Journal,
}

impl Chronicle {
    /// The mocks write into this very journal.
    pub(crate) fn here(journal: Journal) -> Self {
        Self { journal }
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What the mocks have seen by now stands in the journal when this returns.
    pub(crate) async fn caught_up(&self) -> Result<(), MockError> {
        Ok(())
    }

    /// Writes behind all that the mocks have seen by now.
    pub(crate) async fn write(
        &self,
        event: &'static str,
        fields: Map<String, Value>,
    ) -> Result<(), MockError> {
        self.caught_up().await?;
        self.journal.write(event, fields);
        Ok(())
    }
}
