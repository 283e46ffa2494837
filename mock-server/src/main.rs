//! The mock server alone: stands in for the real services while somebody develops.
//!
//! Prints its URL, serves until it is told to stop, and then says what went unsaid and
//! what it had not expected.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use mock_server::{
    MockOptions, MockServer, ScriptError, ScriptFileError, StartError, read_scripts,
};
use tokio::signal::unix::{SignalKind, signal};

/// Stand-ins for the services that the orchestrator and its agents talk to.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The port to serve on; 0 takes any free one.
    #[arg(long, default_value_t = 9100)]
    port: u16,
    /// The address to serve on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// A file of scripted turns, or a folder of them; may be given several times.
    #[arg(long, value_name = "FILE OR FOLDER")]
    scripts: Vec<PathBuf>,
    /// Makes the ids of the model's answers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Why the server could not do its work.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Script(#[from] ScriptFileError),
    #[error("{}: {fault}", path.display())]
    Unfit { path: PathBuf, fault: ScriptError },
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot go on")]
    Io(#[from] io::Error),
}

/// 0: it served. 1: the machine was in the way. 2: arguments or a script are wrong.
impl From<&Failure> for ExitCode {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Start(_) | Failure::Io(_) => Self::from(1),
            Failure::Script(_) | Failure::Unfit { .. } => Self::from(2),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // With stderr gone the exit code still tells.
            drop(complain(&failure));
            ExitCode::from(&failure)
        }
    }
}

async fn serve(arguments: &Arguments) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let server = MockServer::start(MockOptions {
        address: (arguments.host, arguments.port).into(),
        seed: arguments.seed,
        #[cfg(feature = "whatsapp")]
        whatsapp: true,
    })
    .await?;
    let loaded = load(&server, arguments);
    if loaded.is_ok() {
        say(&format!("mock-server on {}", server.url()))?;
        #[cfg(feature = "whatsapp")]
        say(&format!("WhatsApp on {}", server.whatsapp().socket_url()))?;
        tokio::select! {
            stopped = tokio::signal::ctrl_c() => stopped?,
            _stopped = terminate.recv() => {}
        }
        say(&summary(&server))?;
    }
    server.join().await?;
    loaded
}

fn load(server: &MockServer, arguments: &Arguments) -> Result<(), Failure> {
    for path in &arguments.scripts {
        for script in read_scripts(path)? {
            server.llm().add(script).map_err(|fault| Failure::Unfit {
                path: path.clone(),
                fault,
            })?;
        }
    }
    Ok(())
}

fn summary(server: &MockServer) -> String {
    let unsaid = server.llm().unsaid();
    let unexpected = server.unexpected();
    let mut lines = vec![format!(
        "{} unexpected, {} unsaid",
        unexpected.len(),
        unsaid.len()
    )];
    lines.extend(unexpected.into_iter().map(|request| request.report));
    lines.extend(unsaid.iter().map(ToString::to_string));
    lines.join("\n")
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

fn complain(failure: &Failure) -> io::Result<()> {
    let mut out = io::stderr().lock();
    writeln!(out, "mock-server: {failure}")?;
    let mut cause = std::error::Error::source(failure);
    while let Some(fault) = cause {
        writeln!(out, "  because: {fault}")?;
        cause = fault.source();
    }
    Ok(())
}
