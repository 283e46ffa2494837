//! Every scenario file, as one test for each form of the stage that is had here; and every file
//! that must be refused.
//!
//! Listing looks at file names only, and a test reads only its own file: nextest starts this
//! program once for each test.

mod alike;
mod crowd;
mod limits;
mod means;
mod saboteurs;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use harness::{
    Form, Keep, Listed, Outcome, Performance, ScenarioError, Verdict, chain, hidden_mode, load,
    manifest_of, paired_manifest, parse, refused_in, scenarios_in, told,
};
use libtest_mimic::{Arguments, Failed, Trial};

use crowd::{Crowd, Memory};
use limits::Patience;
use means::{Missing, forms, performance, with_mock_server, workspace};

fn main() -> ExitCode {
    let other = saboteurs::disguised(std::env::args_os());
    match other.or_else(|| hidden_mode(std::env::args_os().skip(1))) {
        Some(Ok(())) => return ExitCode::SUCCESS,
        Some(Err(error)) => {
            let (Ok(()) | Err(_)) = writeln!(std::io::stderr(), "error: {error}");
            return ExitCode::from(3);
        }
        None => {}
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
    let listed = scenarios_in(&folder())?;
    let on = |form: Form| {
        let played = listed.clone().into_iter();
        played
            .filter(move |one| form != Form::Hybrid || in_hybrid(one))
            .map(move |one| trial(one, form))
    };
    let scenarios = forms().into_iter().flat_map(on);
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
        .chain(saboteurs::trials())
        .chain(own)
        .collect())
}

/// The folders whose stories hang on what an agent in a container does to a nanokimi that is a
/// process. In all others the form `hybrid` shows nothing that `docker` does not; `harness run
/// --stage hybrid` plays them.
fn in_hybrid(listed: &Listed) -> bool {
    const FOLDERS: [&str; 6] = [
        "bootstrap/",
        "containers/",
        "ipc/",
        "kimi/",
        "sessions/",
        "tools/",
    ];
    FOLDERS.iter().any(|folder| listed.name.starts_with(folder))
}

/// The one test that is asked for, without a look at the others.
fn one(name: &str) -> Option<Trial> {
    let (form, name) = on_form(name);
    let name = name.replace("::", "/");
    let (folder, name, kind): (PathBuf, &str, fn(Listed, Form) -> Trial) =
        match name.split_once('/') {
            Some(("failures", name)) => (failures(), name, |one, _| failure(one)),
            Some(("refused", _)) => (folder(), &name, |one, _| refusal(one)),
            Some(_) | None => (folder(), &name, trial),
        };
    let path = folder.join(format!("{name}.yaml"));
    let name = name.to_owned();
    path.is_file().then(|| kind(Listed { name, path }, form))
}

/// `docker::chat::hello` is the scenario `chat::hello` on another form of the stage.
fn on_form(name: &str) -> (Form, &str) {
    match name.split_once("::") {
        Some((form, rest)) => match form.parse() {
            Ok(form) => (form, rest),
            Err(_a_folder) => (Form::Process, name),
        },
        None => (Form::Process, name),
    }
}

fn trial(listed: Listed, form: Form) -> Trial {
    let name = listed.name.replace('/', "::");
    let name = match form {
        Form::Process => name,
        Form::Hybrid | Form::Docker => format!("{form}::{name}"),
    };
    Trial::test(name, move || match story_of(&listed, form)? {
        None => Ok(()),
        Some(story) => Err(story.into()),
    })
}

/// Plays all rows of a file and tells all that fail; `None` if none does.
fn story_of(listed: &Listed, form: Form) -> Result<Option<String>, Failed> {
    let scenarios = match load(&listed.path) {
        Ok(scenarios) => scenarios,
        Err(error) => return Ok(Some(told_error(&error))),
    };
    if !scenarios.iter().any(|scenario| scenario.plays_on(form)) {
        writeln!(std::io::stderr(), "skipped: not on this stage")?;
        return Ok(None);
    }
    let performance = match performance(workspace().join("target/harness"), &scenarios, form) {
        Ok(performance) => Performance {
            trace_all: false,
            ..performance
        },
        Err(Missing::Kimi(why)) => {
            writeln!(std::io::stderr(), "skipped: the Kimi CLI is missing: {why}")?;
            return Ok(None);
        }
        Err(missing) => return Err(missing.into()),
    };
    let mut failed = String::new();
    let began = Instant::now();
    for scenario in scenarios {
        if began.elapsed() > limits::rows(form) {
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
        let played = |run: &str| performance(traces.path().join(run), &[], Form::Process);
        let path = folder().join(format!("{name}.yaml"));
        alike::compare(&path, &played("first")?, &played("second")?)
    })
}

/// With the mocks in a process of their own a scenario goes as it does with the mocks in ours.
fn apart(name: &'static str) -> Trial {
    Trial::test(format!("apart::{}", name.replace('/', "::")), move || {
        let traces = tempfile::tempdir()?;
        let here = performance(traces.path().join("here"), &[], Form::Process)?;
        let mut apart = performance(traces.path().join("apart"), &[], Form::Process)?;
        apart.means.binaries = with_mock_server(apart.means.binaries)?;
        alike::compare(&folder().join(format!("{name}.yaml")), &here, &apart)
    })
}

fn lost() -> Trial {
    Trial::test("apart::a-mock-server-that-dies-is-told", || {
        let folder = tempfile::tempdir()?;
        let mut apart = performance(folder.path().join("traces"), &[], Form::Process)?;
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
            ..performance(folder.path().to_owned(), &[], Form::Process)?
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
        patience.suffices(OVER_ONE_SOCKET, limits::longest(&crowd, Form::Process))?;
        saboteurs::suffices(&patience)
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
        let performance = performance(folder.path().to_owned(), &[], Form::Process)?;
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

fn failures() -> PathBuf {
    workspace().join("harness/tests/failures")
}

/// A scenario that must fail, and what its author is told.
fn failure(listed: Listed) -> Trial {
    const PAGE: usize = 25;
    let name = format!("failures::{}", listed.name);
    Trial::test(name, move || {
        let Some(story) = story_of(&listed, Form::Process)? else {
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
