//! The engine's API as we use it: every call has a deadline, and an error says what to do.

use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use bollard::Docker;
use bollard::container::AttachContainerResults;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, SystemInfo};
use bollard::query_parameters::{
    AttachContainerOptions, CreateContainerOptions, CreateImageOptions, InspectContainerOptions,
    KillContainerOptions, ListContainersOptions, RemoveContainerOptions, StartContainerOptions,
    StopContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout};

/// No single call takes longer on an engine that works, however busy it is.
const CALL: Duration = Duration::from_secs(30);
/// How long an image may take to come.
pub const PULL: Duration = Duration::from_secs(600);
/// How long a container may take to be gone after it was removed, and how often it is looked at.
const REMOVAL: Duration = Duration::from_secs(20);
/// How long a removal that the engine refuses is asked for again. Whoever waits is then told, and
/// the keeper goes on trying.
const REFUSED: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);

/// Where the engine is.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    address: String,
}

/// What the engine did not do for us.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(
        "docker_host: `{0}` is no engine that can be spoken to; give its socket as unix:///path, or tcp://host:port"
    )]
    Address(String),
    #[error(
        "the container engine at `{0}` does not answer; start it, set docker_host to where it is, or choose agent_runtime = \"host\" (or NANOKIMI_AGENT_RUNTIME=host), which runs agents as processes without isolation"
    )]
    Down(String, #[source] Error),
    #[error(
        "the container engine at `{0}` may not be used by this user; give it the socket's group (e.g. `usermod -aG docker <user>`, then log in anew), or run as one who may"
    )]
    Forbidden(String, #[source] Error),
    #[error("{0} (waited {1:?}, as docker_wait says)")]
    Waited(String, Duration),
    #[error("the container engine at `{0}` takes more than {1:?} to {2}")]
    Slow(String, Duration, &'static str),
    #[error(
        "the image `{0}` is not there; `container/build --profile release` makes nanokimi's own, or set agent_image to one that is"
    )]
    NoImage(String),
    #[error(
        "the image `{0}` is not there, and cannot be pulled; pull it by hand, or set agent_image to one that is there"
    )]
    NotPulled(String, #[source] Error),
    #[error(
        "the container engine finds a folder of ours not on its machine; if nanokimi runs in a container itself, set host_root to the path of its folder there"
    )]
    NoSource(#[source] Error),
    #[error("the container engine did not {0}")]
    Refused(&'static str, #[source] Error),
    #[error("the agent's container `{0}` is gone: somebody else removed it")]
    Vanished(String),
    #[error("{}: was exchanged while it was mounted", .0.display())]
    Exchanged(PathBuf),
    #[error("the container `{0}` is still there {1:?} after it was to be removed")]
    StillThere(String, Duration),
}

impl EngineError {
    /// Only a person can mend it.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Address(_) | Self::NoImage(_) | Self::NotPulled(..) | Self::NoSource(_) => true,
            Self::Down(..)
            | Self::Forbidden(..)
            | Self::Waited(..)
            | Self::Slow(..)
            | Self::Refused(..)
            | Self::Vanished(_)
            | Self::Exchanged(_)
            | Self::StillThere(..) => false,
        }
    }

    /// There was no engine to ask, for as long as we wait for one.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self, Self::Waited(..))
    }

    /// A registry that does not answer, or not yet.
    pub(crate) fn is_of_a_registry(&self) -> bool {
        matches!(self, Self::NotPulled(..))
    }
}

/// How a container ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) code: i64,
    pub(super) out_of_memory: bool,
}

fn status_of(error: &Error) -> Option<u16> {
    if let Error::DockerResponseServerError { status_code, .. } = error {
        return Some(*status_code);
    }
    None
}

/// Whether the kernel kept us from the socket; what it said lies deep.
fn is_forbidden(error: &Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let said = error.downcast_ref::<std::io::Error>();
        if said.is_some_and(|said| said.kind() == std::io::ErrorKind::PermissionDenied) {
            return true;
        }
        cause = error.source();
    }
    false
}

impl Engine {
    pub(super) fn at(address: &str) -> Result<Self, EngineError> {
        let engine = Self {
            address: address.to_owned(),
        };
        match engine.docker() {
            Err(error @ EngineError::Address(..)) => Err(error),
            Ok(_) | Err(_) => Ok(engine),
        }
    }

