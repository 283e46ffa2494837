//! The host runtime: an agent as a child process under a guard, without isolation.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use super::guards::Guards;
use super::home::Home;
use super::run_log::RunLog;
use super::running::{Ended, StartError, Started, TO_END};
use super::streams::{drain, feed};
use crate::house::House;
use crate::workspace::Ticket;

/// How much longer than its agent a guard may take to end.
pub(super) const GUARD_TO_END: Duration = Duration::from_secs(1);

/// A guard with its agent.
#[derive(Debug)]
pub(super) struct HostProcess {
    guard: Child,
    pid: Pid,
    guards: Guards,
}

impl HostProcess {
    pub(super) fn start(
        house: &House,
        (guard, guards): (&Path, &Guards),
        home: &Home,
        input: Vec<u8>,
        log: &RunLog,
    ) -> Result<(Self, Started), StartError> {
        let config = &house.config;
        if !config.agent_runner.is_file() {
            return Err(StartError::NoRunner(config.agent_runner.clone()));
        }
        let mut child = Command::new(guard)
            .arg("agent-guard")
            .args(["--parent".into(), std::process::id().to_string()])
            .args(["--grace-ms".into(), TO_END.as_millis().to_string()])
            .arg("--lock")
            .arg(&home.lock)
            .arg("--")
            .arg(&config.agent_runner)
            .env_clear()
            .envs(environment(house, home))
            .current_dir(&home.group)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(StartError::Spawn)?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let pid = pid.ok_or_else(|| StartError::Spawn(std::io::Error::other("it has ended")))?;
        guards.started(pid);
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(StartError::Spawn(std::io::Error::other(
                "a stream is missing",
            )));
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(feed(stdin, input));
        tasks.spawn(drain(stderr, log.clone()));
        let process = Self {
            guard: child,
            pid,
            guards: guards.clone(),
        };
        let stdout = Box::new(stdout);
        Ok((process, Started { stdout, tasks }))
    }

    /// Waits for the end, or brings it about.
    pub(super) async fn end(&mut self, at_once: bool, log: &RunLog) -> std::io::Result<Ended> {
        let status = self.wait_or_stop(at_once, log).await?;
        let was_killed = status.signal().is_some();
        if let Err(error) = self.guards.ended(self.pid, was_killed) {
            tracing::error!(%error, "what a killed guard left behind cannot be ended");
        }
        Ok(Ended {
            is_success: status.success(),
            status: status.to_string(),
            fault: format!("the agent exited with {}", code_of(status)),
        })
    }

    async fn wait_or_stop(&mut self, at_once: bool, log: &RunLog) -> std::io::Result<ExitStatus> {
        if !at_once && let Ok(status) = tokio::time::timeout(TO_END, self.guard.wait()).await {
            return status;
        }
        if self.guard.id().is_some()
            && let Err(error) = kill_process(self.pid, Signal::TERM)
        {
            log.line(&format!("the guard cannot be told to stop: {error}"));
        }
        if let Ok(status) = tokio::time::timeout(TO_END + GUARD_TO_END, self.guard.wait()).await {
            return status;
        }
        self.guard.kill().await?;
        self.guard.wait().await
    }
}

fn code_of(status: ExitStatus) -> String {
    status
        .code()
        .map_or_else(|| status.to_string(), |code| format!("code {code}"))
}

/// The whole environment of an agent; no secret is in it but what is good for this run alone.
fn environment(house: &House, home: &Home) -> Vec<(&'static str, OsString)> {
    let config = &house.config;
    let mut environment: Vec<(&'static str, OsString)> = vec![
        ("PATH", config.search_path.clone()),
        ("HOME", home.home.clone().into()),
        ("NANOKIMI_GROUP_DIR", home.group.clone().into()),
        ("NANOKIMI_IPC_DIR", home.ipc.clone().into()),
        ("NANOKIMI_CREDENTIALS", home.credentials.clone().into()),
        ("NANOKIMI_KIMI_LOGIN", home.login.clone().into()),
    ];
    if home.is_main {
        environment.push(("NANOKIMI_PROJECT_DIR", house.root.clone().into()));
    } else {
        environment.push(("NANOKIMI_GLOBAL_DIR", home.global.clone().into()));
    }
    let extra = home.extra.clone();
    environment.extend(extra.map(|extra| ("NANOKIMI_EXTRA_DIR", extra.into())));
    let token = home.ticket.as_ref().map(Ticket::token);
    environment.extend(token.map(|token| ("NANOKIMI_RUN_TOKEN", token.into())));
    environment.extend(config.agent_environment());
    environment
}
