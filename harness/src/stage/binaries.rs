//! Where the programs under test are: given, or built once with cargo.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::engine::{Images, ImagesError};

/// The programs under test.
#[derive(Clone, Debug)]
pub struct Binaries {
    pub nanokimi: PathBuf,
    pub agent_runner: PathBuf,
    /// The build of nanokimi that takes the mock for WhatsApp when it is linked, where a
    /// scenario needs it.
    pub pairing: Option<PathBuf>,
    /// The real Kimi CLI, where a scenario needs it.
    pub kimi: Option<PathBuf>,
    /// The mock server, where it is to be a process of its own and not a part of ours.
    pub mock_server: Option<PathBuf>,
}

/// The feature of that build.
const PAIRING_FEATURE: &str = "danger-pair-with-unverified-loopback-server";

/// What cargo puts into each of its target folders.
const CARGOS: &str = "CACHEDIR.TAG";

/// The programs under test cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    #[error("`{0}` is not there; build it, or name another with --nanokimi and --agent-runner")]
    Missing(PathBuf),
    #[error("cargo cannot be run to build nanokimi; name a built one with --nanokimi")]
    Cargo(#[source] std::io::Error),
    #[error("building nanokimi and agent-runner failed:\n{0}")]
    Build(String),
    #[error(transparent)]
    Images(#[from] ImagesError),
    #[error("the Kimi CLI is missing: {0}")]
    Kimi(String),
}

impl Binaries {
    /// Takes what is given; an agent runner that is not given lies beside nanokimi.
    ///
    /// # Errors
    /// A program that is not there.
    pub fn given(nanokimi: &Path, agent_runner: Option<&Path>) -> Result<Self, BinariesError> {
        let beside = nanokimi.with_file_name("agent-runner");
        Ok(Self {
            nanokimi: found(nanokimi)?,
            agent_runner: found(agent_runner.map_or(beside.as_path(), |path| path))?,
            pairing: None,
            kimi: None,
            mock_server: None,
        })
    }

    /// With the build for a first pairing as well: the one that is given, or built in a target
    /// folder of its own, so that nobody takes it for the other.
    ///
    /// # Errors
    /// The program that is given is not there, or building it failed.
    pub fn with_pairing(
        mut self,
        given: Option<&Path>,
        workspace: &Path,
    ) -> Result<Self, BinariesError> {
        self.pairing = Some(match given {
            Some(given) => found(given)?,
            None => build_pairing(workspace, &self.pairing_folder(workspace))?,
        });
        Ok(self)
    }

    /// With the mocks as a process of their own: the program that is given, or built here.
    ///
    /// # Errors
    /// The program that is given is not there, or building it failed.
    pub fn with_mock_server(
        mut self,
        given: Option<&Path>,
        workspace: &Path,
    ) -> Result<Self, BinariesError> {
        self.mock_server = Some(match given {
            Some(given) => found(given)?,
            None => named(
                &cargo_build(workspace, &["-p", "mock-server", "--bins"])?,
                "mock-server",
            )?,
        });
        Ok(self)
    }

    /// Beside the folder of the usual build: `target/pairing` for `target/debug/nanokimi`, if it
    /// is a folder of cargo's, and not e.g. `/usr/local` for `/usr/local/bin/nanokimi`.
    fn pairing_folder(&self, workspace: &Path) -> PathBuf {
        let usual = workspace.join("target");
        let target = self.nanokimi.ancestors().nth(2);
        let target = target.filter(|target| target.join(CARGOS).is_file());
        target
            .map_or(usual.as_path(), |target| target)
            .join("pairing")
    }

    /// Has images built of these and of the mock server, which is built beside them if it is
    /// cargo's folder.
    ///
    /// # Errors
    /// Something cannot be built.
    pub fn images(&self, workspace: &Path, release: bool) -> Result<Images, BinariesError> {
        let target = self.nanokimi.ancestors().nth(2);
        let target = target.map_or_else(|| workspace.join("target"), Path::to_owned);
        if target.join(CARGOS).is_file() {
            let folder = target.display().to_string();
            let mut args = vec!["-p", "mock-server"];
            // With the others, so that their dependencies are built once.
            args.extend(["-p", "orchestrator", "-p", "agent-runner", "--bins"]);
            args.extend(["--target-dir", &folder]);
            if release {
                args.push("--release");
            }
            cargo_build(workspace, &args)?;
        }
        Ok(Images::build(workspace, &target, release)?)
    }

    /// Builds both with cargo, in the workspace of `manifest`; quick when they are fresh.
    ///
    /// # Errors
    /// The compiler's errors, or that there is no cargo.
    pub fn build(workspace: &Path, release: bool) -> Result<Self, BinariesError> {
        // Not all of the workspace: that would build us anew while we run.
        let mut args = vec!["-p", "orchestrator", "-p", "agent-runner"];
        if release {
            args.push("--release");
        }
        let built = cargo_build(workspace, &args)?;
        Ok(Self {
            nanokimi: named(&built, "nanokimi")?,
            agent_runner: named(&built, "agent-runner")?,
            pairing: None,
            kimi: None,
            mock_server: None,
        })
    }
}

pub(super) fn found(path: &Path) -> Result<PathBuf, BinariesError> {
    std::path::absolute(path)
        .map_or(None, |path| path.is_file().then_some(path))
        .ok_or_else(|| BinariesError::Missing(path.to_owned()))
}

fn build_pairing(workspace: &Path, folder: &Path) -> Result<PathBuf, BinariesError> {
    if !folder.exists() {
        // Otherwise it would be silent for minutes.
        let why = "building nanokimi once more, for the scenarios that link a device; this happens \
                   once and takes some minutes";
        let (Ok(()) | Err(_)) = writeln!(std::io::stderr(), "{why}");
    }
    let folder = folder.display().to_string();
    let args = [
        "-p",
        "orchestrator",
        "--features",
        PAIRING_FEATURE,
        "--target-dir",
        &folder,
    ];
    named(&cargo_build(workspace, &args)?, "nanokimi")
}

/// Returns the executables that cargo has built, or found fresh.
fn cargo_build(workspace: &Path, args: &[&str]) -> Result<Vec<PathBuf>, BinariesError> {
    // It says nothing itself, and may take minutes.
    let said = format!("building with `cargo build {}`", args.join(" "));
    let (Ok(()) | Err(_)) = writeln!(std::io::stderr(), "{said}");
    let mut cargo = Command::new("cargo");
    cargo.args([
        "build",
        "--quiet",
        "--message-format",
        "json-render-diagnostics",
    ]);
    let output = cargo.args(args).current_dir(workspace).output();
    let output = output.map_err(BinariesError::Cargo)?;
    if !output.status.success() {
        let shown = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(BinariesError::Build(shown));
    }
    Ok(built(&String::from_utf8_lossy(&output.stdout)))
}

fn named(built: &[PathBuf], name: &str) -> Result<PathBuf, BinariesError> {
    let found = built
        .iter()
        .find(|path| path.file_stem().is_some_and(|stem| stem == name));
    found
        .cloned()
        .ok_or_else(|| BinariesError::Missing(name.into()))
}

/// The executables in cargo's JSON messages.
fn built(messages: &str) -> Vec<PathBuf> {
    let executable = |line: &str| {
        let message: serde_json::Value = match serde_json::from_str(line) {
            Ok(message) => message,
            Err(_not_json) => return None,
        };
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    };
    messages.lines().filter_map(executable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_in_a_folder_of_cargo_is_built_beside() {
        let workspace = Path::new("/w");
        let folder = tempfile::tempdir().unwrap();
        let binaries = Binaries {
            nanokimi: folder.path().join("bin/nanokimi"),
            agent_runner: PathBuf::new(),
            pairing: None,
            kimi: None,
            mock_server: None,
        };
        let usual = Path::new("/w/target/pairing");
        assert_eq!(binaries.pairing_folder(workspace), usual);

        fs_err::write(folder.path().join(CARGOS), "").unwrap();
        let beside = folder.path().join("pairing");
        assert_eq!(binaries.pairing_folder(workspace), beside);
    }

    #[test]
    fn executables_are_read_from_the_messages_of_cargo() {
        let messages = "{\"executable\":null}\n{\"executable\":\"/t/debug/nanokimi\"}\nnoise\n";
        assert_eq!(built(messages), [PathBuf::from("/t/debug/nanokimi")]);
    }
}
