//! The leash: a small process between the agent and a command, so that nothing the command
//! starts outlives the agent, however either of them ends.
//!
//! `agent-runner leash <command>` runs the command with bash, in a process group of its own,
//! and reports its end as one line on stderr. Its stdin is the lifeline: when it closes —
//! because the agent lets go, or is killed and the kernel closes it — everything the command
//! has started is killed, also what has left its group or its session, since as a subreaper
//! the leash inherits every orphan. It ends when nothing is left.
//!
//! `agent-runner agent-leash <command>` does the same to a program that is spoken to: stdin,
//! stdout and stderr are the program's, and stdin is the lifeline besides. The program may end
//! by itself when it closes; what is left after a moment is killed. The exit code is its own.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use fs_err as fs;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getppid, kill_process, kill_process_group, wait,
};

/// The argument that makes this program a leash.
pub const LEASH: &str = "leash";

/// The argument that makes this program the leash of an agent.
pub const AGENT_LEASH: &str = "agent-leash";

/// How long an agent whose stdin has ended may take to write down what it knows.
const FAREWELL: Duration = Duration::from_secs(3);
/// How often it is looked whether somebody still waits for that.
const LOOK: Duration = Duration::from_millis(50);

/// How a command ended: the one line a leash writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CommandEnd {
    Exited(i32),
    /// The number of the signal that killed it.
    Killed(i32),
    NotStarted(String),
}

impl std::fmt::Display for CommandEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited {code}"),
            Self::Killed(signal) => write!(f, "killed {signal}"),
            Self::NotStarted(reason) => write!(f, "not-started {reason}"),
        }
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the end of a command")]
pub(super) struct InvalidEnd(String);

impl FromStr for CommandEnd {
    type Err = InvalidEnd;

    fn from_str(line: &str) -> Result<Self, InvalidEnd> {
        let invalid = || InvalidEnd(line.to_owned());
        let (word, rest) = line.split_once(' ').ok_or_else(invalid)?;
        let number = || rest.parse().map_err(|_not_a_number| invalid());
        match word {
            "exited" => Ok(Self::Exited(number()?)),
            "killed" => Ok(Self::Killed(number()?)),
            "not-started" => Ok(Self::NotStarted(rest.to_owned())),
            _ => Err(invalid()),
        }
    }
}

/// Runs `command` on a leash; see the module.
pub fn hold_leash(command: &OsStr) -> ExitCode {
    let bash = match adopt_orphans().and_then(|()| start(command)) {
        Ok(pid) => pid,
        Err(error) => {
            report(&CommandEnd::NotStarted(error.to_string()));
            return ExitCode::FAILURE;
        }
    };
    let let_go = Arc::new(AtomicBool::new(false));
    // Not joined: it blocks on the lifeline, and ends with this process.
    let _lifeline = std::thread::spawn({
        let let_go = Arc::clone(&let_go);
        move || watch_lifeline(bash, &let_go)
    });
    outlive(bash, &let_go, |status| report(&end_of(status)));
    ExitCode::SUCCESS
}

/// Runs an agent on a leash; see the module.
pub fn hold_agent_leash(command: &OsStr) -> ExitCode {
    let agent = match adopt_orphans().and_then(|()| start_agent(command)) {
        Ok(pid) => pid,
        Err(error) => {
            // Nobody is left to tell when stderr is closed.
            let (Ok(()) | Err(_)) = writeln!(io::stderr(), "bash could not be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let let_go = Arc::new(AtomicBool::new(false));
    let (ended, end) = mpsc::sync_channel(1);
    // Not joined: it blocks on the lifeline, and ends with this process.
    let _lifeline = std::thread::spawn({
        let let_go = Arc::clone(&let_go);
        move || watch_agents_lifeline(agent, &let_go, &end)
    });
    let mut code = 1;
    outlive(agent, &let_go, |status| {
        code = exit_code(status);
        // What it has left running ends with it.
        let_go.store(true, Ordering::SeqCst);
        // The one who listens may have seen the lifeline close first.
        let (Ok(()) | Err(_)) = ended.send(());
    });
    ExitCode::from(code)
}

#[cfg(target_os = "linux")]
fn adopt_orphans() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(
        rustix::process::getpid(),
    ))?)
}

#[cfg(not(target_os = "linux"))]
fn adopt_orphans() -> io::Result<()> {
    Ok(())
}

fn start(command: &OsStr) -> io::Result<Pid> {
    // One pipe for both, so that the model reads lines in the order they were written.
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    let bash = Command::new("bash")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::null())
        .stderr(Stdio::from(output))
        // `kill 0` in a script must not reach the leash.
        .process_group(0)
        .spawn()?;
    Ok(Pid::from_child(&bash))
}