    /// A client of the engine. One for each call: the socket may have come, gone or been
    /// replaced since the last, and a client is nothing but its address.
    fn docker(&self) -> Result<Docker, EngineError> {
        let (address, seconds) = (self.address.as_str(), CALL.as_secs());
        let version = bollard::API_DEFAULT_VERSION;
        let docker = match address.split_once("://") {
            Some(("unix", path)) => Docker::connect_with_unix(path, seconds, version),
            Some(("tcp" | "http", _)) => Docker::connect_with_http(address, seconds, version),
            Some(_) | None => {
                return Err(EngineError::Address(address.to_owned()));
            }
        };
        docker.map_err(|error| self.unheard(error))
    }

    /// Why a call got no answer at all.
    fn unheard(&self, error: Error) -> EngineError {
        let address = self.address.clone();
        if is_forbidden(&error) {
            EngineError::Forbidden(address, error)
        } else {
            EngineError::Down(address, error)
        }
    }

    async fn call<T>(
        &self,
        what: &'static str,
        call: impl AsyncFnOnce(&Docker) -> Result<T, Error>,
    ) -> Result<T, EngineError> {
        let docker = self.docker()?;
        let slow = || EngineError::Slow(self.address.clone(), CALL, what);
        // Boxed: what a request is made of is large, and would be part of every turn.
        match timeout(CALL, Box::pin(call(&docker))).await {
            Ok(Ok(answer)) => Ok(answer),
            // The client has the same patience.
            Ok(Err(Error::RequestTimeoutError)) => Err(slow()),
            Ok(Err(error)) if status_of(&error).is_some() => Err(EngineError::Refused(what, error)),
            Ok(Err(error)) => Err(self.unheard(error)),
            Err(_elapsed) => Err(slow()),
        }
    }

    pub(super) async fn info(&self) -> Result<SystemInfo, EngineError> {
        self.call("say what it is", async |docker| docker.info().await)
            .await
    }

