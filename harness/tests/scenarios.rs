//! Every scenario file, as one test each; and every file that must be refused.
//!
//! Listing looks at file names only, and a test reads only its own file: nextest starts this
//! program once for each test.

mod alike;
mod crowd;
mod limits;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use harness::{
    Binaries, BinariesError, GUARD, Keep, Listed, Means, Outcome, Performance, Scenario,
    ScenarioError, Snapshots, Verdict, become_guarded, chain, load, manifest_of, paired_manifest,
    parse, refused_in, scenarios_in, told,
};
use libtest_mimic::{Arguments, Failed, Trial};

use crowd::{Crowd, Memory};
use limits::Patience;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.next_if(|first| first == GUARD).is_some() {
        let error = become_guarded(arguments);
        let (Ok(()) | Err(_)) = writeln!(std::io::stderr(), "the guard failed: {error}");
        return ExitCode::from(3);
    }
    let arguments = Arguments::from_args();
    match trials(&arguments) {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            let (Ok(()) | Err(_)) = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(3)
        }
    }
}

fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package
        .parent()
        .map_or_else(|| package.to_owned(), Path::to_owned)
}

/// Ours, or those of the benchmark.
fn folder() -> PathBuf {
    std::env::var_os("HARNESS_SCENARIOS")
        .map_or_else(|| workspace().join("scenarios"), PathBuf::from)
}

fn trials(arguments: &Arguments) -> std::io::Result<Vec<Trial>> {
    let only = arguments.filter.as_ref().filter(|_| arguments.exact);
    if let Some(name) = only
        && let Some(trial) = one(name)
    {
        return Ok(vec![trial]);
    }
    let scenarios = scenarios_in(&folder())?.into_iter().map(trial);
    let refused = refused_in(&folder())?.into_iter().map(refusal);
    let failures = scenarios_in(&failures())?.into_iter().map(failure);
    let twice = alike::TWICE.iter().map(|name| twice(name));
    let apart = alike::APART.iter().map(|name| apart(name));
    let own = [fixture(), crowd(), patience(), lost()];
    Ok(scenarios
        .chain(refused)
        .chain(failures)
        .chain(twice)
        .chain(apart)
        .chain(own)
        .collect())
}

/// The one test that is asked for, without a look at the others.
fn one(name: &str) -> Option<Trial> {
    let name = name.replace("::", "/");
    let (folder, name, kind): (PathBuf, &str, fn(Listed) -> Trial) = match name.split_once('/') {
        Some(("failures", name)) => (failures(), name, failure),
        Some(("refused", _)) => (folder(), &name, refusal),
        Some(_) | None => (folder(), &name, trial),
    };
    let path = folder.join(format!("{name}.yaml"));
    let name = name.to_owned();
    path.is_file().then(|| kind(Listed { name, path }))
}

fn trial(listed: Listed) -> Trial {
    let name = listed.name.replace('/', "::");
    Trial::test(name, move || play(&listed))
}

fn play(listed: &Listed) -> Result<(), Failed> {
    match story_of(listed)? {
        None => Ok(()),
        Some(story) => Err(story.into()),
    }
}

/// Plays all rows of a file and tells all that fail; `None` if none does.
fn story_of(listed: &Listed) -> Result<Option<String>, Failed> {
    let scenarios = match load(&listed.path) {
        Ok(scenarios) => scenarios,
        Err(error) => return Ok(Some(told_error(&error))),
    };
    let pairs = scenarios.iter().any(Scenario::needs_pairing);
    let mut performance = Performance {
        trace_all: false,
        ..performance(workspace().join("target/harness"), pairs)?
    };
    if scenarios.iter().any(Scenario::needs_kimi) {
        match with_kimi(performance.means.binaries.clone()) {
            Ok(binaries) => performance.means.binaries = binaries,
            Err(BinariesError::Kimi(why)) if std::env::var_os("CI").is_none() => {
                writeln!(std::io::stderr(), "skipped: the Kimi CLI is missing: {why}")?;
                return Ok(None);
            }
            Err(error) => return Err(Failed::from(chain(&error))),
        }
    }
    let mut failed = String::new();
    let began = Instant::now();
    for scenario in scenarios {
        if began.elapsed() > limits::ROWS {
            writeln!(
                failed,
                "{} was not played: those before took too long",
                scenario.name()
            )?;
            continue;
        }
        if let Err(story) = passed(performance.play(&scenario)?) {
            failed.push_str(&story);
        }
    }
    Ok(Some(failed).filter(|failed| !failed.is_empty()))
}

