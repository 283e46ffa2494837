//! The container engine, as far as the stages with containers need it: what is there, and getting
//! rid of it.
//!
//! Starts nothing that is played with: that is the stage's. Reads no environment.

mod agents;
mod clearing;
mod images;
mod label;
mod reaper;
mod run;
mod showing;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::ContainerSummary;
use bollard::query_parameters::{ListContainersOptions, RemoveContainerOptions};

pub(crate) use clearing::Clearing;
pub use images::{Images, ImagesError};
pub(crate) use label::{FOLDER, Labels, RUN};
pub(crate) use reaper::{REAPER, become_reaper};
pub use run::Containers;

/// Where an engine listens unless `DOCKER_HOST` says otherwise.
const USUAL_SOCKET: &str = "unix:///var/run/docker.sock";

/// Something that the engine could not do, or that there is none.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(
        "no container engine answers at `{address}`: start one (`ci/docker` does, as root), name another with DOCKER_HOST, or choose `--stage process`"
    )]
    Silent {
        address: String,
        #[source]
        source: Box<Error>,
    },
    #[error("the container engine failed to {what}")]
    Call {
        what: String,
        #[source]
        source: Box<Error>,
    },
    #[error("the container engine failed to {what}: {why}")]
    Refused { what: String, why: String },
    #[error(
        "containers reach the engine only over a socket in the file system, and DOCKER_HOST is `{0}`: choose `--stage hybrid`, or an engine on this machine"
    )]
    NoSocket(String),
    #[error("the process that clears up after a killed run cannot be started or told of a folder")]
    Reaper(#[source] std::io::Error),
    #[error("no runtime can be had to speak to the container engine")]
    Runtime(#[source] std::io::Error),
    #[error("the containers of run `{run}` do not go away: {left}")]
    Left { run: String, left: String },
    #[error(transparent)]
    Images(#[from] ImagesError),
}

/// An engine that answered.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) docker: Docker,
    address: String,
}

impl Engine {
    /// Asks for a sign of life. `address` is what `DOCKER_HOST` says.
    ///
    /// # Errors
    /// Nobody answers there.
    pub fn reach(address: Option<&str>) -> Result<Self, EngineError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(EngineError::Runtime)?;
        runtime.block_on(Self::answering(address))
    }

    pub(crate) async fn answering(address: Option<&str>) -> Result<Self, EngineError> {
        let address = address.map_or(USUAL_SOCKET, |address| address).to_owned();
        let silent = |source| EngineError::Silent {
            address: address.clone(),
            source: Box::new(source),
        };
        let docker = Docker::connect_with_host(&address).map_err(silent)?;
        docker.ping().await.map_err(silent)?;
        Ok(Self { docker, address })
    }

    /// The socket in the file system, for containers that speak to the engine themselves.
    pub(crate) fn socket(&self) -> Result<PathBuf, EngineError> {
        let path = self.address.strip_prefix("unix://").map(PathBuf::from);
        path.ok_or_else(|| EngineError::NoSocket(self.address.clone()))
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Every container, whether it runs or not.
    async fn containers(&self) -> Result<Vec<ContainerSummary>, EngineError> {
        let options = ListContainersOptions {
            all: true,
            ..ListContainersOptions::default()
        };
        let listed = self.docker.list_containers(Some(options)).await;
        listed.map_err(called("list its containers"))
    }

    /// The containers that have something of this folder mounted: nanokimi's agents, whoever
    /// started them.
    pub(crate) async fn holding(&self, root: &Path) -> Result<Vec<Found>, EngineError> {
        let all = self.containers().await?;
        let held = all.iter().filter(|one| holds(one, root));
        Ok(held.filter_map(Found::of).collect())
    }

    /// Kills and removes it with its unnamed volumes; one that has gone already is as good.
    pub(crate) async fn remove(&self, id: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptions {
            force: true,
            v: true,
            link: false,
        };
        let removed = self.docker.remove_container(id, Some(options)).await;
        gone(removed).map_err(called(&format!("remove the container `{id}`")))
    }
}

/// A container that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) name: String,
    /// As the engine words it: `Up 3 seconds`.
    pub(crate) status: String,
    pub(crate) alive: bool,
    labels: HashMap<String, String>,
}

impl Found {
    fn of(summary: &ContainerSummary) -> Option<Self> {
        use bollard::models::ContainerSummaryStateEnum as State;
        let names = summary.names.as_deref().map_or(&[][..], |names| names);
        let name = names
            .first()
            .map_or("", |name| name.trim_start_matches('/'));
        let alive = matches!(
            summary.state,
            Some(State::RUNNING | State::PAUSED | State::RESTARTING)
        );
        Some(Self {
            id: summary.id.clone()?,
            name: name.to_owned(),
            status: summary.status.clone().unwrap_or_default(),
            alive,
            labels: summary.labels.clone().unwrap_or_default(),
        })
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }
}

/// Whether something at or below `root` is mounted in it.
fn holds(container: &ContainerSummary, root: &Path) -> bool {
    let mounts = container.mounts.iter().flatten();
    let mut sources = mounts.filter_map(|mount| mount.source.as_deref());
    sources.any(|source| Path::new(source).starts_with(root))
}

/// What is not there, or is being removed by somebody else, needs no removal.
fn gone(removed: Result<(), Error>) -> Result<(), Error> {
    match removed {
        Err(Error::DockerResponseServerError {
            status_code: 404 | 409,
            ..
        }) => Ok(()),
        other => other,
    }
}

/// Says what the engine was asked for.
pub(crate) fn called(what: &str) -> impl FnOnce(Error) -> EngineError {
    let what = what.to_owned();
    |source| EngineError::Call {
        what,
        source: Box::new(source),
    }
}