    pub(super) async fn has_image(&self, image: &str) -> Result<bool, EngineError> {
        let looked = async |docker: &Docker| docker.inspect_image(image).await;
        match self.call("look for the image", looked).await {
            Ok(_) => Ok(true),
            Err(EngineError::Refused(_, error)) if status_of(&error) == Some(404) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Pulls an image that needs no login.
    pub(super) async fn pull(&self, image: &str) -> Result<(), EngineError> {
        let options = CreateImageOptions {
            from_image: Some(image.to_owned()),
            ..CreateImageOptions::default()
        };
        let docker = self.docker()?;
        let mut steps = pin!(docker.create_image(Some(options), None, None));
        let pulled = async {
            while let Some(step) = steps.next().await {
                step?;
            }
            Ok(())
        };
        match timeout(PULL, pulled).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(EngineError::NotPulled(image.to_owned(), error)),
            Err(_elapsed) => Err(EngineError::Slow(
                self.address.clone(),
                PULL,
                "pull the image",
            )),
        }
    }

    /// Makes a container; what the engine warns of then.
    pub(super) async fn create(
        &self,
        name: &str,
        body: ContainerCreateBody,
    ) -> Result<Vec<String>, EngineError> {
        let image = body.image.clone();
        let options = CreateContainerOptions {
            name: Some(name.to_owned()),
            ..CreateContainerOptions::default()
        };
        let what = "make the agent's container";
        let made = async |docker: &Docker| docker.create_container(Some(options), body).await;
        match self.call(what, made).await {
            Ok(made) => Ok(made.warnings),
            Err(EngineError::Refused(what, error)) => Err(match (status_of(&error), image) {
                (Some(404), Some(image)) => EngineError::NoImage(image),
                (Some(400), _) if error.to_string().contains("source path does not exist") => {
                    EngineError::NoSource(error)
                }
                (_, _) => EngineError::Refused(what, error),
            }),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn attach(&self, name: &str) -> Result<AttachContainerResults, EngineError> {
        let options = AttachContainerOptions {
            stream: true,
            stdin: true,
            stdout: true,
            stderr: true,
            ..AttachContainerOptions::default()
        };
        let attached = async |docker: &Docker| docker.attach_container(name, Some(options)).await;
        self.call("attach to the agent's container", attached).await
    }

    pub(super) async fn start(&self, name: &str) -> Result<(), EngineError> {
        let started = async |docker: &Docker| {
            docker
                .start_container(name, None::<StartContainerOptions>)
                .await
        };
        self.call("start the agent's container", started).await
    }

    /// Waits until the container does not run. No deadline: the caller has one.
    pub(super) async fn wait(&self, name: &str) -> Result<(), EngineError> {
        let options = WaitContainerOptions {
            condition: "not-running".to_owned(),
        };
        match self
            .docker()?
            .wait_container(name, Some(options))
            .next()
            .await
        {
            // An exit code other than 0 is told as an error.
            Some(Ok(_) | Err(Error::DockerContainerWaitError { .. })) | None => Ok(()),
            Some(Err(error)) => match status_of(&error) {
                Some(404) => Err(EngineError::Vanished(name.to_owned())),
                Some(_) => Err(EngineError::Refused(
                    "wait for the agent's container",
                    error,
                )),
                None => Err(self.unheard(error)),
            },
        }
    }

    /// Asks the container to end, and after the grace ends it; returns when it has ended.
    pub(super) async fn stop(&self, name: &str, grace: Duration) -> Result<(), EngineError> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptions {
            t: Some(seconds),
            ..StopContainerOptions::default()
        };
        let stopped = async |docker: &Docker| docker.stop_container(name, Some(options)).await;
        self.call("stop the agent's container", stopped).await
    }

    pub(super) async fn kill(&self, name: &str) -> Result<(), EngineError> {
        let options = KillContainerOptions {
            signal: "SIGKILL".to_owned(),
        };
        let killed = async |docker: &Docker| docker.kill_container(name, Some(options)).await;
        let killed = self.call("kill the agent's container", killed).await;
        match killed {
            // It has ended by itself.
            Err(EngineError::Refused(_, error)) if status_of(&error) == Some(409) => Ok(()),
            killed => killed,
        }
    }

    /// How a container that has ended did so.
    pub(super) async fn end_of(&self, name: &str) -> Result<End, EngineError> {
        let options = None::<InspectContainerOptions>;
        let inspected = async |docker: &Docker| docker.inspect_container(name, options).await;
        match self.call("say how it ended", inspected).await {
            Ok(inspected) => {
                let state = inspected.state.unwrap_or_default();
                Ok(End {
                    code: state.exit_code.unwrap_or(-1),
                    out_of_memory: state.oom_killed == Some(true),
                })
            }
            Err(EngineError::Refused(_, error)) if status_of(&error) == Some(404) => {
                Err(EngineError::Vanished(name.to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    /// Removes a container, running or not, and returns when it is gone.
    pub(super) async fn remove(&self, name: &str) -> Result<(), EngineError> {
        let (until, patient_until) = (Instant::now() + REMOVAL, Instant::now() + REFUSED);
        let mut looks = tokio::time::interval(LOOK);
        loop {
            looks.tick().await;
            let options = RemoveContainerOptions {
                force: true,
                v: true,
                ..RemoveContainerOptions::default()
            };
            let removed =
                async |docker: &Docker| docker.remove_container(name, Some(options)).await;
            match self.call("remove the container", removed).await {
                Err(EngineError::Refused(what, error)) => match status_of(&error) {
                    Some(404) => return Ok(()),
                    // Somebody else is about it.
                    Some(409) => {}
                    Some(_) | None if Instant::now() < patient_until => {}
                    Some(_) | None => return Err(EngineError::Refused(what, error)),
                },
                // The box is stuck; of the engine that says nothing.
                Err(EngineError::Slow(..)) => {
                    return Err(EngineError::StillThere(name.to_owned(), CALL));
                }
                Err(error) => return Err(error),
                // The next look sees it gone.
                Ok(()) => continue,
            }
            if Instant::now() > until {
                return Err(EngineError::StillThere(name.to_owned(), REMOVAL));
            }
        }
    }

    /// The names of all containers, running or not, that carry these labels.
    pub(super) async fn list(&self, labels: &[(&str, &str)]) -> Result<Vec<String>, EngineError> {
        let labels = labels.iter().map(|(key, value)| format!("{key}={value}"));
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".to_owned(), labels.collect())])),
            ..ListContainersOptions::default()
        };
        let found = async |docker: &Docker| docker.list_containers(Some(options)).await;
        let found = self.call("list containers", found).await?;
        let names = found.into_iter().filter_map(|container| {
            let name = container.names.and_then(|names| names.into_iter().next());
            Some(name?.trim_start_matches('/').to_owned())
        });
        Ok(names.collect())
    }
}