/// The story, if it is one of a failure.
fn passed(outcome: Outcome) -> Result<Outcome, String> {
    match outcome.verdict {
        Verdict::Passed => Ok(outcome),
        Verdict::Failed(_) | Verdict::Broke(_) => Err(told(&outcome)),
    }
}

/// Two runs of one scenario write the same journal.
fn twice(name: &'static str) -> Trial {
    Trial::test(format!("twice::{}", name.replace('/', "::")), move || {
        let traces = tempfile::tempdir()?;
        let played = |run: &str| performance(traces.path().join(run), false);
        let path = folder().join(format!("{name}.yaml"));
        alike::compare(&path, &played("first")?, &played("second")?)
    })
}

/// With the mocks in a process of their own a scenario goes as it does with the mocks in ours.
fn apart(name: &'static str) -> Trial {
    Trial::test(format!("apart::{}", name.replace('/', "::")), move || {
        let traces = tempfile::tempdir()?;
        let here = performance(traces.path().join("here"), false)?;
        let mut apart = performance(traces.path().join("apart"), false)?;
        apart.means.binaries = with_mock_server(apart.means.binaries)?;
        alike::compare(&folder().join(format!("{name}.yaml")), &here, &apart)
    })
}

fn lost() -> Trial {
    Trial::test("apart::a-mock-server-that-dies-is-told", || {
        let folder = tempfile::tempdir()?;
        let mut apart = performance(folder.path().join("traces"), false)?;
        apart.means.binaries = with_mock_server(apart.means.binaries)?;
        alike::lose(apart, &folder.path().join("doomed"))
    })
}

/// A device that was linked before is let in by the server it knows, without being asked for its
/// certificates again.
const LINKED: &str = "\
story: A device that was linked before connects.
chats: { ada: { direct: ada } }
steps:
  - expect: { event: whatsapp.connected, where: { pattern: IK } }
  - expect: { event: channel.state, where: { state: connected } }
";

/// The fixture of a linked device is of the crates that are built now, and nanokimi, which brings
/// old stores up to date, leaves its tables as they are.
fn fixture() -> Trial {
    Trial::test("fixtures::paired", || {
        let folder = tempfile::tempdir()?;
        let performance = Performance {
            keep: Keep::All,
            ..performance(folder.path().to_owned(), false)?
        };
        let lock = workspace().join("Cargo.lock");
        for scenario in parse(Path::new("tests/linked.yaml"), LINKED)? {
            let outcome = passed(performance.play(&scenario)?)?;
            let root = outcome.folder().ok_or("nanokimi's folder was not kept")?;
            let now = manifest_of(root, &lock)?;
            std::fs::remove_dir_all(root.parent().unwrap_or(root))?;
            let made = paired_manifest(&workspace().join("fixtures"))?;
            if made != now {
                return Err(
                    "the fixture is out of date: run `cargo harness fixture whatsapp`".into(),
                );
            }
        }
        Ok(())
    })
}

/// nextest lets every scenario come to its own end, however bad.
fn patience() -> Trial {
    Trial::test("limits::nextest-waits-longer-than-the-harness", || {
        let patience = Patience::read(&workspace())?;
        limits::check(&patience, &scenarios_in(&folder())?)?;
        let crowd = parse(Path::new("tests/crowd.yaml"), &CROWD.story()?)?;
        patience.suffices(OVER_ONE_SOCKET, limits::longest(&crowd))
    })
}

const OVER_ONE_SOCKET: &str = "crowd::over-one-socket";
const CROWD: Crowd = Crowd {
    groups: 100,
    rounds: 4,
    messages: 5,
};

/// Over one socket nothing is lost, nothing comes twice, each group keeps its order, and what has
/// been answered takes no memory any more.
fn crowd() -> Trial {
    Trial::test(OVER_ONE_SOCKET, || {
        let folder = tempfile::tempdir()?;
        let performance = performance(folder.path().to_owned(), false)?;
        for scenario in parse(Path::new("tests/crowd.yaml"), &CROWD.story()?)? {
            let (outcome, memory) = Memory::watched(|| performance.play(&scenario));
            passed(outcome?)?;
            let memory = memory.ok_or("nanokimi was not seen in /proc")?;
            if memory.most > memory.quarter / 100 * 125 {
                return Err(format!("its memory does not stay as it is: {memory:?}").into());
            }
            let traces = folder.path().join(scenario.name());
            CROWD.judge(&std::fs::read_to_string(traces.join("journal.jsonl"))?)?;
        }
        Ok(())
    })
}

fn performance(traces: PathBuf, pairs: bool) -> Result<Performance, Failed> {
    Ok(Performance {
        means: Means {
            binaries: binaries(pairs)?,
            environment: environment(["PATH", "LANG"]),
            fixtures: workspace().join("fixtures"),
        },
        traces,
        trace_all: true,
        keep: Keep::None,
        snapshots: snapshots(),
        seed: 0,
    })
}

