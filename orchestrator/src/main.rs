//! The process: arguments and environment in, exit code out. The environment is read here and
//! nowhere below.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use orchestrator::commands::{
    self, CommandError, EventsOptions, GroupsCommand, SendOptions, SessionsCommand, Shown,
    TasksCommand, WorkspaceCommand,
};
use orchestrator::{
    BoxesError, ChannelEnd, Config, ConfigError, Exit, Fault, Guard, OpenError, RunError,
    RunOptions, StoreError, chain,
};

/// Runs chat agents for groups.
#[derive(Parser)]
#[command(name = "nanokimi", version = orchestrator::VERSION, before_help = orchestrator::WARNING, after_help = orchestrator::EXIT_CODES)]
struct Arguments {
    /// The folder of this installation.
    #[arg(long, global = true, default_value = ".")]
    root: PathBuf,
    /// Show what is read as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until told to stop.
    Run {
        /// For tests: freeze the clock at this instant; `POST /v1/clock` moves it.
        #[arg(long, value_name = "RFC 3339")]
        test_clock: Option<jiff::Timestamp>,
    },
    /// Link WhatsApp: by a QR code to scan, or by a code to type into the phone.
    #[cfg(feature = "whatsapp")]
    Auth(commands::AuthOptions),
    /// Show the settings in force, and where each comes from.
    Config,
    /// Check that everything is there that it needs, and say what to do if not.
    Doctor,
    /// Show whether it runs, and how much it has to do.
    Status,
    /// Show what has happened in the nanokimi that runs, and what happens.
    Events(EventsOptions),
    /// Have the nanokimi that runs say something in a group's chat.
    Send(SendOptions),
    /// Show or change the registered groups.
    #[command(subcommand)]
    Groups(GroupsCommand),
    /// Show or change the scheduled tasks.
    #[command(subcommand)]
    Tasks(TasksCommand),
    /// Show or clear the agents' conversations.
    #[command(subcommand)]
    Sessions(SessionsCommand),
    /// Show, check, bring back or tidy what groups' workspaces have left in the store.
    #[command(subcommand)]
    Workspace(WorkspaceCommand),
    /// Stands between the orchestrator and an agent; started by the orchestrator.
    #[command(hide = true)]
    AgentGuard {
        #[arg(long)]
        parent: i32,
        #[arg(long)]
        grace_ms: u64,
        #[arg(long)]
        lock: PathBuf,
        #[arg(last = true, required = true)]
        agent: Vec<OsString>,
    },
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[cfg(feature = "whatsapp")]
    #[error(transparent)]
    Auth(#[from] commands::AuthError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Failure {
    fn exit(&self) -> Exit {
        match self {
            Self::Config(_)
            | Self::Run(
                RunError::NoRunner(_)
                | RunError::Boxes(BoxesError::Reach(_))
                | RunError::Channel(
                    OpenError::NotBuilt
                    | OpenError::TestClockInPublic(_)
                    | OpenError::Unverified(_),
                )
                | RunError::Listen { .. },
            ) => Exit::Usage,
            Self::Run(RunError::Workspace(fault)) if !fault.is_passing() => Exit::Usage,
            Self::Run(
                RunError::Instance(_)
                | RunError::Folder(_)
                | RunError::Logs(_)
                | RunError::Channel(OpenError::Io(_))
                | RunError::Store(_)
                | RunError::Token(_)
                | RunError::Home(_)
                | RunError::Boxes(BoxesError::Install(_) | BoxesError::Doors(_)),
            )
            | Self::Command(
                CommandError::NoInstallation(_)
                | CommandError::Token(_)
                | CommandError::Store(
                    StoreError::Open { .. } | StoreError::Newer { .. } | StoreError::Migrate { .. },
                ),
            ) => Exit::Folder,
            Self::Run(RunError::Engine(error) | RunError::Boxes(BoxesError::Engine(error))) => {
                if error.is_lasting() {
                    Exit::Usage
                } else {
                    Exit::NoEngine
                }
            }
            #[cfg(feature = "whatsapp")]
            Self::Auth(error) => error.exit(),
            Self::Run(RunError::Channel(OpenError::NotLinked)) => Exit::NotLinked,
            Self::Run(RunError::Fault(Fault::Channel(ChannelEnd::LoggedOut))) => Exit::LoggedOut,
            Self::Run(
                RunError::NoHeir(_)
                | RunError::Signals(_)
                | RunError::Notify(_)
                | RunError::Workspace(_)
                | RunError::Fault(Fault::PartEnded(_) | Fault::StillRunning { .. } | Fault::Hurried),
            )
            | Self::Command(
                CommandError::Store(_)
                | CommandError::Workspace(_)
                | CommandError::Client(_)
                | CommandError::Refused(_)
                | CommandError::Output(_)
                | CommandError::Json(_),
            )
            | Self::Io(_) => Exit::Fault,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // One thread: the orchestrator waits far more than it works, and the kernel ties the life
    // of each agent's guard to the thread that started it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = runtime.map_err(Failure::Io).and_then(|runtime| {
        let ended = runtime.block_on(obey(arguments));
        // A call of the system that never returns, e.g. to a disk that is gone, ends with us.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(code) => code,
        Err(failure) => {
            let said = writeln!(io::stderr(), "error: {}", chain(&failure));
            // Without a stderr the exit code has to do.
            let (Ok(()) | Err(_)) = said;
            ExitCode::from(failure.exit() as u8)
        }
    }
}

async fn obey(arguments: Arguments) -> Result<ExitCode, Failure> {
    let root = std::path::absolute(&arguments.root)?;
    let shown = if arguments.json {
        Shown::Json
    } else {
        Shown::Text
    };
    let load = || Config::load(&root, &environment());
    let out = &mut io::stdout().lock();
    match arguments.command {
        Command::AgentGuard {
            parent,
            grace_ms,
            lock,
            agent,
        } => {
            let guard = Guard {
                parent,
                grace: Duration::from_millis(grace_ms),
                lock,
                command: agent,
            };
            return Ok(ExitCode::from(orchestrator::guard(guard).await?));
        }
        Command::Run { test_clock } => {
            let config = load()?;
            orchestrator::run(config, RunOptions { root, test_clock }).await?;
        }
        #[cfg(feature = "whatsapp")]
        Command::Auth(options) => commands::auth(&root, &load()?, options, out).await?,
        Command::Config => commands::config(&load()?, shown, out)?,
        Command::Doctor => {
            if !commands::doctor(&root, &environment(), shown, out).await? {
                return Ok(ExitCode::from(Exit::Fault as u8));
            }
        }
        Command::Status => commands::status(&root, &load()?, shown, out).await?,
        Command::Groups(command) => commands::groups(&root, &load()?, command, shown, out).await?,
        Command::Events(options) => commands::events(&root, options, shown, out).await?,
        Command::Send(options) => {
            let input = &mut io::stdin().lock();
            commands::send(&root, options, input, shown, out).await?;
        }
        Command::Tasks(command) => commands::tasks(&root, &load()?, command, shown, out).await?,
        Command::Sessions(command) => commands::sessions(&root, command, shown, out).await?,
        Command::Workspace(command) => {
            commands::workspace(&root, load()?, command, shown, out).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The environment, as text; a variable that is not text is none of ours.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(
            |(key, value)| match (key.into_string(), value.into_string()) {
                (Ok(key), Ok(value)) => Some((key, value)),
                (Ok(_) | Err(_), Ok(_) | Err(_)) => None,
            },
        )
        .collect()
}
