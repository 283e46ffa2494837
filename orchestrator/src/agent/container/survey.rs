//! What is there for agents in containers, looked at from outside and left as it is.

use std::path::Path;

use bollard::models::SystemInfo;
use tokio::time::timeout;

use super::boxes::{BoxesError, INSTALL, names_a_registry};
use super::engine::{Engine, EngineError};
use super::install;
use super::status::PATIENCE;
use crate::config::Config;

/// What an engine that answers has for us.
#[derive(Clone, Debug)]
pub(crate) struct Survey {
    /// The limits that it does not keep, as they are called in the settings.
    pub(crate) unkept: Vec<&'static str>,
    pub(crate) image: ImageSource,
    /// The names of this installation's containers, running or not.
    pub(crate) containers: Vec<String>,
}

/// Where the agents' image comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImageSource {
    Present,
    /// It is not there, and is pulled at the next start.
    Registry,
    /// It is not there, and has to be made.
    Nowhere,
}

impl Survey {
    pub(crate) async fn of(root: &Path, config: &Config) -> Result<Self, BoxesError> {
        let address = &config.container.engine;
        let engine = Engine::at(address)?;
        let looked = timeout(PATIENCE, look(&engine, root, &config.container.image));
        match looked.await {
            Ok(survey) => survey,
            Err(_elapsed) => {
                Err(EngineError::Slow(address.clone(), PATIENCE, "say what it has").into())
            }
        }
    }
}

async fn look(engine: &Engine, root: &Path, image: &str) -> Result<Survey, BoxesError> {
    let unkept = unkept(&engine.info().await?);
    let image = match engine.has_image(image).await? {
        true => ImageSource::Present,
        false if names_a_registry(image) => ImageSource::Registry,
        false => ImageSource::Nowhere,
    };
    let containers = match install::read(root)? {
        Some(id) => engine.list(&[(INSTALL, &id)]).await?,
        None => Vec::new(),
    };
    Ok(Survey {
        unkept,
        image,
        containers,
    })
}

/// Without the kernel's help an engine makes containers all the same, and only warns.
fn unkept(info: &SystemInfo) -> Vec<&'static str> {
    let limits = [
        ("agent_memory", info.memory_limit),
        ("agent_cpus", info.cpu_cfs_quota),
        ("agent_pids", info.pids_limit),
    ];
    let unkept = limits.into_iter().filter(|(_, kept)| *kept == Some(false));
    unkept.map(|(name, _)| name).collect()
}