fn failures() -> PathBuf {
    workspace().join("harness/tests/failures")
}

/// A scenario that must fail, and what its author is told.
fn failure(listed: Listed) -> Trial {
    const PAGE: usize = 25;
    let name = format!("failures::{}", listed.name);
    Trial::test(name, move || {
        let Some(story) = story_of(&listed)? else {
            return Err("this scenario must fail, but it passed".into());
        };
        if story.lines().count() > PAGE {
            return Err(format!("the message has more than {PAGE} lines:\n{story}").into());
        }
        let mut settings = snapshot_settings(&failures());
        // What differs from run to run, and whether an event or the model's note came first.
        settings.add_filter(r"[0-9]+ ms", "[n] ms");
        settings.add_filter(r"looked [0-9]+ times", "looked [n] times");
        settings.add_filter(r"(?m)^  \+[0-9.]+s #[0-9]+ .*\n", "");
        settings.add_filter(r"#[0-9]+", "#[n]");
        settings.add_filter(r"/[^ ]*/harness-[0-9A-Za-z]+/root", "[root]");
        settings.add_filter(r"trace: .*/target/", "trace: target/");
        settings.add_filter(r"process [0-9]+", "process [pid]");
        settings.bind(|| insta::assert_snapshot!(stem(&listed), story));
        Ok(())
    })
}

fn snapshot_settings(folder: &Path) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

fn stem(listed: &Listed) -> String {
    let stem = listed.path.file_stem();
    stem.map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

/// Built by the set-up script of nextest, or here and now.
fn binaries(pairs: bool) -> Result<Binaries, Failed> {
    let names = ["NANOKIMI_BIN", "AGENT_RUNNER_BIN", "NANOKIMI_PAIRING_BIN"];
    let given = environment(names).into_iter().collect::<BTreeMap<_, _>>();
    let path = |name: &str| given.get(name).map(Path::new);
    let found = match path(names[0]) {
        Some(nanokimi) => Binaries::given(nanokimi, path(names[1])),
        None => Binaries::build(&workspace(), !cfg!(debug_assertions)),
    };
    let found = match pairs {
        true => found.and_then(|found| found.with_pairing(path(names[2]), &workspace())),
        false => found,
    };
    found.map_err(|error| Failed::from(chain(&error)))
}

/// Built by the set-up script of nextest, or here and now.
fn with_mock_server(binaries: Binaries) -> Result<Binaries, Failed> {
    let given = environment(["MOCK_SERVER_BIN"]).into_iter().next();
    let given = given.as_ref().map(|(_, path)| Path::new(path));
    let found = binaries.with_mock_server(given, &workspace());
    found.map_err(|error| Failed::from(chain(&error)))
}

/// Brought by the set-up script of nextest, or here and now.
fn with_kimi(binaries: Binaries) -> Result<Binaries, BinariesError> {
    let given = environment(["KIMI_CLI"]).into_iter().next();
    let given = given.as_ref().map(|(_, path)| Path::new(path));
    binaries.with_kimi(given, &workspace())
}

fn environment<const N: usize>(names: [&str; N]) -> Vec<(String, String)> {
    names
        .into_iter()
        .filter_map(|name| {
            let value = std::env::var_os(name)?;
            Some((name.to_owned(), value.to_string_lossy().into_owned()))
        })
        .collect()
}

/// As `insta` would.
fn snapshots() -> Snapshots {
    let given: BTreeMap<_, _> = environment(["INSTA_UPDATE", "CI"]).into_iter().collect();
    match given.get("INSTA_UPDATE").map(String::as_str) {
        Some("always") => Snapshots::Take,
        Some("no") => Snapshots::Compare,
        Some("new") => Snapshots::Propose,
        Some(_) | None if given.contains_key("CI") => Snapshots::Compare,
        Some(_) | None => Snapshots::Propose,
    }
}

/// A file that must not parse, and the message its author gets.
fn refusal(listed: Listed) -> Trial {
    let name = listed.name.replace('/', "::");
    Trial::test(name, move || {
        let Err(error) = load(&listed.path) else {
            return Err("this file must be refused, but it was read".into());
        };
        let settings = snapshot_settings(&folder().join("refused"));
        settings.bind(|| insta::assert_snapshot!(stem(&listed), told_error(&error)));
        Ok(())
    })
}

fn told_error(error: &ScenarioError) -> String {
    match error {
        ScenarioError::Mistakes(mistakes) => mistakes.to_string(),
        ScenarioError::Unreadable(_) => chain(error),
    }
}
