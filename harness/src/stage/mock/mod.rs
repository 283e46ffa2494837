//! The mocks of a stage, wherever they run: all that the harness tells them and asks of them.
//!
//! It passes on and judges nothing. After each call the journal holds what the mocks had seen
//! by then, so that whoever reads it next reads all of it.

mod child;
mod chronicle;
mod client;
mod elsewhere;
mod error;
mod mirror;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use mock_server::whatsapp::{Control, Done, GroupCast, LinkedAccount};
use mock_server::{
    FaultCount, Journal, MockOptions, MockServer, Script, StagedStorage, Unexpected, UnsaidTurn,
    unexpected_in,
};
use serde_json::Value;
use tokio::task::JoinSet;

use super::StageError;

pub(crate) use chronicle::Chronicle;
pub(crate) use error::MockError;

use child::Child;
use elsewhere::Elsewhere;

/// All mocks of a scenario.
#[derive(Debug)]
pub(crate) struct Mock {
    place: Place,
    chronicle: Chronicle,
    /// As nanokimi knows them, without a slash at the end.
    url: String,
}

/// Where they run.
#[derive(Debug)]
enum Place {
    /// In this process.
    Here(MockServer),
    /// In another process, which is spoken with over its control API.
    Elsewhere(Elsewhere),
}

impl Mock {
    /// Starts them in this process.
    pub(crate) async fn here(options: MockOptions) -> Result<Self, StageError> {
        let server = MockServer::start(options).await;
        let server = server.map_err(StageError::Mock)?;
        Ok(Self {
            chronicle: Chronicle::here(server.journal().clone()),
            url: server.url(),
            place: Place::Here(server),
        })
    }

    /// Starts them as a process of their own, which ends with us.
    pub(crate) async fn child(program: &Path, options: &MockOptions) -> Result<Self, StageError> {
        let (child, address) = Child::start(program, options).await?;
        let mock = Self::elsewhere(address, format!("http://{address}")).await?;
        Ok(match mock.place {
            Place::Elsewhere(elsewhere) => Self {
                place: Place::Elsewhere(elsewhere.kept_by(child)),
                ..mock
            },
            Place::Here(_) => mock,
        })
    }

    /// Takes a mock server that somebody else has started, and will end: at `control` for us,
    /// and at `url` for nanokimi.
    pub(crate) async fn elsewhere(control: SocketAddr, url: String) -> Result<Self, MockError> {
        let journal = Journal::open();
        let (elsewhere, afar) = Elsewhere::enter(control, &journal).await?;
        Ok(Self {
            place: Place::Elsewhere(elsewhere),
            chronicle: Chronicle::level_with(journal, afar),
            url,
        })
    }

    /// As nanokimi knows them, without a slash at the end.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What they saw, what nanokimi told and what we did, in one order.
    pub(crate) fn journal(&self) -> &Journal {
        self.chronicle.journal()
    }

    /// To be kept by whoever writes into the journal.
    pub(crate) fn chronicle(&self) -> &Chronicle {
        &self.chronicle
    }

    /// What they have seen by now stands in the journal when this returns.
    pub(crate) async fn caught_up(&self) -> Result<(), MockError> {
        self.chronicle.caught_up().await
    }

    /// From now on this is written down nowhere.
    pub(crate) async fn hide(&self, secret: &str) -> Result<(), MockError> {
        self.journal().hide(secret);
        match &self.place {
            Place::Here(_) => Ok(()),
            Place::Elsewhere(server) => server.hide(secret).await,
        }
    }

    pub(crate) async fn clock_moved(&self, now: Timestamp) -> Result<(), MockError> {
        self.chronicle.clock_moved(now).await
    }

    pub(crate) async fn add(&self, script: &Script) -> Result<(), MockError> {
        match &self.place {
            Place::Here(server) => server.llm().add(script.clone()).map_err(MockError::refused),
            Place::Elsewhere(server) => server.add(script).await,
        }
    }

    /// Opens a gate for good.
    pub(crate) async fn release(&self, gate: &str) -> Result<(), MockError> {
        match &self.place {
            Place::Here(server) => {
                let released = server.llm().release(gate);
                released.map(drop).map_err(MockError::refused)
            }
            Place::Elsewhere(server) => server.release(gate).await,
        }
    }

    /// The gates at which an answer waits now.
    pub(crate) async fn waiting(&self) -> Result<Vec<String>, MockError> {
        match &self.place {
            Place::Here(server) => Ok(server.llm().waiting()),
            Place::Elsewhere(server) => Ok(server.status().await?.waiting),
        }
    }

    /// How many answers take their time on the scenario's clock.
    pub(crate) async fn paced(&self) -> Result<usize, MockError> {
        match &self.place {
            Place::Here(server) => Ok(server.llm().paced()),
            Place::Elsewhere(server) => Ok(server.status().await?.paced),
        }
    }

    /// The turns that are still owed.
    pub(crate) async fn unsaid(&self) -> Result<Vec<UnsaidTurn>, MockError> {
        match &self.place {
            Place::Here(server) => Ok(server.llm().unsaid()),
            Place::Elsewhere(server) => Ok(server.status().await?.unsaid),
        }
    }

