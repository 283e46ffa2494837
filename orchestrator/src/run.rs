//! `nanokimi run`: the parts are put together here, in the order a message meets them, and
//! taken apart again.

use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::agent::{
    Agent, Boxes, BoxesError, EngineError, Guards, HomeError, Runtime, prepare_credentials,
    serve_engine,
};
use crate::channel::{self, Channels, Lines, OpenError};
use crate::clock::Clock;
use crate::clock_hand::{self, ClockHand};
use crate::config::{AgentRuntime, Config};
use crate::events::EventLog;
use crate::group_queue::{self, GroupQueue, Lanes};
use crate::house::House;
use crate::http::{self, Api, Token, TokenError};
use crate::ids::GroupFolder;
use crate::instance::{self, Instance, InstanceError};
use crate::intake::Intake;
use crate::ipc::{self, Inbox, IpcDesk, IpcWatch};
use crate::logs::{self, Logs};
use crate::outbox::{self, Outbox};
use crate::registration;
use crate::running::{Fault, Running};
use crate::scheduler::{self, Scheduler};
use crate::store::{Store, StoreError};
use crate::turn::Turns;
use crate::workspace::{self, Desk, Known, Requests, Tickets, Workspace, WorkspaceFault};

/// What `run` is told besides the configuration.
#[derive(Clone, Debug)]
pub struct RunOptions {
    pub root: PathBuf,
    /// Freeze the clock here and let `/v1/clock` move it.
    pub test_clock: Option<Timestamp>,
}

