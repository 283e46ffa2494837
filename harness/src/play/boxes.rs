//! The steps `box` and `engine`: what befalls a container, and the engine.

use mock_server::yaml::Span;

use super::Play;
use crate::failure::{Failure, Trouble};
use crate::scenario::{Befalling, EngineState};
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

    pub(super) async fn engine(&mut self, state: EngineState) -> Result<(), Trouble> {
        let (changed, already) = match state {
            EngineState::Down => (self.stage.engine_down().await?, "down"),
            EngineState::Up => (self.stage.engine_up()?, "up"),
        };
        match changed {
            true => Ok(()),
            false => Err(Failure::new(format!("the engine was {already} already")).into()),
        }
    }
}
