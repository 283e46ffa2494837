//! The command line: `harness run | list | lint | schema | fixture`.
//!
//! Exit codes: 0 all passed · 1 a scenario failed · 2 a scenario or the arguments are
//! wrong · 3 the harness or a mock broke. The environment is read here and nowhere else.

mod commands;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use harness::{Form, Images, Snapshots};

use commands::{CommandError, Exit, ListOptions, Programs, RunOptions, Shuffle};

/// Plays scenarios against nanokimi.
#[derive(Debug, Parser)]
#[command(name = "harness", version)]
struct Arguments {
    /// The folder with the scenarios.
    #[arg(
        long,
        global = true,
        default_value = "scenarios",
        value_name = "FOLDER"
    )]
    scenarios: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play scenarios and say how each went.
    Run(Box<Run>),
    /// List the scenarios.
    List {
        /// Files, folders or parts of names; all if there are none.
        which: Vec<String>,
        /// With story, tags and rows, as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check scenario files without playing them.
    Lint {
        /// Files, folders or parts of names; all if there are none.
        which: Vec<String>,
    },
    /// Print the JSON Schema of scenario files.
    Schema,
    /// Make a fixture anew.
    #[command(subcommand)]
    Fixture(Fixture),
}

#[derive(Debug, clap::Args)]
struct Run {
    /// Files, folders or parts of names; all if there are none.
    which: Vec<String>,
    /// Only scenarios with this tag.
    #[arg(long)]
    tag: Option<String>,
    /// Where nanokimi, its agents and the mocks run: `process`; `hybrid`, with agents in
    /// containers; or `docker`, with all in containers. Several, with commas between them, are
    /// played one after the other, and their times told side by side.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "process",
        value_name = "FORM"
    )]
    stage: Vec<Form>,
    /// How many play at the same time; as many as there are processors if not given. With more,
    /// each is given so many times longer before it is said to be late.
    #[arg(long, short)]
    jobs: Option<std::num::NonZeroUsize>,
    /// Play everything so many times, and say at the end what did not pass each time.
    #[arg(long, default_value = "1", value_name = "COUNT")]
    times: std::num::NonZeroUsize,
    /// Play in another order each time; which ones is told, and SEED makes them again.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "drawn", value_name = "SEED")]
    shuffle: Option<Shuffle>,
    /// Keep nanokimi's folder also of scenarios that passed.
    #[arg(long)]
    keep: bool,
    /// Take snapshots that are new or different, as with `INSTA_UPDATE=always`.
    #[arg(long)]
    update: bool,
    /// What the mocks make ids of.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where traces are written.
    #[arg(long, default_value = "target/harness", value_name = "FOLDER")]
    traces: PathBuf,
    /// The program under test; built with cargo if not given.
    #[arg(long, env = "NANOKIMI_BIN", value_name = "FILE")]
    nanokimi: Option<PathBuf>,
    /// The agent runner; beside nanokimi if not given.
    #[arg(long, env = "AGENT_RUNNER_BIN", value_name = "FILE")]
    agent_runner: Option<PathBuf>,
    /// The build of nanokimi for a first pairing; built with cargo if not given.
    #[arg(long, env = "NANOKIMI_PAIRING_BIN", value_name = "FILE")]
    pairing: Option<PathBuf>,
    /// The Kimi CLI; installed by `ci/kimi-cli` if not given.
    #[arg(long, env = "KIMI_CLI", value_name = "FILE")]
    kimi: Option<PathBuf>,
    /// Where the container engine answers; its usual socket if not given. Images are those that
    /// AGENT_IMAGE, NANOKIMI_IMAGE, MOCK_IMAGE … name; built if none does.
    #[arg(long, env = "DOCKER_HOST", value_name = "URL")]
    engine: Option<String>,
    /// Build with optimisation.
    #[arg(long)]
    release: bool,
}

#[derive(Debug, Subcommand)]
enum Fixture {
    /// A device linked with WhatsApp: nanokimi's store, and the mock's side of it.
    Whatsapp {
        /// The build of nanokimi for a first pairing; built with cargo if not given.
        #[arg(long, env = "NANOKIMI_PAIRING_BIN", value_name = "FILE")]
        pairing: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    match harness::hidden_mode(std::env::args_os().skip(1)) {
        Some(Ok(())) => return Exit::Passed.into(),
        Some(Err(error)) => return told(&harness::chain(&error), Exit::Broke),
        None => {}
    }
    match obey(Arguments::parse()) {
        Ok(exit) => exit.into(),
        Err(error) => told(&harness::chain(&error), error.exit()),
    }
}

fn obey(arguments: Arguments) -> Result<Exit, CommandError> {
    let mut out = std::io::stdout().lock();
    let folder = arguments.scenarios;
    match arguments.command {
        Command::Run(run) => {
            let run = *run;
            // The lock would keep other threads from writing their reports.
            drop(out);
            let insta_update = std::env::var_os("INSTA_UPDATE");
            let is_ci = std::env::var_os("CI").is_some();
            let options = RunOptions {
                folder,
                which: run.which,
                tag: run.tag,
                stages: run.stage,
                jobs: run.jobs,
                times: run.times,
                shuffle: run.shuffle,
                keep: run.keep,
                snapshots: Snapshots::wanted(run.update, insta_update.as_deref(), is_ci),
                seed: run.seed,
                traces: run.traces,
                programs: Programs {
                    nanokimi: run.nanokimi,
                    agent_runner: run.agent_runner,
                    pairing: run.pairing,
                    kimi: run.kimi,
                    images: Images::given(variables(Images::variables())),
                    engine: run.engine,
                    all: is_ci,
                    release: run.release,
                    environment: variables(["PATH", "LANG"]),
                },
            };
            commands::run(&options)
        }
        Command::List { which, json } => commands::list(
            &ListOptions {
                folder,
                which,
                json,
            },
            &mut out,
        ),
        Command::Lint { which } => commands::lint(&folder, &which, &mut out),
        Command::Fixture(Fixture::Whatsapp { pairing }) => {
            let environment = variables(["PATH", "LANG"]);
            commands::make_paired(pairing.as_deref(), environment, &mut out)
        }
        Command::Schema => {
            out.write_all(harness::schema().as_bytes())?;
            Ok(Exit::Passed)
        }
    }
}

/// Those of our environment that are there.
fn variables<const N: usize>(names: [&str; N]) -> Vec<(String, String)> {
    names
        .into_iter()
        .filter_map(|name| {
            let value = std::env::var_os(name)?;
            Some((name.to_owned(), value.to_string_lossy().into_owned()))
        })
        .collect()
}

fn told(error: &str, exit: Exit) -> ExitCode {
    // Without a stderr the exit code has to do.
    let (Ok(()) | Err(_)) = writeln!(std::io::stderr(), "error: {error}");
    exit.into()
}
