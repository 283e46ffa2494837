//! `mock-server record` and `mock-server check-drift`, as somebody runs them by hand.

use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::stage::{CHAT, PATIENCE, asking, client, mock, post, script};

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mock-server"));
    command
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Waits for the end, and returns exit code, stdout and stderr.
async fn ended(child: Child) -> (Option<i32>, String, String) {
    let output = timeout(PATIENCE, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

struct Recorder {
    child: Child,
    out: BufReader<ChildStdout>,
    url: String,
}

impl Recorder {
    async fn start(upstream: &str, script: &Path) -> Self {
        let out = script.to_str().unwrap();
        let arguments = [
            "record",
            "--upstream",
            upstream,
            "--port",
            "0",
            "--out",
            out,
            "--exchanges",
        ];
        let mut child = program(&arguments).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        timeout(PATIENCE, out.read_line(&mut line))
            .await
            .unwrap()
            .unwrap();
        let url = line
            .trim_end()
            .strip_prefix("recorder on ")
            .unwrap()
            .to_owned();
        Self { child, out, url }
    }

    async fn ask(&self, user: &str) -> u16 {
        post(&client(), &format!("{}{CHAT}", self.url), &asking(user))
            .await
            .0
    }

    async fn stop(mut self, signal: Signal) -> (Option<i32>, String, String) {
        let pid = Pid::from_raw(self.child.id().unwrap().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
        let mut rest = String::new();
        timeout(PATIENCE, self.out.read_to_string(&mut rest))
            .await
            .unwrap()
            .unwrap();
        let (code, _, stderr) = ended(self.child).await;
        (code, rest, stderr)
    }
}

async fn drift(exchanges: &Path, scripts: &Path) -> (Option<i32>, String, String) {
    let (exchanges, scripts) = (exchanges.to_str().unwrap(), scripts.to_str().unwrap());
    ended(
        program(&["check-drift", exchanges, "--scripts", scripts])
            .spawn()
            .unwrap(),
    )
    .await
}

#[tokio::test]
async fn a_service_is_recorded_and_does_not_drift() {
    let service = mock(vec![script(
        "[{ times: any, response: { content: hello } }]",
    )])
    .await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("greet.yaml");
    let recorder = Recorder::start(&service.url(), &path).await;
    assert_eq!(recorder.ask("good morning").await, 200);
    let (code, summary, complaint) = recorder.stop(Signal::TERM).await;
    assert_eq!(
        (code, summary.as_str(), complaint.as_str()),
        (
            Some(0),
            "turns recorded: 1, exchanges not recorded: 0\n",
            ""
        )
    );

    let exchanges = folder.path().join("greet.yaml.exchanges.jsonl");
    assert_eq!(
        drift(&exchanges, &path).await,
        (Some(0), String::new(), String::new())
    );
    let other = folder.path().join("other.yaml");
    fs_err::write(&other, "- { match: nobody, response: {} }").unwrap();
    let (code, told, _) = drift(&exchanges, &other).await;
    assert_eq!(code, Some(1));
    assert!(told.starts_with("status: recorded 200, mock 422"), "{told}");
    assert_eq!(drift(&path, &path).await.0, Some(2));
}

#[tokio::test]
async fn a_kill_loses_nothing_that_was_answered() {
    let service = mock(vec![script(
        "[{ times: any, response: { content: hello } }]",
    )])
    .await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("greet.yaml");
    let recorder = Recorder::start(&service.url(), &path).await;
    recorder.ask("good morning").await;
    recorder.ask("good night").await;
    recorder.stop(Signal::KILL).await;
    let scripts = mock_server::read_scripts(&path).unwrap();
    assert_eq!(scripts[0].turns.len(), 2);
}

#[tokio::test]
async fn what_is_not_recorded_is_told_and_makes_the_exit_code() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(&url, &folder.path().join("x.yaml")).await;
    assert_eq!(recorder.ask("hi").await, 502);
    let (code, summary, complaint) = recorder.stop(Signal::TERM).await;
    assert_eq!(code, Some(1));
    assert_eq!(summary, "turns recorded: 0, exchanges not recorded: 1\n");
    let told =
        "mock-server: POST /v1/chat/completions is not recorded: the upstream cannot be reached";
    assert!(complaint.starts_with(told), "{complaint}");
}

#[tokio::test]
async fn a_script_that_is_there_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.yaml");
    fs_err::write(&path, "[]").unwrap();
    let path = path.to_str().unwrap();
    let arguments = [
        "record",
        "--upstream",
        "http://127.0.0.1:1",
        "--port",
        "0",
        "--out",
        path,
    ];
    let (code, _, complaint) = ended(program(&arguments).spawn().unwrap()).await;
    assert_eq!(code, Some(2));
    assert!(
        complaint.contains("mine.yaml: there is a file already; remove it"),
        "{complaint}"
    );
    let arguments = ["record", "--upstream", "ftp://x", "--out", "y"];
    let (code, _, complaint) = ended(program(&arguments).spawn().unwrap()).await;
    assert_eq!(code, Some(2));
    assert!(
        complaint.contains("expected http://… or https://…"),
        "{complaint}"
    );
}
