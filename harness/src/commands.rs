//! What each command of the binary does, and how it ends.

mod means;
mod order;
mod play;

use std::io::{self, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use harness::{
    Binaries, BinariesError, EngineError, Ground, Listed, Means, Scenario, ScenarioError, chain,
    load, scenarios_in,
};
use serde_json::json;

pub(crate) use means::Programs;
pub(crate) use order::Shuffle;
pub(crate) use play::{RunOptions, run};

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    Passed = 0,
    Failed = 1,
    Wrong = 2,
    Broke = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command that could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("no scenario is called `{0}`, and there is no such file; `harness list` shows all")]
    Unknown(String),
    #[error("there is no scenario below `{0}`; `--scenarios` names their folder")]
    Nothing(String),
    #[error("no scenario has the tag `{0}`; `harness list --json` shows all tags")]
    NoSuchTag(String),
    #[error("the scenarios cannot be listed")]
    Unlisted(#[source] io::Error),
    #[error(transparent)]
    Binaries(#[from] BinariesError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the fixture cannot be made")]
    Fixture(#[from] harness::FixtureError),
    #[error("a report cannot be written")]
    Output(#[from] io::Error),
}

impl CommandError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Unknown(_) | Self::Nothing(_) | Self::NoSuchTag(_) | Self::Unlisted(_) => {
                Exit::Wrong
            }
            Self::Binaries(_) | Self::Engine(_) | Self::Fixture(_) | Self::Output(_) => Exit::Broke,
        }
    }
}

/// Where cargo builds and fixtures lie: the workspace we were built in, or else where we are.
pub(crate) fn workspace() -> PathBuf {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let built_in = built_in.filter(|folder| folder.join("Cargo.toml").is_file());
    built_in.map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Reads all files; prints the mistakes of those that are wrong, and counts them.
fn read_all(files: &[Listed], out: &mut dyn Write) -> io::Result<(Vec<Scenario>, usize)> {
    let mut scenarios = Vec::new();
    let mut wrong = 0;
    for file in files {
        match load(&file.path) {
            Ok(rows) => scenarios.extend(rows),
            Err(error) => {
                wrong += 1;
                write_error(file, &error, out)?;
            }
        }
    }
    Ok((scenarios, wrong))
}

fn write_error(file: &Listed, error: &ScenarioError, out: &mut dyn Write) -> io::Result<()> {
    match error {
        ScenarioError::Mistakes(mistakes) => write!(out, "{mistakes}"),
        ScenarioError::Unreadable(_) => writeln!(out, "error: {}: {}", file.name, chain(error)),
    }
}

#[derive(Debug)]
pub(crate) struct ListOptions {
    pub(crate) folder: PathBuf,
    pub(crate) which: Vec<String>,
    pub(crate) json: bool,
}

/// Prints the names of the chosen scenarios, or all about them as JSON.
pub(crate) fn list(options: &ListOptions, out: &mut dyn Write) -> Result<Exit, CommandError> {
    let files = chosen(&options.folder, &options.which)?;
    if !options.json {
        for file in files {
            writeln!(out, "{}", file.name)?;
        }
        return Ok(Exit::Passed);
    }
    let (scenarios, wrong) = read_all(&files, &mut io::stderr().lock())?;
    let listed: Vec<serde_json::Value> = scenarios
        .iter()
        .map(|scenario| {
            json!({
                "name": scenario.name(),
                "path": scenario.path,
                "story": scenario.story(),
                "tags": scenario.tags(),
            })
        })
        .collect();
    writeln!(out, "{:#}", serde_json::Value::Array(listed))?;
    Ok(if wrong > 0 { Exit::Wrong } else { Exit::Passed })
}

/// Reads the chosen scenarios and prints all their mistakes.
pub(crate) fn lint(
    folder: &Path,
    which: &[String],
    out: &mut dyn Write,
) -> Result<Exit, CommandError> {
    let files = some_chosen(folder, which)?;
    let (_, wrong) = read_all(&files, out)?;
    match wrong {
        0 => writeln!(out, "{} scenario files, no mistakes", files.len())?,
        wrong => writeln!(
            out,
            "{wrong} of {} scenario files have mistakes",
            files.len()
        )?,
    }
    Ok(if wrong > 0 { Exit::Wrong } else { Exit::Passed })
}

/// Links a device anew, for scenarios to begin with.
pub(crate) fn make_paired(
    pairing: Option<&Path>,
    environment: Vec<(String, String)>,
    out: &mut dyn Write,
) -> Result<Exit, CommandError> {
    let workspace = workspace();
    let binaries = Binaries::build(&workspace, false)?.with_pairing(pairing, &workspace)?;
    let means = Means {
        binaries,
        environment,
        fixtures: workspace.join("fixtures"),
        ground: Ground::Process,
        crowding: NonZeroU32::MIN,
    };
    let made = harness::make_paired(&means, &workspace.join("Cargo.lock"))?;
    writeln!(out, "made {}", made.display())?;
    Ok(Exit::Passed)
}

/// The files that are named, or all; none would pass for all is well.
fn some_chosen(folder: &Path, which: &[String]) -> Result<Vec<Listed>, CommandError> {
    let files = chosen(folder, which)?;
    if files.is_empty() {
        let below = which
            .first()
            .map_or_else(|| folder.display().to_string(), Clone::clone);
        return Err(CommandError::Nothing(below));
    }
    Ok(files)
}

/// The files that are named, or all.
fn chosen(folder: &Path, which: &[String]) -> Result<Vec<Listed>, CommandError> {
    if which.is_empty() {
        return scenarios_in(folder).map_err(CommandError::Unlisted);
    }
    let mut chosen = Vec::new();
    for wanted in which {
        let found = named(folder, wanted)?;
        if found.is_empty() && Path::new(wanted).is_dir() {
            return Err(CommandError::Nothing(wanted.clone()));
        }
        if found.is_empty() {
            return Err(CommandError::Unknown(wanted.clone()));
        }
        chosen.extend(found);
    }
    chosen.sort();
    chosen.dedup();
    Ok(chosen)
}

fn named(folder: &Path, wanted: &str) -> Result<Vec<Listed>, CommandError> {
    let path = Path::new(wanted);
    if path.is_file() {
        let name = path.with_extension("").display().to_string();
        return Ok(vec![Listed {
            name,
            path: path.to_owned(),
        }]);
    }
    if path.is_dir() {
        return scenarios_in(path).map_err(CommandError::Unlisted);
    }
    let all = scenarios_in(folder).map_err(CommandError::Unlisted)?;
    // `bootstrap::identity`, as nextest writes it, is `bootstrap/identity`.
    let part = wanted.replace("::", "/");
    Ok(all
        .into_iter()
        .filter(|one| one.name.contains(&part))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_scenarios_is_not_all_well() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().display().to_string();
        for which in [vec![], vec![empty.clone()]] {
            let error = lint(folder.path(), &which, &mut Vec::new()).unwrap_err();
            assert_eq!(error.exit(), Exit::Wrong);
            let told =
                format!("there is no scenario below `{empty}`; `--scenarios` names their folder");
            assert_eq!(error.to_string(), told);
        }
    }
}
