//! Where the programs under test are: given, or built once with cargo.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs under test.
#[derive(Clone, Debug)]
pub struct Binaries {
    pub nanokimi: PathBuf,
    pub agent_runner: PathBuf,
}

/// The programs under test cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    #[error("`{0}` is not there; build it, or name another with --nanokimi and --agent-runner")]
    Missing(PathBuf),
    #[error("cargo cannot be run to build nanokimi; name a built one with --nanokimi")]
    Cargo(#[source] std::io::Error),
    #[error("building nanokimi and agent-runner failed:\n{0}")]
    Build(String),
}

impl Binaries {
    /// Takes what is given; an agent runner that is not given lies beside nanokimi.
    ///
    /// # Errors
    /// A program that is not there.
    pub fn given(nanokimi: &Path, agent_runner: Option<&Path>) -> Result<Self, BinariesError> {
        let beside = nanokimi.with_file_name("agent-runner");
        let found = |path: &Path| {
            std::path::absolute(path)
                .map_or(None, |path| path.is_file().then_some(path))
                .ok_or_else(|| BinariesError::Missing(path.to_owned()))
        };
        Ok(Self {
            nanokimi: found(nanokimi)?,
            agent_runner: found(agent_runner.map_or(beside.as_path(), |path| path))?,
        })
    }

    /// Builds both with cargo, in the workspace of `manifest`; quick when they are fresh.
    ///
    /// # Errors
    /// The compiler's errors, or that there is no cargo.
    pub fn build(workspace: &Path, release: bool) -> Result<Self, BinariesError> {
        let mut cargo = Command::new("cargo");
        // Not all of the workspace: that would build us anew while we run.
        cargo.args(["build", "--quiet"]);
        cargo.args(["-p", "orchestrator", "-p", "agent-runner"]);
        cargo.args(["--message-format", "json-render-diagnostics"]);
        if release {
            cargo.arg("--release");
        }
        let output = cargo.current_dir(workspace).output();
        let output = output.map_err(BinariesError::Cargo)?;
        if !output.status.success() {
            let shown = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(BinariesError::Build(shown));
        }
        let built = built(&String::from_utf8_lossy(&output.stdout));
        let named = |name: &str| {
            let found = built
                .iter()
                .find(|path| path.file_stem().is_some_and(|stem| stem == name));
            found
                .cloned()
                .ok_or_else(|| BinariesError::Missing(name.into()))
        };
        Ok(Self {
            nanokimi: named("nanokimi")?,
            agent_runner: named("agent-runner")?,
        })
    }
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
    fn executables_are_read_from_the_messages_of_cargo() {
        let messages = "{\"executable\":null}\n{\"executable\":\"/t/debug/nanokimi\"}\nnoise\n";
        assert_eq!(built(messages), [PathBuf::from("/t/debug/nanokimi")]);
    }
}
