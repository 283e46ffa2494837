//! A harness that is killed leaves nothing behind: no orchestrator, no agent, no tool.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::{end, left_over};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::time::timeout;

/// Building the programs under test may be part of it.
const START: Duration = Duration::from_secs(300);
/// An agent and its tools may notice the death of the orchestrator and end in order.
const GRACE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_killed_harness_leaves_no_process_behind() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("tool-runs");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let mut tool = pipe::OpenOptions::new().open_receiver(&fifo).unwrap();
    let path = folder.path().join("long.yaml");
    std::fs::write(&path, scenario(&fifo)).unwrap();
    let mut harness = play(&path, folder.path()).spawn().unwrap();

    let mut said = [0; 2];
    timeout(START, tool.read_exact(&mut said))
        .await
        .unwrap()
        .unwrap();
    harness.kill().unwrap();
    harness.wait().unwrap();

    // Everything that was started has our folder in its environment.
    let left = left_over(folder.path(), GRACE).await;
    end(&left);
    assert!(left.is_empty(), "{left:#?}");
}

/// The agent runs a tool that says so and then takes its time.
fn scenario(fifo: &Path) -> String {
    let command = format!("echo up > {}; sleep 250", fifo.display());
    format!(
        "story: A tool takes its time.\nscript:\n  - match: work\n    response: {{ tool_calls: [{{ name: bash, arguments: {{ command: '{command}' }} }}] }}\nsteps:\n  - ask: {{ chat: main, text: work, answer: done, within: 200s }}\n"
    )
}

fn play(scenario: &Path, folder: &Path) -> Command {
    let mut harness = Command::new(env!("CARGO_BIN_EXE_harness"));
    harness
        .arg("run")
        .arg(scenario)
        .arg("--traces")
        .arg(folder.join("traces"))
        .env("TMPDIR", folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    harness
}
