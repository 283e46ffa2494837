//! What a package of ours is built from when its default features are left out.

use std::io;
use std::path::Path;
use std::process::Command;

/// Cargo did not say what is built.
#[derive(Debug, thiserror::Error)]
pub enum LeanError {
    #[error("cargo cannot be started")]
    Start(#[source] io::Error),
    #[error("`cargo tree` failed: {0}")]
    Failed(String),
}

/// The names of all packages in the program that is built of `package` with
/// `--no-default-features`, its own among them.
pub fn lean_build(root: &Path, package: &str) -> Result<Vec<String>, LeanError> {
    let told = Command::new("cargo")
        .current_dir(root)
        .args([
            "tree",
            "--locked",
            "--no-default-features",
            "--edges",
            "normal",
        ])
        .args(["--prefix", "none", "--format", "{p}", "--package", package])
        .output()
        .map_err(LeanError::Start)?;
    let stdout = String::from_utf8_lossy(&told.stdout);
    if !told.status.success() {
        let stderr = String::from_utf8_lossy(&told.stderr);
        return Err(LeanError::Failed(stderr.trim().to_owned()));
    }
    let name = |line: &str| line.split_whitespace().next().map(str::to_owned);
    Ok(stdout.lines().filter_map(name).collect())
}
