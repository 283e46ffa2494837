//! Floors: processes started and awaited with nothing around them.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::Binaries;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Makes this program one that starts tokio and then does nothing.
pub(crate) const EMPTY_PROGRAM: &str = "--empty-program";

/// nanokimi is ready, or has ended, long before.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process that is killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    _folder: Option<TempDir>,
}

/// Starts nanokimi on a new folder; how long it took until it said that it is ready.
pub(crate) fn start(binaries: &Binaries) -> io::Result<(Duration, Running)> {
    let folder = tempfile::tempdir()?;
    let notifications = folder.path().join("notify");
    let socket = UnixDatagram::bind(&notifications)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let root = folder.path().join("root");
    fs_err::create_dir(&root)?;
    let mut command = Command::new(&binaries.nanokimi);
    command
        .args(["run", "--root"])
        .arg(&root)
        .env_clear()
        .env("HOME", folder.path())
        .env("NOTIFY_SOCKET", &notifications)
        .env("NANOKIMI_AGENT_RUNNER", &binaries.agent_runner)
        .envs([
            ("NANOKIMI_AGENT_RUNTIME", "host"),
            ("NANOKIMI_HTTP_LISTEN", "127.0.0.1:0"),
            ("OPENROUTER_API_KEY", "none"),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let began = Instant::now();
    let running = Running {
        child: command.spawn()?,
        _folder: Some(folder),
    };
    wait_until_ready(&socket)?;
    Ok((began.elapsed(), running))
}

fn wait_until_ready(socket: &UnixDatagram) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer)?;
        let text = String::from_utf8_lossy(&buffer[..length]);
        if text.lines().any(|line| line == "READY=1") {
            return Ok(());
        }
    }
}

/// As [`start`], and on until nanokimi has ended in order.
pub(crate) fn start_and_end(binaries: &Binaries) -> io::Result<Duration> {
    let (ready, mut nanokimi) = start(binaries)?;
    let told = Instant::now();
    let pid = i32::try_from(nanokimi.child.id()).map_err(io::Error::other)?;
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?;
    kill_process(pid, Signal::TERM)?;
    let status = nanokimi.child.wait()?;
    let took = ready + told.elapsed();
    if status.success() {
        return Ok(took);
    }
    Err(io::Error::other(format!(
        "nanokimi did not end well: {status}"
    )))
}

/// An agent is two processes: its guard and itself.
pub(crate) fn two_processes() -> io::Result<Duration> {
    let began = Instant::now();
    for _ in 0..2 {
        Command::new("true").status()?;
    }
    Ok(began.elapsed())
}

/// Our own program, doing nothing.
pub(crate) fn empty_program() -> io::Result<Running> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(EMPTY_PROGRAM);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let out = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    // From here on it is killed when something fails.
    let running = Running {
        child,
        _folder: None,
    };
    BufReader::new(out).read_line(&mut String::new())?;
    Ok(running)
}

/// What [`empty_program`] runs: says that it is there and waits for the end of its input.
pub(crate) fn be_empty() -> io::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        io::Write::write_all(&mut io::stdout(), b"here\n")?;
        io::stdin().lock().read_to_end(&mut Vec::new()).map(drop)
    })
}

impl Running {
    /// Memory in use now, in kilobytes of 1,024 bytes.
    pub(crate) fn resident(&self) -> io::Result<u32> {
        let status = fs_err::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        let number = number.ok_or(io::ErrorKind::InvalidData)?;
        number.parse().map_err(io::Error::other)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; either way nothing is left.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