    /// The faults that must come, and have not as often as they should.
    pub(crate) async fn unfired(&self) -> Result<Vec<FaultCount>, MockError> {
        match &self.place {
            Place::Here(server) => Ok(server.llm().unfired()),
            Place::Elsewhere(server) => Ok(server.status().await?.unfired),
        }
    }

    /// What came that no mock expected.
    pub(crate) async fn unexpected(&self) -> Result<Vec<Unexpected>, MockError> {
        self.caught_up().await?;
        Ok(unexpected_in(self.journal()))
    }

    /// What lies in storage before anything happens.
    pub(crate) async fn stage_storage(&self, staged: &StagedStorage) -> Result<(), MockError> {
        match &self.place {
            Place::Here(server) => {
                let staged = server.storage().stage(staged.clone());
                staged.map_err(MockError::refused)
            }
            Place::Elsewhere(server) => server.stage_storage(staged).await,
        }
    }

    /// What lies in a bucket; null if there is none of that name.
    pub(crate) async fn stored(&self, bucket: &str) -> Result<Value, MockError> {
        match &self.place {
            Place::Here(server) => Ok(server.storage().contents(bucket)),
            Place::Elsewhere(server) => server.stored(bucket).await,
        }
    }

    /// Lets in a device that was linked with an earlier mock.
    pub(crate) async fn link(&self, account: LinkedAccount) -> Result<(), MockError> {
        match &self.place {
            Place::Here(server) => {
                let linked = server.whatsapp().link(account).await;
                linked.map_err(MockError::refused)
            }
            Place::Elsewhere(server) => server.link(&account).await,
        }
    }

    /// The devices that are linked.
    pub(crate) async fn linked(&self) -> Result<Vec<LinkedAccount>, MockError> {
        match &self.place {
            Place::Here(server) => Ok(server.whatsapp().linked().await),
            Place::Elsewhere(server) => server.linked().await,
        }
    }

    /// A group that was there before anything happened. Returns its JID.
    pub(crate) async fn stage_group(&self, group: GroupCast) -> Result<String, MockError> {
        match &self.place {
            Place::Here(server) => {
                let staged = server.whatsapp().stage_group(group).await;
                staged.map_err(MockError::refused)
            }
            Place::Elsewhere(server) => server.stage_group(&group).await,
        }
    }

    /// Names the chat with a person alone. Returns its JID.
    pub(crate) async fn stage_direct(&self, name: &str, person: &str) -> Result<String, MockError> {
        match &self.place {
            Place::Here(server) => {
                let staged = server.whatsapp().stage_direct(name, person).await;
                staged.map_err(MockError::refused)
            }
            Place::Elsewhere(server) => server.stage_direct(name, person).await,
        }
    }

    /// The JID of a chat: by its name, or by the name of the person it is with.
    pub(crate) async fn jid_of(&self, chat: &str) -> Result<Option<String>, MockError> {
        match &self.place {
            Place::Here(server) => Ok(server.whatsapp().jid_of(chat)),
            Place::Elsewhere(server) => server.jid_of(chat).await,
        }
    }

    /// What a person or misfortune does.
    pub(crate) async fn control(&self, control: Control) -> Result<Done, MockError> {
        match &self.place {
            Place::Here(server) => {
                let done = server.whatsapp().control(control).await;
                done.map_err(MockError::refused)
            }
            Place::Elsewhere(server) => server.control(control).await,
        }
    }

    /// Whether a device is logged in and takes messages.
    pub(crate) async fn online(&self) -> Result<bool, MockError> {
        match &self.place {
            Place::Here(server) => Ok(server.whatsapp().online().await),
            Place::Elsewhere(server) => server.online().await,
        }
    }

    /// Returns when no stanza is on its way; refuses after `patience`.
    pub(crate) async fn at_rest(&self, patience: Duration) -> Result<(), MockError> {
        match &self.place {
            Place::Here(server) => {
                let rested = server.whatsapp().at_rest(patience).await;
                rested.map_err(MockError::refused)
            }
            Place::Elsewhere(server) => server.at_rest(patience).await,
        }
    }

    /// Where nanokimi finds WhatsApp, and the certificate of the authority behind its media
    /// host, as PEM.
    pub(crate) async fn whatsapp_places(&self) -> Result<(String, String), MockError> {
        match &self.place {
            Place::Here(server) => {
                let whatsapp = server.whatsapp();
                Ok((whatsapp.socket_url(), whatsapp.media_authority()))
            }
            Place::Elsewhere(server) => server.whatsapp_places().await,
        }
    }

    /// Returns when they cannot be spoken with any more, and says why. Cancel-safe.
    pub(crate) async fn lost(&self) -> MockError {
        match &self.place {
            Place::Here(_) => std::future::pending().await,
            Place::Elsewhere(server) => server.lost().await,
        }
    }

    /// Ends them, unless somebody else does. A panic in one of them is the harness's fault, and no reason to leave other
    /// scenarios unplayed.
    pub(crate) async fn join(self) -> Result<(), StageError> {
        match self.place {
            Place::Here(server) => {
                let mut joining = JoinSet::new();
                joining.spawn(server.join());
                match joining.join_next().await {
                    Some(Ok(joined)) => joined.map_err(StageError::Joined),
                    Some(Err(panicked)) => Err(StageError::Panicked(panicked.to_string())),
                    None => Ok(()),
                }
            }
            Place::Elsewhere(server) => server.end().await,
        }
    }
}

#[cfg(test)]
mod tests;
