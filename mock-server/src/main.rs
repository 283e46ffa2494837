//! The mock server alone: stands in for the real services while somebody develops.
//!
//! Prints its URL, serves until it is told to stop, and then says what went unsaid and
//! what it had not expected. `record` makes scripts from a real service, and `check-drift`
//! says where that service answers otherwise than the mock.

use std::error::Error;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use mock_server::{
    Advertised, DriftError, MockOptions, MockServer, RecordError, RecordOptions, Recorded,
    Recorder, Refused, ScriptError, ScriptFileError, StartError, TapeError, Upstream, check_drift,
    read_scripts,
};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// Stand-ins for the services that the orchestrator and its agents talk to.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serving,
}

#[derive(Debug, Subcommand)]
enum Command {
    Record(Recording),
    CheckDrift(Checking),
}

#[derive(Debug, Args)]
struct Serving {
    /// The port to serve on; 0 takes any free one.
    #[arg(long, default_value_t = 9100)]
    port: u16,
    /// The address to serve on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Both in one, e.g. 0.0.0.0:9100.
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with_all = ["host", "port"])]
    listen: Option<SocketAddr>,
    /// How others know this server, e.g. http://mock:9100; told to clients, and written into
    /// the certificate of WhatsApp's media host.
    #[arg(long, value_name = "URL")]
    advertise: Option<Advertised>,
    /// Speak HTTPS as well, on this address, e.g. 127.0.0.1:9143. What clients must trust for that
    /// is at `/_mock/authority.pem`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    https: Option<SocketAddr>,
    /// Time stands still at this instant, until it is moved with `POST /_mock/clock`.
    #[arg(long, value_name = "INSTANT")]
    clock: Option<Timestamp>,
    /// Do without WhatsApp.
    #[cfg(feature = "whatsapp")]
    #[arg(long)]
    no_whatsapp: bool,
    /// A file of scripted turns, or a folder of them; may be given several times.
    #[arg(long, value_name = "FILE OR FOLDER")]
    scripts: Vec<PathBuf>,
    /// Makes the ids of the model's answers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Passes requests on to a service, and writes what its model says as a script.
///
/// Ends when it is told to: 0 if all is recorded, 1 if something is not, 2 if the arguments
/// are wrong, 3 if the machine was in the way.
#[derive(Debug, Args)]
struct Recording {
    /// The service, e.g. https://openrouter.ai/api; what is asked for here is asked below it.
    #[arg(long, value_name = "URL")]
    upstream: Upstream,
    /// The script to write. It must not exist yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The port to listen on; 0 takes any free one.
    #[arg(long, default_value_t = 9101)]
    port: u16,
    /// The address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Keep how long each stream took to its first token, and from one to the next.
    #[arg(long)]
    timings: bool,
    /// Keep the exchanges themselves in FILE.exchanges.jsonl, for `check-drift`.
    #[arg(long)]
    exchanges: bool,
}

/// Asks a mock what was asked of a service, and says where their answers differ in structure.
///
/// Ends with 0 if they do not, 1 if they do, 2 if a file or an argument is wrong, 3 if the
/// machine was in the way.
#[derive(Debug, Args)]
struct Checking {
    /// What `record --exchanges` has written.
    exchanges: PathBuf,
    /// The scripts of the mock; may be given several times.
    #[arg(long, value_name = "FILE OR FOLDER", required = true)]
    scripts: Vec<PathBuf>,
}

/// Why the program could not do its work.
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
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Drift(#[from] DriftError),
}

/// 0: it served. 1: the machine was in the way; for `record` and `check-drift`, where 1 is a
/// finding, that is 3. 2: arguments or a script are wrong. 101: a mock panicked, which is told
/// when the server ends.
impl From<&Failure> for ExitCode {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Start(_) | Failure::Io(_) => Self::from(1),
            Failure::Script(_)
            | Failure::Unfit { .. }
            | Failure::Record(RecordError::Tape(TapeError::Exists(_))) => Self::from(2),
            Failure::Drift(fault) if fault.is_of_a_file() => Self::from(2),
            Failure::Record(_) | Failure::Drift(_) => Self::from(3),
        }
    }
}

