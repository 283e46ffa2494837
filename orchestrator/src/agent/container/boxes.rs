//! The containers of this installation, as every run sees them: which are its own, and whether
//! the engine is there.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agent_protocol::door::{DoorTarget, InvalidDoorHost};
use bollard::models::SystemInfo;
use futures_util::{StreamExt, stream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::engine::{Engine, EngineError};
use super::install::{self, InstallError};
use super::reach;
use super::status::{EngineStatus, StuckContainer};
use crate::agent::door::{Door, DoorError};
use crate::config::Config;
use crate::ids::GroupFolder;
use crate::running::unwound;

/// By which an installation's containers are known.
pub(super) const INSTALL: &str = "nanokimi.install";
pub(super) const GROUP: &str = "nanokimi.group";
pub(super) const RUN: &str = "nanokimi.run";
/// Containers left behind that are removed at once.
const AT_ONCE: usize = 16;

/// How the engine stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EngineState {
    /// Nobody has looked yet.
    Unknown,
    Up(Facts),
    /// Why it does not answer.
    Down(String),
}

/// What an engine's boxes depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Billionths of processors.
    pub(super) nano_cpus: i64,
    /// It runs as an ordinary user, whose containers' root is that user.
    pub(super) is_rootless: bool,
    /// It gives containers other user ids than they believe.
    pub(super) remaps_users: bool,
}

/// A handle that is cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Boxes {
    engine: Engine,
    install: Arc<str>,
    /// The containers of agents that are at work.
    owned: Arc<Mutex<BTreeSet<String>>>,
    /// Removals that nobody waits for yet.
    removals: Arc<Mutex<JoinSet<()>>>,
    /// Containers that the engine did not remove when it was last asked to, and why.
    stuck: Arc<Mutex<BTreeMap<String, String>>>,
    /// What the engine has warned of, each told once.
    warnings: Arc<Mutex<BTreeSet<String>>>,
    state: watch::Sender<EngineState>,
    look: Arc<Notify>,
    /// Whether the image has been there.
    takes_agents: watch::Sender<bool>,
    patience: Duration,
    /// The doors of agents, a folder for each.
    doors: Arc<Path>,
    /// Whom agents may reach through them.
    targets: Arc<[DoorTarget]>,
}

/// The containers of an installation cannot be told apart, or its engine not be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum BoxesError {
    #[error(transparent)]
    Install(#[from] InstallError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the doors of earlier agents cannot be removed")]
    Doors(#[source] io::Error),
    #[error(
        "agents cannot reach their model or agent_hosts; or choose agent_network = \"open\", which lets them reach everything"
    )]
    Reach(#[from] InvalidDoorHost),
}

/// Whether an image's name begins with a registry's host, as `ghcr.io/someone/agent:1`.
pub(super) fn names_a_registry(image: &str) -> bool {
    image
        .split_once('/')
        .is_some_and(|(host, _)| host == "localhost" || host.contains('.') || host.contains(':'))
}

impl EngineState {
    /// Its word for operators.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up(_) => "up",
            Self::Down(_) => "down",
        }
    }
}

impl Facts {
    pub(super) fn of(info: &SystemInfo) -> Self {
        let options = info.security_options.iter().flatten();
        let has = |name: &str| {
            let name = format!("name={name}");
            options
                .clone()
                .any(|option| option.split(',').any(|part| part == name))
        };
        Self {
            nano_cpus: info.ncpu.unwrap_or(1).max(1).saturating_mul(1_000_000_000),
            is_rootless: has("rootless"),
            remaps_users: has("userns"),
        }
    }
}

