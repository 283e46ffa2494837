//! The stage in containers: a network of its own without a way out, the mocks on it, and nanokimi
//! beside them with the scenario's folder at the same path.
//!
//! Made with testcontainers; what that has no word for, the engine is asked for directly.
//! Everything carries the labels of the run.

mod boxed;
mod network;
mod request;
mod said;

use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use testcontainers::core::{Mount, WaitFor};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, GenericImage, ImageExt as _};

use super::StageError;
use super::program::{Order, Which};
use crate::engine::{Containers, EngineError, FOLDER};
use network::Network;
use request::{Net, published, request};
use said::Said;

pub(crate) use boxed::Boxed;

/// What nanokimi calls the mocks.
const MOCK: &str = "mock";
const MOCK_PORT: u16 = 9100;
/// What a mock says when it can be asked.
const MOCK_READY: &str = "mock-server on http://";
/// Where nanokimi listens in its container.
const API_PORT: u16 = 8080;
/// A container takes half a second to start; a busy engine some more.
const START: Duration = Duration::from_secs(60);

/// A container of ours that is removed when this is dropped.
type Container = ContainerAsync<GenericImage>;

/// Everything of one scenario that is in the engine, but for agents.
#[derive(Debug)]
pub(super) struct Compound {
    containers: Containers,
    /// Of this scenario, and of no other in the engine.
    name: String,
    network: Network,
    /// Where a cable is pulled: the network that nanokimi is on instead, and the mocks too.
    cable: Option<Network>,
    mock: Container,
    said: Said,
    /// Where it is on the network.
    mock_address: IpAddr,
    /// Where we reach it.
    control: SocketAddr,
    started: AtomicUsize,
}

/// What a container of nanokimi is given beside its arguments.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    /// Mounted at the same path.
    pub(super) folder: &'a Path,
    /// Below it.
    pub(super) root: &'a Path,
    pub(super) environment: Vec<(&'a str, String)>,
    /// The container of the nanokimi that runs already: commands are on its machine.
    pub(super) beside: Option<&'a str>,
}

/// As nanokimi knows the mocks.
pub(super) fn mock_url() -> String {
    format!("http://{MOCK}:{MOCK_PORT}")
}

/// What nanokimi must be told to listen on.
pub(super) fn api_address() -> String {
    format!("0.0.0.0:{API_PORT}")
}

impl Compound {
    /// Makes the network and starts the mocks on it. `mock_args` are all but those that say where
    /// they listen. What is to lose its cable has a second one, by which we reach it.
    pub(super) async fn build(
        containers: &Containers,
        name: String,
        mock_args: Vec<String>,
        severable: bool,
    ) -> Result<Self, StageError> {
        let network = Network::make(containers, &name).await?;
        let mut args = vec![
            "--listen".to_owned(),
            format!("0.0.0.0:{MOCK_PORT}"),
            "--advertise".to_owned(),
            mock_url(),
        ];
        args.extend(mock_args);
        let image = containers.images.mock().map_err(EngineError::from)?;
        let net = Net::On {
            network: network.name().to_owned(),
            mock: None,
            port: Some(MOCK_PORT),
        };
        let ready = WaitFor::message_on_stdout(MOCK_READY);
        let started = request(image, containers, net, ready)
            .with_container_name(format!("{name}-{MOCK}"))
            .with_cmd(args)
            .with_startup_timeout(START)
            .start();
        let started = started.await;
        let mock = started.map_err(|error| StageError::container("start the mocks", error))?;
        let control = published(&mock, MOCK_PORT).await?;
        let cable = match severable {
            true => {
                let cable = Network::make(containers, &format!("{name}-cable")).await?;
                cable.connect(mock.id(), MOCK).await?;
                Some(cable)
            }
            false => None,
        };
        Ok(Self {
            cable,
            containers: containers.clone(),
            name,
            said: Said::read(&containers.engine, mock.id()),
            mock_address: network.address_of(mock.id()).await?,
            mock,
            control,
            started: AtomicUsize::new(0),
            network,
        })
    }

