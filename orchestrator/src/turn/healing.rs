//! Sessions that cannot be gone on with: the turn is played in a fresh one, once, and it is told.

use agent_protocol::AgentErrorKind;
use tokio_util::sync::CancellationToken;

use super::Turns;
use super::hearing::Ran;
use super::stay::Waiting;
use crate::agent::AgentEnd;
use crate::events::Event;
use crate::ids::SessionId;
use crate::store::{Claim, StoredSession};

/// What is wrong with the session of a run that has failed.
enum Ailment {
    /// It is gone, broken, or larger than what is gone on with: it will never do.
    Dead,
    /// Its model takes no conversation that long. A message that alone is too long must not
    /// cost the memory, so it is left only when a fresh one has answered.
    Outgrown,
}

impl Ailment {
    fn of(ran: &Ran) -> Option<(Self, &str)> {
        let AgentEnd::Failed(fault) = &ran.end else {
            return None;
        };
        let ailment = match fault.kind? {
            AgentErrorKind::SessionNotFound | AgentErrorKind::SessionTooLarge => Self::Dead,
            // What it has done is not done twice, and its next turn begins as short as this one.
            AgentErrorKind::ContextTooLong if !ran.has_acted => Self::Outgrown,
            AgentErrorKind::ContextTooLong
            | AgentErrorKind::Input
            | AgentErrorKind::Config
            | AgentErrorKind::Auth
            | AgentErrorKind::Quota
            | AgentErrorKind::RateLimit
            | AgentErrorKind::Upstream
            | AgentErrorKind::Network
            | AgentErrorKind::Stalled
            | AgentErrorKind::Request
            | AgentErrorKind::ContentFilter
            | AgentErrorKind::Protocol
            | AgentErrorKind::TooManySteps
            | AgentErrorKind::Io => return None,
        };
        Some((ailment, &fault.message))
    }
}

impl Turns {
    /// Runs the agent, and once more in a fresh session if it cannot go on with the old one.
    pub(super) async fn run_healing(
        &self,
        claim: &Claim,
        waiting: Option<Waiting>,
        stop: &CancellationToken,
    ) -> Ran {
        let followed_up = match waiting {
            Some(waiting) => Box::pin(self.follow_up(claim, waiting, stop)).await,
            None => None,
        };
        let ran = match followed_up {
            Some(ran) => ran,
            None => Box::pin(self.run(claim, claim.session.as_ref(), stop)).await,
        };
        let (Some(session), Some((ailment, why))) = (&claim.session, Ailment::of(&ran)) else {
            return ran;
        };
        let group = &claim.group.folder;
        tracing::warn!(%group, session_id = %session, "the session cannot be gone on with; starting a fresh one: {why}");
        let fresh = match ailment {
            Ailment::Dead => {
                let Some(left) = self.leave(claim, session, why).await else {
                    return ran;
                };
                let claim = Claim {
                    left,
                    ..claim.clone()
                };
                Box::pin(self.run(&claim, None, stop)).await
            }
            Ailment::Outgrown => {
                let fresh = Box::pin(self.run(claim, None, stop)).await;
                if fresh.end == AgentEnd::Done {
                    self.leave(claim, session, why).await;
                }
                fresh
            }
        };
        Ran {
            is_healed: true,
            ..fresh
        }
    }

    /// Has the group go on with the session no more; returns what it has left, if it is so.
    async fn leave(
        &self,
        claim: &Claim,
        session: &SessionId,
        why: &str,
    ) -> Option<Vec<StoredSession>> {
        let (group, store) = (&claim.group.folder, &self.house.store);
        let dropped = store.drop_session(group.clone(), session.clone()).await;
        let left = match dropped {
            Ok(left) => left,
            Err(error) => {
                tracing::error!(%group, error = crate::chain(&error), "the session cannot be forgotten");
                return None;
            }
        };
        self.house.events.tell(Event::SessionDropped {
            group: group.clone(),
            session: session.clone(),
            reason: why.to_owned(),
        });
        Some(left)
    }
}