impl Boxes {
    pub(crate) fn open(root: &Path, config: &Config) -> Result<Self, BoxesError> {
        let settings = &config.container;
        let (state, _) = watch::channel(EngineState::Unknown);
        let doors = root.join("data/doors");
        // Nobody stands at the doors of a process that is gone.
        match fs_err::remove_dir_all(&doors) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(BoxesError::Doors(error));
            }
            Ok(()) | Err(_) => {}
        }
        Ok(Self {
            engine: Engine::at(&settings.engine)?,
            install: install::read_or_make(root)?.into(),
            owned: Arc::default(),
            removals: Arc::default(),
            stuck: Arc::default(),
            warnings: Arc::default(),
            state,
            look: Arc::default(),
            takes_agents: watch::Sender::new(false),
            patience: settings.engine_wait,
            doors: doors.into(),
            targets: reach::targets(config)?.into(),
        })
    }

    /// Opens the door of one agent.
    pub(in crate::agent) fn open_door(&self, name: &str) -> Result<Door, DoorError> {
        Door::open(self.doors.join(name), &self.targets)
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn install(&self) -> &str {
        &self.install
    }

    /// Waits, as long as the settings say, until the engine answers.
    pub(crate) async fn engine_is_up(&self) -> Result<Facts, EngineError> {
        let mut state = self.state.subscribe();
        let up = state.wait_for(|state| matches!(state, EngineState::Up(_)));
        let answered = timeout(self.patience, up).await;
        drop(answered);
        let state = self.state.borrow().clone();
        match state {
            EngineState::Up(facts) => Ok(facts),
            EngineState::Down(why) => Err(EngineError::Waited(why, self.patience)),
            EngineState::Unknown => {
                let why = "nobody has asked the container engine yet".to_owned();
                Err(EngineError::Waited(why, self.patience))
            }
        }
    }

    /// Lets agents start: what they start from is there.
    pub(crate) fn take_agents(&self) {
        self.takes_agents.send_replace(true);
    }

    /// Waits until an agent can be started. What is left from before waits with us for the image at
    /// first: that wait has its deadline in `run`, which then stops everything.
    pub(crate) async fn ready_for_an_agent(&self, image: &str) -> Result<Facts, EngineError> {
        let mut takes = self.takes_agents.subscribe();
        // Its sender is ours, so it cannot end.
        let (Ok(_) | Err(_)) = takes.wait_for(|takes| *takes).await;
        let facts = self.engine_is_up().await?;
        // It may have been removed since.
        self.have_image(image).await?;
        Ok(facts)
    }

    /// Sees that the image is there. One that comes from a registry is pulled; our own comes from
    /// none, and whoever took its name in the public one must not become our agent.
    pub(crate) async fn have_image(&self, image: &str) -> Result<(), EngineError> {
        if self.engine.has_image(image).await? {
            return Ok(());
        }
        if !names_a_registry(image) {
            return Err(EngineError::NoImage(image.to_owned()));
        }
        tracing::info!(image, "the image is not there yet; pulling it");
        self.engine.pull(image).await
    }

    /// How the engine stands, for operators.
    pub(crate) fn status(&self) -> EngineStatus {
        let mut status = EngineStatus::from(self.state());
        let stuck = self.lock_stuck();
        status.stuck = stuck
            .iter()
            .map(|(container, problem)| StuckContainer {
                container: container.clone(),
                problem: problem.clone(),
            })
            .collect();
        status
    }

    /// How the engine stands now.
    pub(crate) fn state(&self) -> EngineState {
        self.state.borrow().clone()
    }

    /// Keeps how the engine stands; says how it stood before.
    pub(super) fn stands(&self, state: EngineState) -> EngineState {
        self.state.send_replace(state)
    }

    /// Has the keeper look at once: something is wrong.
    pub(super) fn look_now(&self) {
        self.look.notify_one();
    }

    /// Returns when somebody wants a look.
    pub(super) async fn look_wanted(&self) {
        self.look.notified().await;
    }

    pub(super) fn own(&self, name: &str) {
        self.lock().insert(name.to_owned());
    }

    pub(super) fn disown(&self, name: &str) {
        self.lock().remove(name);
    }

    /// Tells what the engine warns of, e.g. a limit that it does not keep.
    pub(super) fn tell(&self, warnings: Vec<String>) {
        // A set of texts is whole, whoever panicked.
        let told = self.warnings.lock();
        let mut told = told.unwrap_or_else(PoisonError::into_inner);
        for warning in warnings {
            if told.insert(warning.clone()) {
                tracing::warn!(warning, "the container engine warns of agents' containers");
            }
        }
    }

    /// Has a container removed while other things go on. It stays owned until it is gone.
    pub(super) fn remove_meanwhile(&self, removal: impl Future<Output = ()> + Send + 'static) {
        let mut removals = self.removals();
        while let Some(done) = removals.try_join_next() {
            unwound(done);
        }
        removals.spawn(removal);
    }

    /// Returns when every removal so far is over.
    pub(crate) async fn removals_are_over(&self) {
        let mut removals = std::mem::take(&mut *self.removals());
        while let Some(done) = removals.join_next().await {
            unwound(done);
        }
    }

    fn removals(&self) -> MutexGuard<'_, JoinSet<()>> {
        // A set of tasks is whole, whoever panicked.
        self.removals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a container and sees it gone, or keeps in mind that it is not.
    pub(super) async fn remove(&self, name: &str) -> Result<(), EngineError> {
        let removed = self.engine.remove(name).await;
        let mut stuck = self.lock_stuck();
        match &removed {
            Ok(()) => stuck.remove(name),
            Err(error) => stuck.insert(name.to_owned(), crate::chain(error)),
        };
        drop(stuck);
        removed
    }

    /// Removes what an earlier process has left of the group's agents, and sees it gone.
    pub(in crate::agent) async fn clear(&self, group: &GroupFolder) -> Result<(), EngineError> {
        let labels = [(INSTALL, self.install()), (GROUP, group.as_str())];
        let swept = self.sweep(&labels).await;
        if swept.is_err() {
            self.look_now();
        }
        swept
    }

    /// Removes whatever of this installation is no agent at work.
    pub(super) async fn sweep_all(&self) -> Result<(), EngineError> {
        let swept = self.sweep(&[(INSTALL, self.install())]).await;
        if swept.is_ok() {
            // What was stuck is gone by now, whoever removed it.
            self.lock_stuck().clear();
        }
        swept
    }

    /// Removes whatever carries the labels and is no agent at work. One that will not go keeps
    /// none of the others, and is the error.
    async fn sweep(&self, labels: &[(&str, &str)]) -> Result<(), EngineError> {
        // Before and after: an agent may start, or end, while the engine looks for its list.
        let owned = self.lock().clone();
        let mut listed = self.engine.list(labels).await?;
        listed.retain(|name| !owned.contains(name) && !self.lock().contains(name));
        // At once: one that hangs takes its time, and whoever waits for us waits for that alone.
        let mut removals = stream::iter(listed)
            .map(|name| async move { (self.remove(&name).await, name) })
            .buffer_unordered(AT_ONCE);
        let mut swept = Ok(());
        while let Some((removed, name)) = removals.next().await {
            match removed {
                Ok(()) => {
                    tracing::warn!(container = %name, "removed a container that was left behind");
                }
                Err(error @ (EngineError::Refused(..) | EngineError::StillThere(..))) => {
                    let told = crate::chain(&error);
                    tracing::warn!(container = %name, error = told, "a container that was left behind cannot be removed; trying again");
                    swept = Err(error);
                }
                Err(error) => return Err(error),
            }
        }
        swept
    }

    fn lock_stuck(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        // Each entry is whole, whoever panicked.
        self.stuck.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // A set of names is whole, whoever panicked.
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_names_its_registry_is_pulled() {
        for image in ["ghcr.io/a/b:1", "localhost/a", "10.0.0.1:5000/a"] {
            assert!(names_a_registry(image), "{image}");
        }
        for image in ["nanokimi-agent:latest", "someone/agent", "a@sha256:00"] {
            assert!(!names_a_registry(image), "{image}");
        }
    }

    #[test]
    fn an_engine_says_how_its_users_are() {
        let facts = |options: &[&str]| {
            Facts::of(&SystemInfo {
                ncpu: Some(2),
                security_options: Some(options.iter().map(ToString::to_string).collect()),
                ..SystemInfo::default()
            })
        };
        let plain = facts(&["name=seccomp,profile=default"]);
        assert!(!plain.is_rootless && !plain.remaps_users);
        assert_eq!(plain.nano_cpus, 2_000_000_000);
        assert!(facts(&["name=seccomp,profile=default", "name=rootless"]).is_rootless);
        assert!(facts(&["name=userns"]).remaps_users);
    }
}
