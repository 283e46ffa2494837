//! The containers of nanokimi's agents, known by what they have mounted: who of them is left, and
//! which is a group's.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, interval};

use super::{Engine, EngineError, Found};

/// The label in which nanokimi says whose agent it is.
pub(super) const GROUP: &str = "nanokimi.group";

/// The engine says when a container has ended only to those who know it.
const LOOK: Duration = Duration::from_millis(50);

impl Engine {
    /// The agents that are left when nanokimi has ended. Those that are alive have a moment to
    /// notice it. All are removed.
    pub(crate) async fn agents_left(
        &self,
        root: &Path,
        patience: Duration,
    ) -> Result<Vec<Found>, EngineError> {
        let deadline = Instant::now() + patience;
        let mut looks = interval(LOOK);
        let left = loop {
            looks.tick().await;
            let left = self.holding(root).await?;
            if !left.iter().any(|one| one.alive) || Instant::now() >= deadline {
                break left;
            }
        };
        for one in &left {
            self.remove(&one.id).await?;
        }
        Ok(left)
    }

    /// The agent of a group that is alive.
    pub(crate) async fn agent_of(
        &self,
        root: &Path,
        group: &str,
    ) -> Result<Option<Found>, EngineError> {
        let agents = self.holding(root).await?.into_iter();
        let mut ours = agents.filter(|one| one.alive && one.label(GROUP) == Some(group));
        Ok(ours.next())
    }
}
