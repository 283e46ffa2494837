//! The real Kimi CLI: the one that is given, or what the repository's script brings.
//!
//! Scenarios that need it are not played where it cannot be had, and that is said.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::binaries::{Binaries, BinariesError, found};

/// Installs the CLI below the build folder at its first use, and prints where it is.
const SCRIPT: &str = "ci/kimi-cli";

impl Binaries {
    /// With the Kimi CLI as well.
    ///
    /// # Errors
    /// [`BinariesError::Kimi`] where it cannot be had; [`BinariesError::Missing`] if the one
    /// that is given is not there.
    pub fn with_kimi(
        mut self,
        given: Option<&Path>,
        workspace: &Path,
    ) -> Result<Self, BinariesError> {
        self.kimi = Some(match given {
            Some(given) => found(given)?,
            None => brought(workspace)?,
        });
        Ok(self)
    }
}

fn brought(workspace: &Path) -> Result<PathBuf, BinariesError> {
    let script = workspace.join(SCRIPT);
    let missing = |why: String| BinariesError::Kimi(why);
    let output = Command::new(&script)
        .current_dir(workspace)
        .output()
        .map_err(|error| missing(format!("`{SCRIPT}` cannot be run: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty());
        return Err(missing(last.map_or_else(
            || format!("`{SCRIPT}` ended with {}", output.status),
            str::to_owned,
        )));
    }
    found(Path::new(String::from_utf8_lossy(&output.stdout).trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(script: &str) -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        fs_err::create_dir(folder.path().join("ci")).unwrap();
        let path = folder.path().join(SCRIPT);
        fs_err::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        folder
    }

    #[track_caller]
    fn check(script: &str, expected: &str) {
        let folder = workspace(script);
        let told = match brought(folder.path()) {
            Ok(path) => path.display().to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn what_the_script_brings_is_taken_and_what_it_complains_of_is_told() {
        check("echo /bin/sh", "/bin/sh");
        check(
            "echo trying >&2; echo there is no npm here >&2; exit 3",
            "the Kimi CLI is missing: there is no npm here",
        );
        check(
            "exit 3",
            "the Kimi CLI is missing: `ci/kimi-cli` ended with exit status: 3",
        );
    }
}