fn main() -> ExitCode {
    let Arguments { command, serve } = Arguments::parse();
    let work = async {
        match &command {
            None => serve_alone(&serve).await,
            Some(Command::Record(recording)) => record(recording).await,
            Some(Command::CheckDrift(checking)) => check(checking).await,
        }
    };
    let ended = runtime()
        .map_err(Failure::Io)
        .and_then(|runtime| runtime.block_on(work));
    ended.unwrap_or_else(|failure| {
        // With stderr gone the exit code still tells.
        drop(complain(&failure));
        ExitCode::from(&failure)
    })
}

/// A thread for each core. For a single one it is this thread: others would only wait for it.
fn runtime() -> io::Result<Runtime> {
    let mut threads = match available_parallelism()?.get() {
        1 => Builder::new_current_thread(),
        _several => Builder::new_multi_thread(),
    };
    threads.enable_all().build()
}

async fn record(recording: &Recording) -> Result<ExitCode, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let options = RecordOptions {
        address: (recording.host, recording.port).into(),
        upstream: recording.upstream.clone(),
        out: recording.out.clone(),
        timings: recording.timings,
        exchanges: recording.exchanges,
    };
    // With stderr gone the summary and the exit code still tell.
    let tell = |refused: &Refused| drop(complain(refused));
    let recorder = Recorder::start(options, tell).await?;
    say(&format!("recorder on {}", recorder.url()))?;
    let stop = async {
        tokio::select! {
            _stopped = tokio::signal::ctrl_c() => {}
            _stopped = terminate.recv() => {}
        }
    };
    let Recorded { turns, refused } = recorder.until(stop).await?;
    let count = refused.len();
    say(&format!(
        "turns recorded: {turns}, exchanges not recorded: {count}"
    ))?;
    Ok(ExitCode::from(u8::from(count > 0)))
}

async fn check(checking: &Checking) -> Result<ExitCode, Failure> {
    let mut scripts = Vec::new();
    for path in &checking.scripts {
        scripts.extend(read_scripts(path)?);
    }
    let drifts = check_drift(&checking.exchanges, scripts).await?;
    for drift in &drifts {
        say(&drift.to_string())?;
    }
    Ok(ExitCode::from(u8::from(!drifts.is_empty())))
}

async fn serve_alone(arguments: &Serving) -> Result<ExitCode, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let apart = SocketAddr::from((arguments.host, arguments.port));
    let server = MockServer::start(MockOptions {
        address: arguments.listen.unwrap_or(apart),
        advertise: arguments.advertise.clone(),
        https: arguments.https,
        seed: arguments.seed,
        #[cfg(feature = "whatsapp")]
        whatsapp: !arguments.no_whatsapp,
    })
    .await?;
    // Before the scripts: tokens that they hand out are valid from then on.
    if let Some(now) = arguments.clock {
        server.journal().clock_moved(now);
    }
    let loaded = load(&server, arguments);
    if loaded.is_ok() {
        say(&format!("mock-server on {}", server.url()))?;
        if let Some(url) = server.https_url() {
            say(&format!("HTTPS on {url}"))?;
        }
        #[cfg(feature = "whatsapp")]
        if !arguments.no_whatsapp {
            say(&format!("WhatsApp on {}", server.whatsapp().socket_url()))?;
        }
        tokio::select! {
            stopped = tokio::signal::ctrl_c() => stopped?,
            _stopped = terminate.recv() => {}
        }
        say(&summary(&server))?;
    }
    server.join().await?;
    loaded.map(|()| ExitCode::SUCCESS)
}

fn load(server: &MockServer, arguments: &Serving) -> Result<(), Failure> {
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
    let unfired = server.llm().unfired();
    let unexpected = server.unexpected();
    let absent = match unfired.len() {
        0 => String::new(),
        count => format!(", {count} faults that did not come"),
    };
    let mut lines = vec![format!(
        "{} unexpected, {} unsaid{absent}",
        unexpected.len(),
        unsaid.len()
    )];
    lines.extend(unexpected.into_iter().map(|request| request.report));
    lines.extend(unsaid.iter().map(ToString::to_string));
    lines.extend(unfired.iter().map(ToString::to_string));
    lines.join("\n")
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

fn complain(failure: &dyn Error) -> io::Result<()> {
    let mut out = io::stderr().lock();
    writeln!(out, "mock-server: {failure}")?;
    let mut cause = failure.source();
    while let Some(fault) = cause {
        writeln!(out, "  because: {fault}")?;
        cause = fault.source();
    }
    Ok(())
}
