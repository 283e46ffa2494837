//! Agents: one process or container for one turn, or for as many as come while it waits, from the
//! prepared folder to the last line it says.
//!
//! What its words mean for chats and messages is decided in `turn`; here they are only read.

mod bootstrap;
mod container;
mod door;
mod extra;
mod guard;
mod guards;
mod home;
mod host;
mod lines;
mod login;
mod patience;
mod prompt;
mod run_log;
mod running;
mod streams;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent_protocol::AgentErrorKind;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::events::Event;
use crate::house::House;
use crate::ids::SessionId;
use crate::ipc::IpcWatch;
use crate::mounts::Granted;
use crate::store::Claim;

use container::{Container, Facts, Plan, Surroundings};
use home::Home;
use host::HostProcess;
use login::Login;
use run_log::RunLog;
use running::{AfterResult, Body, StartError};

pub(crate) use container::{Boxes, EngineStatus, ImageSource, Survey, serve as serve_engine};
pub use container::{BoxesError, EngineError, PULL};
pub(crate) use guard::take_lock;
pub use guard::{Guard, guard};
pub(crate) use guards::Guards;
pub(crate) use home::{HomeError, lock_of, prepare_credentials};
pub(crate) use login::is_token;
pub(crate) use running::RunningAgent;

/// Starts agents.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    house: House,
    ipc: IpcWatch,
    runtime: Runtime,
    login: Arc<Login>,
}

/// What agents run in.
#[derive(Clone, Debug)]
pub(crate) enum Runtime {
    /// Processes of this machine.
    Host {
        /// Our own executable, which guards each agent.
        guard: Arc<PathBuf>,
        guards: Guards,
    },
    /// Containers.
    Docker(Boxes),
}

/// How an agent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AgentEnd {
    Done,
    Failed(AgentFault),
    /// We stopped it because we are stopping.
    Interrupted,
}

/// Why an agent failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentFault {
    /// What the agent itself called it; none if it could not say.
    pub kind: Option<AgentErrorKind>,
    pub message: String,
    pub again: Again,
}

/// Whether the same work may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    No,
    Yes,
    /// It was not even begun, so this was no attempt.
    Uncounted,
}

impl Again {
    fn if_so(retryable: bool) -> Self {
        if retryable { Self::Yes } else { Self::No }
    }
}

impl AgentFault {
    /// What the agent itself has said.
    pub(crate) fn told(kind: AgentErrorKind, message: String, retryable: bool) -> Self {
        Self {
            kind: Some(kind),
            message,
            again: Again::if_so(retryable),
        }
    }

    pub(crate) fn retryable(message: impl Into<String>) -> Self {
        Self {
            kind: None,
            message: message.into(),
            again: Again::Yes,
        }
    }

    /// Another try would come to the same.
    pub(crate) fn lasting(message: impl Into<String>) -> Self {
        Self {
            kind: None,
            message: message.into(),
            again: Again::No,
        }
    }

    pub(crate) fn no_result() -> Self {
        Self::retryable("the agent ended without a result")
    }

    /// The kind as it is spelt on the wire, e.g. `rate_limit`.
    pub(crate) fn kind_word(&self) -> Option<String> {
        let kind = serde_json::to_value(self.kind?);
        match kind {
            Ok(serde_json::Value::String(word)) => Some(word),
            Ok(_) | Err(_) => None,
        }
    }
}

impl fmt::Display for AgentFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind_word() {
            Some(kind) => write!(f, "{} ({kind})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl Runtime {
    /// The containers, if agents run in them.
    pub(crate) fn boxes(&self) -> Option<&Boxes> {
        match self {
            Self::Host { .. } => None,
            Self::Docker(boxes) => Some(boxes),
        }
    }

    /// Returns when agents can be started, or says why they cannot.
    pub(crate) async fn is_able(&self, config: &Config) -> Result<(), EngineError> {
        match self {
            Self::Host { .. } => Ok(()),
            Self::Docker(boxes) => {
                boxes.engine_is_up().await?;
                boxes.have_image(&config.container.image).await?;
                boxes.take_agents();
                Ok(())
            }
        }
    }
}

impl From<EngineError> for AgentFault {
    /// Of an agent that could not be started.
    fn from(error: EngineError) -> Self {
        let again = if error.is_away() {
            Again::Uncounted
        } else {
            Again::if_so(error.is_of_a_registry() || !error.is_lasting())
        };
        let message = crate::chain(&error);
        Self {
            kind: None,
            message,
            again,
        }
    }
}

/// What may succeed later, and is told with its causes.
fn passing(error: impl std::error::Error) -> AgentFault {
    AgentFault::retryable(crate::chain(&error))
}

impl Agent {
    #[must_use]
    pub(crate) fn new(house: House, ipc: IpcWatch, runtime: Runtime) -> Self {
        Self {
            house,
            ipc,
            runtime,
            login: Arc::default(),
        }
    }

    /// Tells the operator of a login with which no agent can work, before one is to.
    pub(crate) fn look_at_login(&self) {
        let (Ok(()) | Err(_)) = self.login.make_ready(&self.house);
    }

    /// Returns when nothing of the agents that have ended is left.
    pub(crate) async fn nothing_remains(&self) {
        if let Some(boxes) = self.runtime.boxes() {
            boxes.removals_are_over().await;
        }
    }