    /// Where we reach the mocks.
    pub(super) fn control(&self) -> SocketAddr {
        self.control
    }

    /// Starts a container of nanokimi.
    pub(super) async fn start(
        &self,
        order: Order<'_>,
        args: Vec<String>,
        surroundings: Surroundings<'_>,
    ) -> Result<Boxed, StageError> {
        let pairing = order.which == Which::Pairing;
        let images = &self.containers.images;
        let image = images.nanokimi(pairing).map_err(EngineError::from)?;
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let socket = self.containers.engine.socket()?;
        let above = surroundings.folder.display().to_string();
        let mut wanted = request(
            image,
            &self.containers,
            self.net(order, &surroundings),
            WaitFor::Nothing,
        )
        .with_container_name(format!("{}-nanokimi-{number}", self.name))
        .with_cmd(args)
        .with_working_dir(surroundings.root.display().to_string())
        .with_label(FOLDER, above.clone())
        .with_mount(Mount::bind_mount(above.clone(), above))
        .with_mount(Mount::bind_mount(
            socket.display().to_string(),
            socket.display().to_string(),
        ))
        .with_user(user(surroundings.folder, &socket)?)
        .with_startup_timeout(START);
        for (name, value) in surroundings.environment {
            wanted = wanted.with_env_var(name, value);
        }
        let started = wanted.start().await;
        let started = started.map_err(|error| StageError::container("start nanokimi", error))?;
        Ok(Boxed::new(started, self.containers.engine.clone()))
    }

    /// Who speaks with WhatsApp or the storage is on the network; any other command has
    /// enough with the machine it is on. A network takes a quarter of a second.
    fn net(&self, order: Order<'_>, surroundings: &Surroundings<'_>) -> Net {
        let serves = order.notify.is_some();
        match surroundings.beside {
            Some(running) if !serves => Net::Beside(running.to_owned()),
            Some(_) | None if reaches_out(order.args) => {
                let port = serves.then_some(API_PORT);
                match &self.cable {
                    Some(cable) => Net::On {
                        network: cable.name().to_owned(),
                        mock: None,
                        port,
                    },
                    None => Net::On {
                        network: self.network.name().to_owned(),
                        mock: Some(self.mock_address),
                        port,
                    },
                }
            }
            Some(_) | None => Net::Alone,
        }
    }

    /// The mocks' container.
    pub(super) fn mock(&self) -> &str {
        self.mock.id()
    }

    /// Both streams, one after the other.
    pub(super) fn mock_log(&self) -> String {
        format!("{}{}", self.said.stdout.text(), self.said.stderr.text())
    }

    /// Pulls the mocks' cable to nanokimi; we reach both as before.
    pub(super) async fn disconnect_mock(&self) -> Result<(), EngineError> {
        match &self.cable {
            Some(cable) => cable.disconnect(self.mock.id()).await,
            None => Ok(()),
        }
    }

    pub(super) async fn connect_mock(&self) -> Result<(), EngineError> {
        match &self.cable {
            Some(cable) => cable.connect(self.mock.id(), MOCK).await,
            None => Ok(()),
        }
    }

    /// Removes all of it. nanokimi must have gone.
    pub(super) async fn tear_down(self) -> Result<(), StageError> {
        let removed = self.mock.rm().await;
        removed.map_err(|error| StageError::container("remove the mocks", error))?;
        if let Some(cable) = self.cable {
            cable.remove().await?;
        }
        Ok(self.network.remove().await?)
    }
}

/// Whether a command speaks with WhatsApp, or with the storage.
fn reaches_out(args: &[String]) -> bool {
    let command = args.first();
    command.is_some_and(|command| ["run", "auth", "workspace"].contains(&command.as_str()))
}

/// Ours, in the group that may speak to the engine: what nanokimi writes is ours to read.
fn user(folder: &Path, socket: &Path) -> Result<String, StageError> {
    let owner = fs_err::metadata(folder).map_err(StageError::Folder)?;
    let engine = fs_err::metadata(socket).map_err(StageError::Folder)?;
    Ok(format!("{}:{}", owner.uid(), engine.gid()))
}
