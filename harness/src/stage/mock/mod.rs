//! The mocks of a stage, wherever they run: all that the harness tells them and asks of them.
//!
//! It passes on and judges nothing. After each call the journal holds what the mocks had seen
//! by then, so that whoever reads it next reads all of it.

mod chronicle;
mod error;

use std::time::Duration;

use jiff::Timestamp;
use mock_server::whatsapp::{Control, Done, GroupCast, LinkedAccount};
use mock_server::{
    FaultCount, Journal, MockOptions, MockServer, Script, Unexpected, UnsaidTurn, unexpected_in,
};
use tokio::task::JoinSet;

use super::StageError;

pub(crate) use chronicle::Chronicle;
pub(crate) use error::MockError;

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
        match &self.place {
            Place::Here(server) => server.journal().hide(secret),
        }
        Ok(())
    }

    pub(crate) async fn clock_moved(&self, now: Timestamp) -> Result<(), MockError> {
        match &self.place {
            Place::Here(server) => server.journal().clock_moved(now),
        }
        Ok(())
    }

    pub(crate) async fn add(&self, script: &Script) -> Result<(), MockError> {
        match &self.place {
            Place::Here(server) => server.llm().add(script.clone()).map_err(MockError::refused),
        }
    }

    /// Opens a gate for good.
    pub(crate) async fn release(&self, gate: &str) -> Result<(), MockError> {
        match &self.place {
            Place::Here(server) => {
                let released = server.llm().release(gate);
                released.map(drop).map_err(MockError::refused)
            }
        }
    }

    /// The gates at which an answer waits now.
    pub(crate) async fn waiting(&self) -> Result<Vec<String>, MockError> {
        match &self.place {
            Place::Here(server) => Ok(server.llm().waiting()),
        }
    }

    /// How many answers take their time on the scenario's clock.
    pub(crate) async fn paced(&self) -> Result<usize, MockError> {
        match &self.place {
            Place::Here(server) => Ok(server.llm().paced()),
        }
    }

    /// The turns that are still owed.
    pub(crate) async fn unsaid(&self) -> Result<Vec<UnsaidTurn>, MockError> {
        match &self.place {
            Place::Here(server) => Ok(server.llm().unsaid()),
        }
    }

    /// The faults that must come, and have not as often as they should.
    pub(crate) async fn unfired(&self) -> Result<Vec<FaultCount>, MockError> {
        match &self.place {
            Place::Here(server) => Ok(server.llm().unfired()),
        }
    }

    /// What came that no mock expected.
    pub(crate) async fn unexpected(&self) -> Result<Vec<Unexpected>, MockError> {
        self.caught_up().await?;
        Ok(unexpected_in(self.journal()))
    }

    /// Lets in a device that was linked with an earlier mock.
    pub(crate) async fn link(&self, account: LinkedAccount) -> Result<(), MockError> {
        match &self.place {
            Place::Here(server) => {
                let linked = server.whatsapp().link(account).await;
                linked.map_err(MockError::refused)
            }
        }
    }

    /// The devices that are linked.
    pub(crate) async fn linked(&self) -> Result<Vec<LinkedAccount>, MockError> {
        match &self.place {
            Place::Here(server) => Ok(server.whatsapp().linked().await),
        }
    }

    /// A group that was there before anything happened. Returns its JID.
    pub(crate) async fn stage_group(&self, group: GroupCast) -> Result<String, MockError> {
        match &self.place {
            Place::Here(server) => {
                let staged = server.whatsapp().stage_group(group).await;
                staged.map_err(MockError::refused)
            }
        }
    }

    /// Names the chat with a person alone. Returns its JID.
    pub(crate) async fn stage_direct(&self, name: &str, person: &str) -> Result<String, MockError> {
        match &self.place {
            Place::Here(server) => {
                let staged = server.whatsapp().stage_direct(name, person).await;
                staged.map_err(MockError::refused)
            }
        }
    }

    /// The JID of a chat: by its name, or by the name of the person it is with.
    pub(crate) async fn jid_of(&self, chat: &str) -> Result<Option<String>, MockError> {
        match &self.place {
            Place::Here(server) => Ok(server.whatsapp().jid_of(chat)),
        }
    }

    /// What a person or misfortune does.
    pub(crate) async fn control(&self, control: Control) -> Result<Done, MockError> {
        match &self.place {
            Place::Here(server) => {
                let done = server.whatsapp().control(control).await;
                done.map_err(MockError::refused)
            }
        }
    }

    /// Whether a device is logged in and takes messages.
    pub(crate) async fn online(&self) -> Result<bool, MockError> {
        match &self.place {
            Place::Here(server) => Ok(server.whatsapp().online().await),
        }
    }

    /// Returns when no stanza is on its way; refuses after `patience`.
    pub(crate) async fn at_rest(&self, patience: Duration) -> Result<(), MockError> {
        match &self.place {
            Place::Here(server) => {
                let rested = server.whatsapp().at_rest(patience).await;
                rested.map_err(MockError::refused)
            }
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
        }
    }

    /// Ends them. A panic in one of them is the harness's fault, and no reason to leave other
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
        }
    }
}
