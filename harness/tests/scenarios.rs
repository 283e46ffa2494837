//! Every scenario file, as one test each; and every file that must be refused.
//!
//! Listing looks at file names only, and a test reads only its own file: nextest starts this
//! program once for each test.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use harness::{
    Binaries, GUARD, Keep, Listed, Means, Performance, ScenarioError, Verdict, become_guarded,
    load, refused_in, scenarios_in, told,
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
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn folder() -> PathBuf {
    workspace().join("scenarios")
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
    Ok(scenarios.chain(refused).collect())
}

/// The one test that is asked for, without a look at the others.
fn one(name: &str) -> Option<Trial> {
    let name = name.replace("::", "/");
    let path = folder().join(format!("{name}.yaml"));
    let listed = Listed { name, path };
    if !listed.path.is_file() {
        return None;
    }
    Some(if listed.name.starts_with("refused/") {
        refusal(listed)
    } else {
        trial(listed)
    })
}

fn trial(listed: Listed) -> Trial {
    let name = listed.name.replace('/', "::");
    Trial::test(name, move || play(&listed))
}

/// Plays all rows of a file; all that fail are told.
fn play(listed: &Listed) -> Result<(), Failed> {
    let scenarios = load(&listed.path).map_err(|error| Failed::from(told_error(&error)))?;
    let performance = Performance {
        means: Means {
            binaries: binaries()?,
            environment: environment(["PATH", "LANG"]),
        },
        traces: workspace().join("target/harness"),
        trace_all: false,
        keep: Keep::None,
    };
    let mut failed = String::new();
    for scenario in scenarios {
        let outcome = performance.play(&scenario)?;
        if !matches!(outcome.verdict, Verdict::Passed) {
            failed.push_str(&told(&outcome));
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(failed.into())
}

/// Built by the set-up script of nextest, or here and now.
fn binaries() -> Result<Binaries, Failed> {
    let given = environment(["NANOKIMI_BIN", "AGENT_RUNNER_BIN"]);
    let path = |index: usize| given.get(index).map(|(_, path)| Path::new(path));
    let found = match path(0) {
        Some(nanokimi) => Binaries::given(nanokimi, path(1)),
        None => Binaries::build(&workspace(), !cfg!(debug_assertions)),
    };
    found.map_err(|error| Failed::from(error.to_string()))
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

/// A file that must not parse, and the message its author gets.
fn refusal(listed: Listed) -> Trial {
    let name = listed.name.replace('/', "::");
    Trial::test(name, move || {
        let Err(error) = load(&listed.path) else {
            return Err("this file must be refused, but it was read".into());
        };
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(folder().join("refused"));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let stem = listed.path.file_stem().map_or("refused".into(), |stem| stem.to_string_lossy());
        settings.bind(|| insta::assert_snapshot!(stem.as_ref(), told_error(&error)));
        Ok(())
    })
}

fn told_error(error: &ScenarioError) -> String {
    match error {
        ScenarioError::Mistakes(mistakes) => mistakes.to_string(),
        ScenarioError::Unreadable(cause) => format!("{error}: {cause}"),
    }
}
