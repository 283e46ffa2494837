//! What the guests are made of, brought by pip and npm into the build folder at first use.
//!
//! Exactly what `requirements.txt` and `package-lock.json` name, from wheels and tarballs; no
//! script of a package is run. Nothing comes into the source tree. Where Python or npm is
//! missing, that is said on stderr, and on a CI machine (where `CI` is set) it is a failure.

use std::fs::TryLockError;
use std::io::{ErrorKind, Result, Write, stderr};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;
use tokio::time::{Instant, interval, timeout_at};

const REQUIREMENTS: &str = include_str!("guests/requirements.txt");
const PACKAGE: &str = include_str!("guests/package.json");
const LOCK: &str = include_str!("guests/package-lock.json");
/// Real time for a whole installation, be it another's: a third of a gigabyte over a slow line.
/// Less than the patience that the runner of the tests has with this binary.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

const VENV: &[&str] = &["python3", "-m", "venv", "--clear", "venv"];
const PIP_INSTALL: &[&str] = &[
    "venv/bin/python",
    "-m",
    "pip",
    "install",
    "--quiet",
    "--disable-pip-version-check",
    "--only-binary=:all:",
    "--no-deps",
    "--requirement=requirements.txt",
];
const NPM_INSTALL: &[&str] = &[
    "npm",
    "ci",
    "--prefer-offline",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
];

/// A Python that knows the clients.
pub(crate) async fn python() -> Option<PathBuf> {
    let test = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";
    let way_out = "the Python clients are not tried against the mock; install Python 3.11 or \
                   newer with venv (Debian: python3-venv) so that `python3` is found in PATH";
    is_there(&["python3", "-c", test], way_out).await?;
    let files = [("requirements.txt", REQUIREMENTS)];
    let home = once("guests-python", &files, &[VENV, PIP_INSTALL]).await;
    Some(home.join("venv/bin/python"))
}

/// A folder with `node_modules`, in which are the clients and the Node that they need.
pub(crate) async fn node() -> Option<PathBuf> {
    let way_out = "the Node clients are not tried against the mock; install Node with npm (any \
                   version; the clients bring their own) so that `npm` is found in PATH";
    is_there(&["npm", "--version"], way_out).await?;
    let files = [("package.json", PACKAGE), ("package-lock.json", LOCK)];
    Some(once("guests-node", &files, &[NPM_INSTALL]).await)
}

/// None if the machine has no such program, which has been said.
pub(crate) async fn is_there(command: &[&str], way_out: &str) -> Option<()> {
    let program = command[0];
    let missing = match Command::new(program).args(&command[1..]).output().await {
        Ok(output) if output.status.success() => return Some(()),
        Ok(_too_old) => format!("{program} is too old, or not whole"),
        Err(fault) if fault.kind() == ErrorKind::NotFound => format!("{program} is missing"),
        Err(fault) => format!("{program} does not start ({fault})"),
    };
    not_tried(&format!("{missing}: {way_out}"));
    None
}

/// Says that something is not tried; where it must be, fails.
pub(crate) fn not_tried(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    writeln!(stderr(), "skipped: {why}").unwrap();
}

/// The folder of this name with these files, in which these commands have succeeded.
async fn once(name: &str, files: &[(&str, &str)], commands: &[&[&str]]) -> PathBuf {
    let deadline = Instant::now() + PATIENCE;
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&home).unwrap();
    // Each test is a process of its own: the first one installs, the others wait here.
    let door = fs::File::create(home.join("installing.lock")).unwrap();
    lock(&door, deadline).await;
    let recipe = format!("{files:?} {commands:?}");
    let done = home.join("installed");
    if fs::read_to_string(&done).is_ok_and(|installed| installed == recipe) {
        return home;
    }
    // What is there is not it, or not whole, until all commands have succeeded.
    fs::write(&done, "").unwrap();
    for (file, text) in files {
        fs::write(home.join(file), text).unwrap();
    }
    for command in commands {
        run(&home, command, deadline).await;
    }
    fs::write(&done, recipe).unwrap();
    home
}

/// The kernel frees the lock, however its owner ends; it has no lock that one can wait for.
async fn lock(door: &fs::File, deadline: Instant) {
    let mut beat = interval(Duration::from_millis(100));
    while let Err(fault) = door.file().try_lock() {
        assert!(matches!(fault, TryLockError::WouldBlock), "{fault}");
        assert!(
            Instant::now() < deadline,
            "{}: another test installs for more than {PATIENCE:?}",
            door.path().display()
        );
        beat.tick().await;
    }
}

async fn run(home: &Path, command: &[&str], deadline: Instant) {
    let shown = format!("`{}` in {}", command.join(" "), home.display());
    let way_out = "it needs the package registry, or the cache of an earlier time";
    // A path with a slash is one in the folder.
    let program = match command[0] {
        inner if inner.contains('/') => home.join(inner),
        outer => PathBuf::from(outer),
    };
    let mut process = Command::new(program);
    process.args(&command[1..]).current_dir(home);
    match finish(process, deadline).await {
        Some(Ok(Output { status, .. })) if status.success() => {}
        Some(Ok(Output { status, stderr, .. })) => {
            let complaint = String::from_utf8_lossy(&stderr);
            panic!("{shown} ended with {status}; {way_out}\n{complaint}")
        }
        Some(Err(fault)) => panic!("{shown} does not start: {fault}"),
        None => panic!("{shown} and what came before took more than {PATIENCE:?}; {way_out}"),
    }
}

/// Runs it to its end; None if that does not come in time, and then nothing of it is left: npm
/// and pip start others, which would go on installing beside the next test.
pub(crate) async fn finish(mut process: Command, deadline: Instant) -> Option<Result<Output>> {
    process
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let child = match process.spawn() {
        Ok(child) => child,
        Err(fault) => return Some(Err(fault)),
    };
    // A process leads the group that has its number.
    let number = child.id().map(|id| i32::try_from(id).unwrap());
    let group = number.and_then(Pid::from_raw);
    match timeout_at(deadline, child.wait_with_output()).await {
        Ok(output) => Some(output),
        Err(_) => {
            // Who has ended just now need not be killed.
            group.map(|group| kill_process_group(group, Signal::KILL));
            None
        }
    }
}

#[tokio::test]
async fn what_takes_too_long_is_killed_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let door = fs::File::create(folder.path().join("door")).unwrap();
    let mut process = Command::new("sh");
    process.args(["-c", "flock door sleep 600 & wait"]);
    process.current_dir(folder.path());
    let deadline = Instant::now() + Duration::from_secs(1);
    assert!(finish(process, deadline).await.is_none());
    // Free as soon as the inner one is gone.
    lock(&door, Instant::now() + Duration::from_secs(10)).await;
}
