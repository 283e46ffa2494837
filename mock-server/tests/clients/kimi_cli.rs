//! The real Kimi CLI, as `ci/kimi-cli` installs it, with the mock as its model.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use fs_err as fs;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use super::cases::{Case, case};
use super::guest::KEY;
use super::installing::{self, finish, not_tried};
use super::stage::Stage;

const INSTALLER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ci/kimi-cli");
/// Real time, for one turn of the CLI.
const PATIENCE: Duration = Duration::from_secs(170);
/// The installer's exit code where the CLI cannot be had.
const NOT_HERE: i32 = 3;

const HELLO: Case = case(
    "a text",
    "[{ match: Say hello, response: { content: Hello guest. } }]",
    &["system: … / user: Say hello."],
);
const WRITES: Case = case(
    "a file",
    r##"
- match: Write the report
  response:
    content: I write it.
    tool_calls: [{ name: Write, arguments: { path: report.md, content: "# Outage\n" } }]
- match: { tool_result: { name: Write, ok: true } }
  response: { content: "Saved {{ tool.Write.path }}." }
"##,
    &[
        "system: … / user: Write the report.",
        "system: … / user: Write the report. \
         / assistant: I write it. Write{\"path\":\"report.md\",\"content\":\"# Outage\\n\"} \
         / tool: Wrote 9 bytes to report.md",
    ],
);
const UNAUTHORIZED: Case = case(
    "a wrong key",
    include_str!("scripts/unauthorized.yaml"),
    &["system: … / user: Say hello."],
);
const THROTTLED_ONCE: Case = case(
    "too many requests",
    include_str!("scripts/throttled-once.yaml"),
    &[
        "system: … / user: Say hello.",
        "system: … / user: Say hello.",
    ],
);
const REMEMBERS: Case = case(
    "a second process",
    r#"
- { match: Remember BLUE-42, response: { content: Noted. } }
- { match: { user: What was it, messages: { assistant: Noted } }, response: { content: BLUE-42. } }
"#,
    &[
        "system: … / user: Remember BLUE-42.",
        "system: … / user: Remember BLUE-42. / assistant: Noted. / user: What was it?",
    ],
);

struct Kimi {
    launcher: PathBuf,
    folder: TempDir,
}

/// What one run of it came to.
struct Run {
    code: Option<i32>,
    lines: Vec<Value>,
    stderr: String,
}

impl Kimi {
    /// None where it cannot be had, which has been said.
    async fn installed() -> Option<Self> {
        let deadline = Instant::now() + installing::PATIENCE;
        let output = finish(Command::new(INSTALLER), deadline).await;
        let output = output.expect("the installation comes to its end in time");
        let output = output.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        if output.status.code() == Some(NOT_HERE) {
            not_tried(stderr.lines().next_back().unwrap());
            return None;
        }
        assert!(output.status.success(), "{INSTALLER}: {stderr}");
        let launcher = String::from_utf8(output.stdout).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("work")).unwrap();
        Some(Self {
            launcher: launcher.trim_end().into(),
            folder,
        })
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    async fn is_asked(&self, stage: &Stage, arguments: &[&str]) -> Run {
        let home: &Path = self.folder.path();
        let url = format!("{}/coding/v1", stage.url());
        let mut process = Command::new(&self.launcher);
        process
            .args(["--output-format", "stream-json"])
            .args(arguments)
            .current_dir(self.work())
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", home)
            .envs([
                ("KIMI_MODEL_PROVIDER_TYPE", "kimi"),
                ("KIMI_MODEL_NAME", "kimi-for-coding"),
                ("KIMI_MODEL_API_KEY", KEY),
                ("KIMI_MODEL_BASE_URL", &url),
                ("KIMI_LOOP_MAX_ATTEMPTS_PER_STEP", "3"),
            ])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = match timeout(PATIENCE, process.output()).await {
            Ok(output) => output.unwrap(),
            Err(_) => panic!("kimi took more than {PATIENCE:?}\n{}", stage.story()),
        };
        let stdout = String::from_utf8(output.stdout).unwrap();
        let line = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        Run {
            code: output.status.code(),
            lines: stdout.lines().map(line).collect(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Run {
    /// The text of its last answer.
    #[track_caller]
    fn heard(&self) -> &str {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        let mut answers = self.lines.iter().filter(|line| line["role"] == "assistant");
        answers.next_back().unwrap()["content"].as_str().unwrap()
    }

    fn meta(&self, kind: &str) -> &Value {
        let found = self.lines.iter().find(|line| line["type"] == kind);
        found.unwrap_or_else(|| panic!("no `{kind}`: {:#?}", self.lines))
    }
}

/// Plays a case, if the CLI can be had.
async fn check(case: &Case, play: impl AsyncFnOnce(&Kimi, &Stage)) {
    let Some(kimi) = Kimi::installed().await else {
        return;
    };
    let stage = Stage::set(case).await;
    play(&kimi, &stage).await;
    stage.ends_as(case).await;
}

#[tokio::test]
async fn a_text_is_printed() {
    check(&HELLO, async |kimi, stage| {
        let run = kimi.is_asked(stage, &["-p", "Say hello."]).await;
        assert_eq!(run.heard(), "Hello guest.");
    })
    .await;
}

#[tokio::test]
async fn a_tool_writes_a_file() {
    check(&WRITES, async |kimi, stage| {
        let run = kimi.is_asked(stage, &["-p", "Write the report."]).await;
        assert_eq!(run.heard(), "Saved report.md.");
        let report = fs::read_to_string(kimi.work().join("report.md")).unwrap();
        assert_eq!(report, "# Outage\n");
    })
    .await;
}

#[tokio::test]
async fn a_wrong_key_ends_the_run() {
    check(&UNAUTHORIZED, async |kimi, stage| {
        let run = kimi.is_asked(stage, &["-p", "Say hello."]).await;
        assert_eq!(run.code, Some(1));
        assert!(run.stderr.contains("provider.auth_error"), "{}", run.stderr);
    })
    .await;
}

#[tokio::test]
async fn too_many_requests_are_tried_again() {
    check(&THROTTLED_ONCE, async |kimi, stage| {
        let run = kimi.is_asked(stage, &["-p", "Say hello."]).await;
        assert_eq!(run.heard(), "Hello at last.");
        assert_eq!(run.meta("turn.step.retrying")["status_code"], 429);
    })
    .await;
}

#[tokio::test]
async fn a_second_process_resumes_the_session() {
    check(&REMEMBERS, async |kimi, stage| {
        let run = kimi.is_asked(stage, &["-p", "Remember BLUE-42."]).await;
        assert_eq!(run.heard(), "Noted.");
        let session = &run.meta("session.resume_hint")["session_id"];
        let session = session.as_str().unwrap();
        let run = kimi
            .is_asked(stage, &["-r", session, "-p", "What was it?"])
            .await;
        assert_eq!(run.heard(), "BLUE-42.");
    })
    .await;
}
