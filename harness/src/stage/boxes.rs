//! What befalls containers while the story goes on: paused, cut off, killed.

use bollard::errors::Error;

use super::{Stage, StageError};
use crate::engine::{EngineError, called};
use crate::scenario::{AgentOf, Befalling, Networked, Whose};

impl Stage {
    /// Lets something befall a container. The error says which is not there.
    pub(crate) async fn befall(&self, befalling: &Befalling) -> Result<(), Befallen> {
        match befalling {
            Befalling::Pause(whose) => {
                let id = self.container(whose).await?;
                let docker = self.docker()?;
                told("pause a container", docker.pause_container(&id).await)
            }
            Befalling::Resume(whose) => {
                let id = self.container(whose).await?;
                let docker = self.docker()?;
                told("resume a container", docker.unpause_container(&id).await)
            }
            Befalling::Disconnect(Networked::Mock) => {
                let compound = self.compound.as_ref().ok_or_else(none_here)?;
                Ok(compound.disconnect_mock().await?)
            }
            Befalling::Connect(Networked::Mock) => {
                let compound = self.compound.as_ref().ok_or_else(none_here)?;
                Ok(compound.connect_mock().await?)
            }
            Befalling::Kill(AgentOf { agent }) => {
                let id = self.agent(agent).await?;
                let docker = self.docker()?;
                told("kill a container", docker.kill_container(&id, None).await)
            }
        }
    }

    fn docker(&self) -> Result<&bollard::Docker, Befallen> {
        let containers = self.means.ground.containers().ok_or_else(none_here)?;
        Ok(&containers.engine.docker)
    }

    async fn container(&self, whose: &Whose) -> Result<String, Befallen> {
        match whose {
            Whose::Nanokimi => {
                let running = self.running.as_ref();
                let id = running.and_then(|running| running.program.container());
                let missing = || Befallen::Missing("nanokimi is not running".to_owned());
                Ok(id.ok_or_else(missing)?.to_owned())
            }
            Whose::Mock => {
                let compound = self.compound.as_ref().ok_or_else(none_here)?;
                Ok(compound.mock().to_owned())
            }
            Whose::Agent(chat) => self.agent(chat).await,
        }
    }

    /// The container of the agent that is at work for a chat, by the group's folder.
    async fn agent(&self, chat: &str) -> Result<String, Befallen> {
        let containers = self.means.ground.containers().ok_or_else(none_here)?;
        let folder = self.folders.get(chat).map_or(chat, String::as_str);
        let found = containers.engine.agent_of(self.root(), folder).await?;
        let missing = || Befallen::Missing(format!("no agent is at work for `{chat}`"));
        Ok(found.ok_or_else(missing)?.id)
    }
}

/// What was to befall a container and did not.
#[derive(Debug)]
pub(crate) enum Befallen {
    /// There is no such container now.
    Missing(String),
    Broke(StageError),
}

impl From<EngineError> for Befallen {
    fn from(error: EngineError) -> Self {
        Self::Broke(error.into())
    }
}

fn none_here() -> Befallen {
    Befallen::Missing("there are no such containers on this form of the stage".to_owned())
}

fn told(what: &str, done: Result<(), Error>) -> Result<(), Befallen> {
    Ok(done.map_err(called(what))?)
}