    /// Prepares the group's folder and starts an agent on what was claimed.
    pub(crate) async fn start(
        &self,
        claim: &Claim,
        session: Option<&SessionId>,
        stop: &CancellationToken,
    ) -> Result<RunningAgent, AgentFault> {
        match &self.runtime {
            Runtime::Host { guard, guards } => {
                self.start_process(claim, session, (guard, guards)).await
            }
            Runtime::Docker(boxes) => {
                let image = &self.house.config.container.image;
                let facts = tokio::select! {
                    facts = boxes.ready_for_an_agent(image) => facts?,
                    () = stop.cancelled() => {
                        return Err(AgentFault::retryable("nanokimi is stopping"));
                    }
                };
                // Boxed, as its end is: a turn is small without them.
                Box::pin(self.start_container(claim, session, (boxes, facts))).await
            }
        }
    }

    async fn start_process(
        &self,
        claim: &Claim,
        session: Option<&SessionId>,
        (guard, guards): (&Path, &Guards),
    ) -> Result<RunningAgent, AgentFault> {
        let mut home = self.prepare(claim).await?;
        let extra = self.extra(claim).await?;
        let folder = &claim.group.folder;
        home.extra = extra::link(&self.house.root, folder, &extra).map_err(passing)?;
        let (input, log, after_result) = self.brief(claim, session, &home)?;
        let (process, started) =
            HostProcess::start(&self.house, (guard, guards), &home, input, &log)
                .map_err(passing)?;
        let body = (Body::Host(process), started);
        Ok(RunningAgent::new(
            &self.house,
            home,
            log,
            body,
            after_result,
        ))
    }

    async fn start_container(
        &self,
        claim: &Claim,
        session: Option<&SessionId>,
        (boxes, facts): (&Boxes, Facts),
    ) -> Result<RunningAgent, AgentFault> {
        // Nothing of the group may be alive while its folders are looked over.
        let lock = lock_of(&self.house.root, &claim.group.folder);
        let alone = take_lock(&lock).await.map_err(passing)?;
        boxes.clear(&claim.group.folder).await?;
        let mut home = self.prepare(claim).await?;
        if home.is_logged_in {
            home.make_room_for_settings().map_err(passing)?;
        }
        let user = container::hand_over(facts, &home).await.map_err(passing)?;
        home.owner = user.owner();
        let seen = (&*self.house.root, &*self.house.config);
        let masks = if home.is_main {
            container::masks_in(seen, facts).map_err(passing)?
        } else {
            Vec::new()
        };
        let extra = self.extra(claim).await?;
        let name = container::new_name(&claim.group.folder);
        let door = boxes.open_door(&name).map_err(passing)?;
        let around = Surroundings {
            root: &self.house.root,
            config: &self.house.config,
            home: &home,
            name: &name,
            run: &claim.run,
            boxes,
            facts,
            user,
            masks: &masks,
            extra: &extra,
            door: &door,
        };
        let plan = Plan::new(&around);
        let (input, log, after_result) = self.brief(claim, session, &home)?;
        let started = Container::start(boxes, (alone, door, extra), plan, input, &log).await;
        let (container, started) = started.map_err(|error| {
            let fault = AgentFault::from(error);
            log.line(&fault.message);
            fault
        })?;
        let body = (Body::Container(container), started);
        Ok(RunningAgent::new(
            &self.house,
            home,
            log,
            body,
            after_result,
        ))
    }

    async fn prepare(&self, claim: &Claim) -> Result<Home, AgentFault> {
        self.login.make_ready(&self.house)?;
        let home = Home::prepare(&self.house, &claim.group).map_err(passing)?;
        self.publish(claim).await?;
        home.clear_input().map_err(passing)?;
        Ok(home)
    }

    /// What the agent is to read, the log of its run, and what it does after its result. From here
    /// on it counts as started.
    fn brief(
        &self,
        claim: &Claim,
        session: Option<&SessionId>,
        home: &Home,
    ) -> Result<(Vec<u8>, RunLog, AfterResult), AgentFault> {
        let input = prompt::input(&self.house, claim, session);
        self.tell(claim);
        let log = running::open_log(&self.house, home, &input).map_err(passing)?;
        let after_result = AfterResult::of(&input);
        let bytes = serde_json::to_vec(&input);
        let bytes = bytes.map_err(|error| passing(StartError::Input(error)))?;
        Ok((bytes, log, after_result))
    }

    async fn extra(&self, claim: &Claim) -> Result<Vec<Granted>, AgentFault> {
        let granted = extra::granted(&self.house, &claim.group).await;
        granted.map_err(passing)
    }

    async fn publish(&self, claim: &Claim) -> Result<(), AgentFault> {
        let published = self.ipc.publish_snapshots(&claim.group).await;
        published.map_err(passing)
    }

    /// Gives what was claimed to an agent that waits.
    pub(crate) async fn hand_on(
        &self,
        claim: &Claim,
        agent: &mut RunningAgent,
    ) -> Result<(), AgentFault> {
        self.publish(claim).await?;
        let follow_up = prompt::follow_up(&self.house, claim);
        agent.hand_in(&claim.run, &follow_up).map_err(passing)
    }

    fn tell(&self, claim: &Claim) {
        let runtime = self.house.config.agent_runtime.word();
        tracing::info!(
            group = %claim.group.folder, run = %claim.run, runtime,
            "Spawning agent process"
        );
        self.house.events.tell(Event::AgentStarted {
            group: claim.group.folder.clone(),
            run: claim.run.clone(),
        });
    }
}
