//! Every scenario file, as one test each; and every file that must be refused.
//!
//! Listing looks at file names only, and a test reads only its own file: nextest starts this
//! program once for each test.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use harness::{
    Binaries, GUARD, Keep, Listed, Means, Performance, ScenarioError, Snapshots, Verdict,
    become_guarded, chain, load, refused_in, scenarios_in, told,
};
use libtest_mimic::{Arguments, Failed, Trial};

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
    let twice = TWICE.iter().map(|name| twice(name));
    Ok(scenarios
        .chain(refused)
        .chain(failures)
        .chain(twice)
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
    let performance = Performance {
        trace_all: false,
        ..performance(workspace().join("target/harness"))?
    };
    let mut failed = String::new();
    for scenario in scenarios {
        let outcome = performance.play(&scenario)?;
        if !matches!(outcome.verdict, Verdict::Passed) {
            failed.push_str(&told(&outcome));
        }
    }
    Ok(Some(failed).filter(|failed| !failed.is_empty()))
}

/// Scenarios with much that is concurrent, and with a kill.
const TWICE: [&str; 3] = [
    "chat/a-busy-group-does-not-block-others",
    "sessions/resumed-after-a-kill",
    "scheduler/cron-over-summer-time",
];

/// Two runs of one scenario write the same journal, byte for byte, after redaction.
fn twice(name: &'static str) -> Trial {
    Trial::test(format!("twice::{}", name.replace('/', "::")), move || {
        let folder = tempfile::tempdir()?;
        let journal = |run: &str| -> Result<String, Failed> {
            let performance = performance(folder.path().join(run))?;
            let mut journal = String::new();
            for scenario in load(&self::folder().join(format!("{name}.yaml")))? {
                performance.play(&scenario)?;
                let traces = folder.path().join(run).join(scenario.name());
                journal.push_str(&std::fs::read_to_string(traces.join("canonical.jsonl"))?);
            }
            Ok(journal)
        };
        let (first, second) = (journal("first")?, journal("second")?);
        let differs = first
            .lines()
            .zip(second.lines())
            .find(|(one, other)| one != other);
        match differs {
            None if first == second => Ok(()),
            None => Err("one journal is longer than the other".into()),
            Some((one, other)) => Err(format!("first:  {one}\nsecond: {other}").into()),
        }
    })
}

fn performance(traces: PathBuf) -> Result<Performance, Failed> {
    Ok(Performance {
        means: Means {
            binaries: binaries()?,
            environment: environment(["PATH", "LANG"]),
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
fn binaries() -> Result<Binaries, Failed> {
    let given = environment(["NANOKIMI_BIN", "AGENT_RUNNER_BIN"]);
    let path = |index: usize| given.get(index).map(|(_, path)| Path::new(path));
    let found = match path(0) {
        Some(nanokimi) => Binaries::given(nanokimi, path(1)),
        None => Binaries::build(&workspace(), !cfg!(debug_assertions)),
    };
    found.map_err(|error| Failed::from(chain(&error)))
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
