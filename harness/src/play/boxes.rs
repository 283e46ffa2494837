//! The step `box`: what befalls a container.

use mock_server::yaml::Span;

use super::Play;
use crate::failure::{Failure, Trouble};
use crate::scenario::Befalling;
use crate::stage::Befallen;

impl Play<'_> {
    pub(super) async fn befall(&self, befalling: &Befalling, span: Span) -> Result<(), Trouble> {
        self.stage
            .befall(befalling)
            .await
            .map_err(|befallen| match befallen {
                Befallen::Missing(what) => Failure::new(what).at(span).into(),
                Befallen::Broke(error) => error.into(),
            })
    }
}
