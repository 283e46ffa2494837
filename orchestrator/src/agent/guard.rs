//! The guard: a small process between us and each agent, so that no agent outlives us and
//! nothing it started outlives it.
//!
//! `nanokimi agent-guard` starts the agent in a process group of its own and adopts whatever
//! the agent's children leave behind. When the agent ends, when it is told to stop, or when
//! the orchestrator dies (even by `kill -9`), it ends every process below itself and goes.

use std::ffi::OsString;
use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err::File;
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, getppid, kill_process, kill_process_group,
    set_child_subreaper, set_parent_process_death_signal, wait,
};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// What to guard.
#[derive(Clone, Debug)]
pub struct Guard {
    /// The process whose death ends the agent.
    pub parent: i32,
    /// How long the agent may take to end after it was asked to.
    pub grace: Duration,
    /// Held as long as anything of the agent is alive, so that its successor waits for that.
    pub lock: PathBuf,
    pub command: Vec<OsString>,
}

/// How often a lock is looked at, and how long its holder may take to end.
const LOOK: Duration = Duration::from_millis(10);
const PREDECESSOR: Duration = Duration::from_secs(10);

/// The exit code of a shell for a process that a signal ended.
const SIGNALLED: i32 = 128;

/// Runs the agent to its end and returns its exit code. Must be called on the only thread of
/// the process: the kernel watches the thread that asks.
pub async fn guard(guard: Guard) -> io::Result<u8> {
    let mut told = signal(SignalKind::terminate())?;
    set_parent_process_death_signal(Some(Signal::TERM))?;
    set_child_subreaper(Some(getpid()))?;
    // The parent may have died before the kernel was told to watch it.
    if getppid().map(Pid::as_raw_pid) != Some(guard.parent) {
        return Ok(1);
    }
    let _lock = tokio::select! {
        lock = take_lock(&guard.lock) => lock?,
        _ = told.recv() => return Ok(1),
    };
    let Some((program, arguments)) = guard.command.split_first() else {
        return Err(io::Error::other("nothing to guard"));
    };
    let mut agent = Command::new(program)
        .args(arguments)
        .process_group(0)
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", program.display())))?;
    let status = tokio::select! {
        status = agent.wait() => status?,
        _ = told.recv() => ask_to_end(&mut agent, guard.grace).await?,
    };
    end_all_below()?;
    let code = status.code().unwrap_or_else(|| {
        SIGNALLED + std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0)
    });
    Ok(u8::try_from(code).unwrap_or(1))
}

/// Waits until no earlier agent of the group is alive. The kernel frees the lock however its
/// holder ends, but tells nobody, so we have to look.
pub(crate) async fn take_lock(path: &Path) -> io::Result<File> {
    let mut options = fs_err::OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    let mut looks = tokio::time::interval(LOOK);
    let until = tokio::time::Instant::now() + PREDECESSOR;
    while let Err(error) = file.file().try_lock() {
        if let TryLockError::Error(error) = error {
            return Err(error);
        }
        if tokio::time::Instant::now() > until {
            let message = "an earlier agent of this group is still alive";
            return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
        }
        looks.tick().await;
    }
    Ok(file)
}

async fn ask_to_end(agent: &mut Child, grace: Duration) -> io::Result<std::process::ExitStatus> {
    let pid = agent.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(group) = pid {
        ignore_gone(kill_process_group(group, Signal::TERM))?;
    }
    if let Ok(status) = tokio::time::timeout(grace, agent.wait()).await {
        return status;
    }
    if let Some(group) = pid {
        ignore_gone(kill_process_group(group, Signal::KILL))?;
    }
    agent.wait().await
}

/// Kills our children until there are none: what a killed one leaves behind becomes our child.
fn end_all_below() -> io::Result<()> {
    loop {
        for child in children()? {
            ignore_gone(kill_process(child, Signal::KILL))?;
        }
        match wait(WaitOptions::empty()) {
            Ok(_) => {}
            Err(rustix::io::Errno::CHILD) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

pub(super) fn ignore_gone(sent: rustix::io::Result<()>) -> io::Result<()> {
    match sent {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The processes whose parent we are, from `/proc`.
pub(super) fn children() -> io::Result<Vec<Pid>> {
    let ours = getpid();
    let mut found = Vec::new();
    for entry in fs_err::read_dir("/proc")? {
        let entry = entry?;
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        // It may be gone by the time we look.
        let Ok(stat) = fs_err::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        if parent_in(&stat) == Some(ours.as_raw_pid()) {
            found.extend(Pid::from_raw(pid));
        }
    }
    Ok(found)
}

/// The fourth field of `/proc/<pid>/stat`; the second, a name in brackets, may hold anything.
fn parent_in(stat: &str) -> Option<i32> {
    let (_name, rest) = stat.rsplit_once(')')?;
    match rest.split_whitespace().nth(1)?.parse() {
        Ok(parent) => Some(parent),
        Err(_not_a_number) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_brackets_in_its_name_has_a_parent_too() {
        assert_eq!(parent_in("42 (a) b (c)) S 7 42 42 0"), Some(7));
        assert_eq!(parent_in("garbage"), None);
    }
}