fn start_agent(command: &OsStr) -> io::Result<Pid> {
    // With `exec`, the agent itself is who gets the signals and whose end is seen. `env` takes
    // assignments before the program's name, which `exec` alone does not.
    let mut line = OsStr::new("exec env ").to_owned();
    line.push(command);
    let agent = Command::new("bash")
        .arg("-c")
        .arg(line)
        .process_group(0)
        .spawn()?;
    Ok(Pid::from_child(&agent))
}

/// Waits until nobody holds the other end of stdin, without taking from it what is the agent's.
fn watch_agents_lifeline(agent: Pid, let_go: &AtomicBool, end: &Receiver<()>) {
    let parent = getppid();
    let stdin = io::stdin();
    let mut lifeline = [PollFd::new(&stdin, PollFlags::empty())];
    // The kernel tells of a hang-up unasked. An error ends the lifeline as its end does.
    while poll(&mut lifeline, None) == Err(Errno::INTR) {}
    // Once whoever started us is gone too, nobody needs what the agent has to write down.
    let since = Instant::now();
    while since.elapsed() < FAREWELL && getppid() == parent {
        match end.recv_timeout(LOOK) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
    let_go.store(true, Ordering::SeqCst);
    kill_all(agent);
}

fn watch_lifeline(bash: Pid, let_go: &AtomicBool) {
    // Nobody writes on a lifeline; an error ends it as its end does.
    let (Ok(_) | Err(_)) = io::stdin().lock().read_to_end(&mut Vec::new());
    let_go.store(true, Ordering::SeqCst);
    kill_all(bash);
}

/// Waits until no descendant is left, and tells of the command's own end on the way.
fn outlive(bash: Pid, let_go: &AtomicBool, mut tell: impl FnMut(WaitStatus)) {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) => {
                if pid == bash {
                    tell(status);
                }
                // What a killed process had started meanwhile is ours now.
                if let_go.load(Ordering::SeqCst) {
                    kill_all(bash);
                }
            }
            Ok(None) | Err(Errno::INTR) => {}
            // No child is left: the only way `wait` fails otherwise.
            Err(_no_child) => return,
        }
    }
}

fn end_of(status: WaitStatus) -> CommandEnd {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => CommandEnd::Exited(code),
        (None, Some(signal)) => CommandEnd::Killed(signal),
        (None, None) => CommandEnd::NotStarted("it ended in an unknown way".to_owned()),
    }
}

/// As a shell has it: 128 and the signal's number for what a signal has ended.
fn exit_code(status: WaitStatus) -> u8 {
    let code = match end_of(status) {
        CommandEnd::Exited(code) => code,
        CommandEnd::Killed(signal) => 128 + signal,
        CommandEnd::NotStarted(_) => 1,
    };
    u8::try_from(code).unwrap_or(1)
}

fn report(end: &CommandEnd) {
    // An agent that is gone needs no report.
    let (Ok(()) | Err(_)) = io::stderr().write_all(format!("{end}\n").as_bytes());
}

/// Kills the command's group and every descendant. What is gone already needs no killing, so
/// errors are of no interest.
fn kill_all(bash: Pid) {
    let (Ok(()) | Err(_)) = kill_process_group(bash, Signal::KILL);
    for pid in descendants(rustix::process::getpid()) {
        let (Ok(()) | Err(_)) = kill_process(pid, Signal::KILL);
    }
}

/// Every process below `root`, from `/proc`. Processes come and go meanwhile; the caller looks
/// again whenever one has ended.
fn descendants(root: Pid) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let parents: Vec<(Pid, Pid)> = entries
        .filter_map(|entry| match entry {
            Ok(entry) => parentage(&entry.file_name()),
            Err(_gone) => None,
        })
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(
            parents
                .iter()
                .filter(|pair| pair.1 == parent)
                .map(|pair| pair.0),
        );
        next += 1;
    }
    found.split_off(1)
}

/// A process and its parent; none for what is no process, or no more.
fn parentage(name: &OsStr) -> Option<(Pid, Pid)> {
    let pid = name.to_str().and_then(pid)?;
    let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())) else {
        return None;
    };
    // `pid (comm) state ppid …`; comm may hold anything, also a parenthesis.
    let (_, after_name) = stat.rsplit_once(") ")?;
    Some((pid, after_name.split(' ').nth(1).and_then(self::pid)?))
}

fn pid(text: &str) -> Option<Pid> {
    match text.parse() {
        Ok(number) => Pid::from_raw(number),
        Err(_not_a_process) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commands_end_survives_its_line() {
        for end in [
            CommandEnd::Exited(3),
            CommandEnd::Killed(9),
            CommandEnd::NotStarted("no bash here".into()),
        ] {
            assert_eq!(end.to_string().parse(), Ok(end));
        }
        assert!("exited soon".parse::<CommandEnd>().is_err());
        assert!("panicked".parse::<CommandEnd>().is_err());
    }

    #[test]
    fn a_child_is_found_below_us() {
        let mut child = Command::new("bash")
            .args(["-c", "read line"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let found = descendants(rustix::process::getpid());
        assert!(found.contains(&Pid::from_child(&child)), "{found:?}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
