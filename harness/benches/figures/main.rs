//! What the harness and nanokimi cost, each figure beside a floor measured in the same run.
//!
//! `cargo bench -p harness`: figures for people, from release builds. Nothing fails here when
//! it is slow; it does when a scenario that is measured does not pass.

mod alone;
#[path = "../../tests/crowd/mod.rs"]
mod crowd;
mod samples;
mod stories;
mod suites;
mod table;
mod wire;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use harness::{Binaries, hidden_mode};

use samples::Samples;
use stories::Stories;
use suites::Suites;
use table::Row;

/// How often a short thing is measured.
const TIMES: usize = 20;

fn main() -> ExitCode {
    match hidden_mode(std::env::args_os().skip(1)) {
        Some(Ok(())) => return ExitCode::SUCCESS,
        Some(Err(error)) => return told(&error),
        None => {}
    }
    let mut arguments = std::env::args_os().skip(1);
    let outcome = if arguments.any(|argument| argument == alone::EMPTY_PROGRAM) {
        alone::be_empty()
    } else if std::env::args_os().any(|argument| argument == "--bench") {
        figures()
    } else {
        // `cargo test --all-targets` starts benchmarks too, without `--bench`.
        Ok(())
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => told(&error),
    }
}

fn told(error: &io::Error) -> ExitCode {
    // Without a stderr the exit code has to do.
    let (Ok(()) | Err(_)) = writeln!(io::stderr(), "error: {error}");
    ExitCode::FAILURE
}

fn figures() -> io::Result<()> {
    let binaries = Binaries::build(&workspace(), true).map_err(io::Error::other)?;
    // All that nanokimi sees of our environment.
    let environment = ["PATH", "LANG"].into_iter().filter_map(|name| {
        let value = std::env::var_os(name)?;
        Some((name.to_owned(), value.to_string_lossy().into_owned()))
    });
    let stories = Stories::write(&binaries, environment.collect())?;
    table::heading()?;
    scenarios(&stories, &binaries)?;
    replies(&stories)?;
    on_whatsapp(&stories)?;
    memory(&binaries)?;
    suites(&Suites::new(&binaries)?)?;
    writeln!(io::stdout())?;
    mock_llm()
}

/// From nothing to nothing, through a whole scenario.
fn scenarios(stories: &Stories, binaries: &Binaries) -> io::Result<()> {
    let started = || alone::start(binaries).map(|(took, _nanokimi)| took);
    let (asked, ready) = Samples::in_turn(TIMES, || stories.play(&stories.one_message()), started)?;
    Row {
        figure: "scenario with one message, boot to torn down",
        ours: asked,
        beside: "nanokimi alone, until it is ready",
        floor: ready,
    }
    .write()?;
    let ended = || alone::start_and_end(binaries);
    let (silent, ended) = Samples::in_turn(TIMES, || stories.play(&stories.no_message()), ended)?;
    Row {
        figure: "scenario without a message, boot to torn down",
        ours: silent,
        beside: "nanokimi alone, until it has ended",
        floor: ended,
    }
    .write()
}

/// From a message to its answer, when the group has spoken before.
fn replies(stories: &Stories) -> io::Result<()> {
    let replies = stories.replies()?;
    let floor = (0..TIMES).map(|_| alone::two_processes());
    Row {
        figure: "message to reply, model without latency",
        ours: Samples::times(replies),
        beside: "two processes that do nothing, in turn",
        floor: Samples::times(floor.collect::<io::Result<Vec<_>>>()?),
    }
    .write()
}

/// The same over the wire of WhatsApp, with a device that was linked before.
fn on_whatsapp(stories: &Stories) -> io::Result<()> {
    let (connected, ready) = wire::connected(stories, TIMES)?;
    Row {
        figure: "boot with a linked device, until connected",
        ours: connected,
        beside: "the same, until it is ready",
        floor: ready,
    }
    .write()?;
    Row {
        figure: "message to reply over WhatsApp's wire",
        ours: wire::replies(stories)?,
        beside: "message to reply over HTTP",
        floor: Samples::times(stories.replies()?),
    }
    .write()?;
    let (most, quarter) = wire::crowd(stories)?;
    Row {
        figure: "100 groups × 20 messages: memory at its most",
        ours: most,
        beside: "after a quarter of the time",
        floor: quarter,
    }
    .write()
}

fn memory(binaries: &Binaries) -> io::Result<()> {
    let (_took, nanokimi) = alone::start(binaries)?;
    let ours = Samples::memory(nanokimi.resident()?);
    let floor = Samples::memory(alone::empty_program()?.resident()?);
    Row {
        figure: "memory of an idle nanokimi (RSS)",
        ours,
        beside: "a tokio program that does nothing",
        floor,
    }
    .write()
}

fn suites(suites: &Suites) -> io::Result<()> {
    let (lint, list) = Samples::in_turn(TIMES, || suites.lint(), || suites.list())?;
    Row {
        figure: "`harness lint` of 100 files",
        ours: lint,
        beside: "`harness list` of the same",
        floor: list,
    }
    .write()?;
    if !suites::has_nextest()? {
        let way_out = "ci/test installs it into target/tools/bin; put that into PATH";
        return writeln!(io::stdout(), "cargo-nextest is missing: {way_out}");
    }
    let floor = suites.nothing()?;
    let rows = [
        ("200 scenarios under nextest", suites.under_nextest()?),
        ("200 scenarios by `harness run`", suites.by_run()?),
    ];
    for (figure, took) in rows {
        Row {
            figure,
            ours: Samples::times(vec![took]),
            beside: "200 tests that do nothing under nextest",
            floor: Samples::times(vec![floor]),
        }
        .write()?;
    }
    Ok(())
}

/// The mock LLM has a benchmark of its own, with a bare axum handler as its floor.
fn mock_llm() -> io::Result<()> {
    let bench = [
        "bench",
        "--quiet",
        "-p",
        "mock-server",
        "--bench",
        "scripted_llm",
    ];
    let mut cargo = Command::new("cargo");
    succeed(cargo.args(bench).current_dir(workspace()))
}

fn succeed(command: &mut Command) -> io::Result<()> {
    let status = command.status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{command:?} failed: {status}")))
}

fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package
        .parent()
        .map_or_else(|| package.to_owned(), Path::to_owned)
}
