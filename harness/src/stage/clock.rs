//! The frozen clock of a stage, and coming to rest: nanokimi's, and that of the wire.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Moved, Stage, StageError, wire};

/// The longest nanokimi may be at work before it is at rest, by real time. An agent that is a
/// whole program of somebody else's takes seconds to start on a busy machine.
pub(crate) const TO_REST: Duration = Duration::from_secs(20);

impl Stage {
    /// Moves the frozen clock and waits until all is quiet and its events have come.
    pub(crate) async fn move_clock(&mut self, to: &Value) -> Result<Moved, StageError> {
        if self.cast.is_none() {
            return self.move_with_the_model(to).await;
        }
        wire::at_rest(&self.mock).await?;
        let mut moved = self.move_with_the_model(to).await?;
        let deadline = Instant::now() + wire::PATIENCE;
        // What came to rest on one side may set something going on the other.
        while moved.settled {
            let before = self.journal().last();
            wire::at_rest(&self.mock).await?;
            moved = self.move_once(&json!({ "advance": "0s" })).await?;
            if self.journal().last() == before {
                break;
            }
            if Instant::now() >= deadline {
                let left = "something new came again and again".to_owned();
                return Err(StageError::Unsettled(left));
            }
        }
        Ok(moved)
    }

    /// What the model still had to say at the old instant is said by the new one, and what comes
    /// of it is waited for.
    async fn move_with_the_model(&mut self, to: &Value) -> Result<Moved, StageError> {
        let late = self.mock.paced().await?;
        let moved = self.move_once(to).await?;
        if self.mock.paced().await? < late {
            return self.move_once(&json!({ "advance": "0s" })).await;
        }
        Ok(moved)
    }

    /// Whether the model waits before it goes on: at a gate, or until the clock has moved.
    async fn speaks_late(&self) -> Result<bool, StageError> {
        Ok(self.mock.paced().await? > 0 || !self.mock.waiting().await?.is_empty())
    }

    async fn move_once(&mut self, to: &Value) -> Result<Moved, StageError> {
        let Some(running) = &self.running else {
            let told = "nanokimi is not running".to_owned();
            return Err(StageError::Clock(told));
        };
        // An answer that is held, or that takes its time, keeps its run from ending: then the
        // run is not waited for.
        let held = self.speaks_late().await?;
        let patience = self.leisurely(TO_REST);
        let moved = running.api.move_clock(to, held, patience).await?;
        running.events.caught_up(moved.last_event).await?;
        self.moved_to(moved.now).await?;
        Ok(moved)
    }

    /// Moves the clock while nanokimi is down: it will start at the new instant.
    pub(crate) async fn moved_to(&mut self, now: Timestamp) -> Result<(), StageError> {
        self.now = now;
        Ok(self.mock.clock_moved(now).await?)
    }
}
