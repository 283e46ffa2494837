//! Many files at once: 200 scenarios under nextest and by `harness run`, 100 linted.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harness::{Binaries, scenarios_in};
use tempfile::TempDir;

use crate::stories::TRIVIAL;
use crate::{succeed, workspace};

const SCENARIOS: usize = 200;
const LINTED: usize = 100;
/// How many play at the same time, on every machine.
const JOBS: &str = "2";

pub(crate) struct Suites {
    folder: TempDir,
    binaries: Binaries,
}

impl Suites {
    pub(crate) fn new(binaries: &Binaries) -> io::Result<Self> {
        let suites = Self {
            folder: tempfile::tempdir()?,
            binaries: binaries.clone(),
        };
        let trivial = suites.trivial().join("trivial");
        fs_err::create_dir_all(&trivial)?;
        for number in 0..SCENARIOS {
            fs_err::write(trivial.join(format!("{number:03}.yaml")), TRIVIAL)?;
        }
        suites.copy_real_ones()?;
        // nextest would take our own settings, whose set-up script builds for debugging.
        fs_err::write(suites.nextest_settings(), "")?;
        Ok(suites)
    }

    /// Real scenarios, each under several names until there are enough.
    fn copy_real_ones(&self) -> io::Result<()> {
        let scripts = self.folder.path().join("scripts");
        std::os::unix::fs::symlink(workspace().join("scripts"), scripts)?;
        fs_err::create_dir(self.linted())?;
        let real = scenarios_in(&workspace().join("scenarios"))?;
        for (number, listed) in real.iter().cycle().take(LINTED).enumerate() {
            fs_err::copy(
                &listed.path,
                self.linted().join(format!("{number:03}.yaml")),
            )?;
        }
        Ok(())
    }

    fn trivial(&self) -> PathBuf {
        self.folder.path().join("scenarios")
    }

    fn linted(&self) -> PathBuf {
        self.folder.path().join("linted")
    }

    fn nextest_settings(&self) -> PathBuf {
        self.folder.path().join("nextest.toml")
    }

    pub(crate) fn lint(&self) -> io::Result<Duration> {
        timed(harness("lint", &self.linted()))
    }

    pub(crate) fn list(&self) -> io::Result<Duration> {
        timed(harness("list", &self.linted()))
    }

    pub(crate) fn by_run(&self) -> io::Result<Duration> {
        let mut command = harness("run", &self.trivial());
        command
            .args(["--jobs", JOBS, "--nanokimi"])
            .arg(&self.binaries.nanokimi)
            .arg("--traces")
            .arg(self.folder.path().join("traces"));
        timed(command)
    }

    pub(crate) fn under_nextest(&self) -> io::Result<Duration> {
        let mut command = self.nextest(["--test", "scenarios", "-E", "test(/^trivial::/)"]);
        command
            .env("HARNESS_SCENARIOS", self.trivial())
            .env("NANOKIMI_BIN", &self.binaries.nanokimi)
            .env("AGENT_RUNNER_BIN", &self.binaries.agent_runner);
        time_of_nextest(command)
    }

    pub(crate) fn nothing(&self) -> io::Result<Duration> {
        time_of_nextest(self.nextest(["--bench", "floor", "-E", "all()"]))
    }

    fn nextest(&self, which: [&str; 4]) -> Command {
        let mut cargo = Command::new("cargo");
        cargo
            .args(["nextest", "run", "--release", "--cargo-quiet"])
            .args(["-p", "harness", "--color", "never"])
            .args(["--status-level", "none", "--final-status-level", "none"])
            .args(["--test-threads", JOBS, "--config-file"])
            .arg(self.nextest_settings())
            .args(which)
            .current_dir(workspace());
        cargo
    }
}

pub(crate) fn has_nextest() -> io::Result<bool> {
    let mut cargo = Command::new("cargo");
    cargo.args(["nextest", "--version"]);
    let quiet = cargo.stdout(Stdio::null()).stderr(Stdio::null());
    Ok(quiet.status()?.success())
}

fn harness(command: &str, folder: &Path) -> Command {
    let mut harness = Command::new(env!("CARGO_BIN_EXE_harness"));
    harness.arg(command).arg("--scenarios").arg(folder);
    harness.stdout(Stdio::null());
    harness
}

fn timed(mut command: Command) -> io::Result<Duration> {
    let began = Instant::now();
    succeed(&mut command)?;
    Ok(began.elapsed())
}

/// The time of the tests alone, as nextest tells it: without building and listing.
fn time_of_nextest(mut command: Command) -> io::Result<Duration> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let passed = format!("{SCENARIOS} passed");
    let summary = said.lines().find(|line| line.contains("Summary ["));
    let summary = summary.filter(|line| output.status.success() && line.contains(&passed));
    let seconds = summary.and_then(|line| line.split(['[', ']']).nth(1));
    let seconds = seconds.map(|text| text.trim().trim_end_matches('s').parse());
    match seconds {
        Some(Ok(seconds)) => Ok(Duration::from_secs_f64(seconds)),
        Some(Err(_)) | None => Err(io::Error::other(format!("not all passed:\n{said}"))),
    }
}