/// Why the orchestrator did not run, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Boxes(#[from] BoxesError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(
        "agent_runner: `{}` is not there; build it with `cargo build -p agent-runner`, or set agent_runner to its path", .0.display()
    )]
    NoRunner(PathBuf),
    #[error(transparent)]
    Instance(#[from] InstanceError),
    #[error("the folder cannot be prepared")]
    Folder(#[source] io::Error),
    #[error("the log files cannot be opened")]
    Logs(#[source] io::Error),
    #[error(transparent)]
    Channel(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Workspace(#[from] WorkspaceFault),
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(
        "http_listen: cannot listen on {address}; choose another address, or port 0 for any free one"
    )]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("the kernel does not make us the heir of what agents leave behind")]
    NoHeir(#[source] io::Error),
    #[error("signals cannot be listened for")]
    Signals(#[source] io::Error),
    #[error("the service manager cannot be told that we are ready")]
    Notify(#[source] io::Error),
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Runs until a signal; returns after everything of ours has ended.
pub async fn run(config: Config, options: RunOptions) -> Result<(), RunError> {
    check(&config)?;
    let root = options.root.as_path();
    make_folders(root).map_err(RunError::Folder)?;
    let mut instance = instance::lock(root)?;
    let token = Token::read_or_make(root)?;
    let logs = Logs::open(root, &config, &[token.expose()]).map_err(RunError::Logs)?;
    let _logging = logs::install(logs);
    workspace::clear_away(root).map_err(RunError::Folder)?;
    prepare_credentials(root, &config)?;

    let clock = options.test_clock.map_or_else(Clock::system, Clock::test);
    let (workspace, asked) = Workspace::new();
    let house = House {
        root: options.root.clone(),
        store: Store::open(root)?,
        events: EventLog::new(clock.clone()),
        workspace: match config.workspace.store {
            Some(_) => workspace,
            None => Workspace::default(),
        },
        tickets: Tickets::default(),
        config: Arc::new(config),
        clock,
    };
    let (listener, address) = listen(&house, &mut instance).await?;
    let keeping = keeping(&house, asked).await?;
    registration::ensure_main(&house).await?;
    let opened = channel::open(&house).await?;
    let grace = house.config.shutdown_grace;
    let runtime = runtime(&house)?;
    let config = house.config.clone();
    let mut running = start(house, (listener, token), opened, runtime.clone()).await?;
    if let Some((asked, desk, known)) = keeping {
        running.add("workspaces", |stop| {
            workspace::serve(asked, desk, known, stop)
        });
    }
    // Whoever is told that we are ready may tell us to stop.
    let (told, hurried) = signals().map_err(RunError::Signals)?;
    let mut told = pin!(told);
    let able = tokio::select! {
        able = runtime.is_able(&config) => Some(able),
        () = &mut told => None,
    };
    let ended = match able {
        Some(Ok(())) => {
            announce(address).map_err(RunError::Notify)?;
            running.until(told, hurried, grace).await
        }
        Some(Err(_)) | None => running.until(ready(()), hurried, grace).await,
    };
    tracing::info!("stopped");
    able.unwrap_or(Ok(()))?;
    ended.map_err(RunError::Fault)
}

/// What keeps workspaces beyond this machine, if that is wanted. Groups that come from there are
/// registered.
async fn keeping(
    house: &House,
    asked: Requests,
) -> Result<Option<(Requests, Desk, Known)>, RunError> {
    let Some(bucket) =
        workspace::open(&house.config, &house.clock).map_err(WorkspaceFault::from)?
    else {
        return Ok(None);
    };
    let desk = Desk::new(house.clone(), bucket);
    let known = workspace::take_over(&desk).await?;
    Ok(Some((asked, desk, known)))
}

/// What agents will run in.
fn runtime(house: &House) -> Result<Runtime, RunError> {
    match house.config.agent_runtime {
        AgentRuntime::Docker => {
            let boxes = Boxes::open(&house.root, &house.config)?;
            Ok(Runtime::Docker(boxes))
        }
        AgentRuntime::Host => Ok(Runtime::Host {
            // Not by its path: an upgrade may put a newer program there while we run.
            guard: Arc::new(PathBuf::from("/proc/self/exe")),
            guards: Guards::new().map_err(RunError::NoHeir)?,
        }),
    }
}

fn check(config: &Config) -> Result<(), RunError> {
    match config.agent_runtime {
        AgentRuntime::Docker => {}
        AgentRuntime::Host if config.agent_runner.is_file() => {}
        AgentRuntime::Host => return Err(RunError::NoRunner(config.agent_runner.clone())),
    }
    Ok(())
}

fn make_folders(root: &Path) -> io::Result<()> {
    for folder in [
        "store",
        "data/ipc/errors",
        "data/sessions",
        "groups/global",
        "logs",
    ] {
        fs_err::create_dir_all(root.join(folder))?;
    }
    Ok(())
}

/// Listens, and notes where.
async fn listen(
    house: &House,
    instance: &mut Instance,
) -> Result<(TcpListener, SocketAddr), RunError> {
    let address = house.config.http_listen;
    let failed = |source| RunError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let noted = instance.listens_at(address);
    noted.map_err(InstanceError::Io)?;
    Ok((listener, address))
}

/// Starts the parts. Handles are moved, never kept here: a part that is served through a
/// handle ends when the last holder of it has ended, so the outbox is the last to go.
async fn start(
    house: House,
    (listener, token): (TcpListener, Token),
    (channels, lines): (Channels, Lines),
    runtime: Runtime,
) -> Result<Running, RunError> {
    let mut running = Running::default();
    let (queue, arrivals) = GroupQueue::new();
    let (outbox, woken) = Outbox::new();
    let (scheduler, changes) = Scheduler::new();
    let (ipc, requests) = IpcWatch::new();

    let waiting = recover(&house).await?;
    let clock_hand = add_clock_hand(&mut running, &house, &ipc);
    let intake = || Intake::new(house.clone(), queue.clone());
    lines.serve(&mut running, &house, intake(), outbox.clone());
    let api = Api {
        house: house.clone(),
        intake: intake(),
        token,
        clock_hand,
        boxes: runtime.boxes().cloned(),
        outbox: outbox.knocker(),
        fits: channels.fits(),
        waiting: http::Waiting::default(),
        stop: running.stop_token(),
    };
    running.add("HTTP API", |_is_in_the_api| serve_http(listener, api));

    if let Some(boxes) = runtime.boxes().cloned() {
        running.add("container engine", |stop| serve_engine(boxes, stop));
    }
    let agent = Agent::new(house.clone(), ipc.clone(), runtime);
    agent.look_at_login();
    let asked = (ipc, scheduler.clone());
    let turns = Turns::new(
        house.clone(),
        agent,
        outbox.clone(),
        channels.clone(),
        asked,
    );
    let lanes = Lanes::new(house.config.max_concurrent, waiting);
    running.add("group queue", |stop| {
        group_queue::serve(arrivals, turns, lanes, stop)
    });

    running.add("scheduler", |stop| {
        scheduler::serve(changes, house.clone(), queue.clone(), stop)
    });

    let desk = IpcDesk {
        house: house.clone(),
        inbox: Inbox::open(&house.root.join("data/ipc")).map_err(RunError::Folder)?,
        outbox,
        channels: channels.clone(),
        scheduler,
        queue,
    };
    let interval = house.config.ipc_scan_interval;
    running.add("IPC watcher", |_ends_with_its_askers| {
        ipc::serve(requests, desk, interval)
    });

    running.add("outbox", |_ends_with_its_wakers| {
        outbox::serve(woken, house, channels)
    });
    add_watchdog(&mut running);
    Ok(running)
}

/// Who moves the clock, where it is one for tests.
fn add_clock_hand(running: &mut Running, house: &House, ipc: &IpcWatch) -> Option<ClockHand> {
    if !house.clock.is_test() {
        return None;
    }
    let (hand, moves) = ClockHand::new();
    let (clock, ipc) = (house.clock.clone(), ipc.clone());
    running.add("test clock", |stop| {
        clock_hand::serve(moves, clock, ipc, stop)
    });
    tracing::warn!("the clock stands still and is moved over /v1/clock: this is a test");
    Some(hand)
}

/// Tells the service manager regularly that we are well, if it wants that.
fn add_watchdog(running: &mut Running) {
    if let Some(every) = watchdog_interval() {
        running.add("watchdog", |stop| feed_watchdog(every, stop));
    }
}

/// Puts the work of an earlier process back; returns the groups with something to do.
async fn recover(house: &House) -> Result<Vec<GroupFolder>, StoreError> {
    let recovered = house.store.recover(house.clock.now()).await?;
    if recovered.requeued + recovered.answered > 0 {
        tracing::warn!(
            requeued = recovered.requeued,
            answered = recovered.answered,
            "an earlier process ended in the middle of its work; it goes on here"
        );
    }
    Ok(recovered.groups)
}

async fn serve_http(listener: TcpListener, api: Api) {
    if let Err(error) = http::serve(listener, api).await {
        tracing::error!(%error, "the HTTP API failed");
    }
}

/// Tells the service manager that we are ready, and where.
fn announce(address: SocketAddr) -> io::Result<()> {
    tracing::info!(%address, "ready");
    let http = format!("X_HTTP_ADDR={address}");
    sd_notify::notify(&[NotifyState::Ready, NotifyState::Custom(&http)])
}

/// Half of what the service manager allows between two signs of life.
fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|allowed| allowed / 2)
}

async fn feed_watchdog(every: Duration, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(every);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {
                if let Err(error) = sd_notify::notify(&[NotifyState::Watchdog]) {
                    tracing::warn!(%error, "the watchdog cannot be fed");
                }
            }
        }
    }
}

/// The first SIGTERM or SIGINT, and the second.
fn signals() -> io::Result<(impl Future<Output = ()>, impl Future<Output = ()>)> {
    let first = Stop::listen()?;
    let second = Stop::listen()?;
    let told = async move {
        first.next().await;
        tracing::info!("stopping: intake is closed, agents may finish");
        if let Err(error) = sd_notify::notify(&[NotifyState::Stopping]) {
            tracing::warn!(%error, "the service manager cannot be told that we are stopping");
        }
    };
    let hurried = async move {
        let second = second.next().await;
        second.next().await;
    };
    Ok((told, hurried))
}

struct Stop {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

impl Stop {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(mut self) -> Self {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
        self
    }
}
