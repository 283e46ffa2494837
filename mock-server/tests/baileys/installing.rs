//! Baileys, brought by npm into the build folder at its first use.
//!
//! Exactly what `package-lock.json` names; no script of a package is run. Nothing comes into
//! the source tree.

use std::io::{ErrorKind, Write, stderr};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use fs_err as fs;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

const PACKAGE: &str = include_str!("package.json");
const LOCK: &str = include_str!("package-lock.json");
const OLDEST_NODE: u32 = 20;
/// npm's own patience with a registry that does not answer is longer than ours.
const PATIENCE: Duration = Duration::from_secs(100);
const INSTALL: [&str; 8] = [
    "ci",
    "--prefer-offline",
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=1000",
    "--legacy-peer-deps",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
];

/// The folder with Baileys' `node_modules`; none where there is no Node to run it. That is said
/// on stderr, and on a CI machine (where `CI` is set) it is a failure.
pub(crate) async fn installed() -> Option<PathBuf> {
    if let Err(missing) = node().await {
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        writeln!(stderr(), "skipped: {missing}").unwrap();
        return None;
    }
    let lock: Value = serde_json::from_str(LOCK).unwrap();
    let baileys = &lock["packages"]["node_modules/@whiskeysockets/baileys"];
    let version = baileys["version"].as_str().unwrap();
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("baileys-{version}"));
    fs::create_dir_all(&home).unwrap();

    // Each test is a process of its own: the first one installs, the others wait here.
    let door = fs::File::create(home.join("installing.lock")).unwrap();
    door.file().lock().unwrap();
    let done = home.join("installed.json");
    if !fs::read_to_string(&done).is_ok_and(|installed| installed == LOCK) {
        // What is there is not it, or not whole, until the installation has succeeded.
        fs::write(&done, "").unwrap();
        install(&home, version).await;
        fs::write(&done, LOCK).unwrap();
    }
    Some(home)
}

async fn install(home: &Path, version: &str) {
    fs::write(home.join("package.json"), PACKAGE).unwrap();
    fs::write(home.join("package-lock.json"), LOCK).unwrap();
    let npm = format!("`npm {}` in {}", INSTALL.join(" "), home.display());
    let way_out = "it needs the npm registry, or npm's cache of an earlier time";
    let mut command = Command::new("npm");
    command.args(INSTALL).current_dir(home).kill_on_drop(true);
    match timeout(PATIENCE, command.output()).await {
        Ok(Ok(Output { status, .. })) if status.success() => {}
        Ok(Ok(Output { status, stderr, .. })) => {
            let complaint = String::from_utf8_lossy(&stderr);
            panic!(
                "Baileys {version} cannot be installed: {npm} ended with {status}; {way_out}\n{complaint}"
            )
        }
        Ok(Err(fault)) => {
            panic!("Baileys {version} cannot be installed: {npm}: {fault}; npm comes with Node")
        }
        Err(_) => panic!(
            "Baileys {version} cannot be installed: {npm} took more than {PATIENCE:?}; {way_out}"
        ),
    }
}

/// Whether Node can run Baileys; if not, what is wrong and what to do.
async fn node() -> Result<(), String> {
    let way_out = format!(
        "real Baileys is not tried against the mock; install Node {OLDEST_NODE} or newer with npm \
         (nodejs.org, or your system's packages) so that `node` is found in PATH"
    );
    let shown = match Command::new("node").arg("--version").output().await {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(fault) if fault.kind() == ErrorKind::NotFound => {
            return Err(format!("Node is missing: {way_out}"));
        }
        Err(fault) => return Err(format!("Node does not start ({fault}): {way_out}")),
    };
    match major(&shown) {
        Some(version) if version >= OLDEST_NODE => Ok(()),
        Some(_) => Err(format!("Node {shown} is too old: {way_out}")),
        None => Err(format!("`node --version` says `{shown}`: {way_out}")),
    }
}

/// The first number of e.g. `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    let (major, _) = version.strip_prefix('v')?.split_once('.')?;
    match major.parse() {
        Ok(major) => Some(major),
        Err(_not_a_number) => None,
    }
}
