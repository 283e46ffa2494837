//! A server as a process of its own: started, asked, and looked at through `/proc`.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::ChildStdout;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::case::Case;
use crate::load::Load;
use crate::peer::{Peer, Place};
use crate::table::Figures;

/// What Linux counts CPU time in, on every architecture that we build for.
const TICKS_PER_SECOND: u32 = 100;
/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is started for the time that a start takes.
const STARTS: usize = 5;
/// The part of the requests that only warm it up.
const WARMING: usize = 10;

/// A server that runs. Killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From the start of the process to the end of its first answer.
    cold: Duration,
    _folder: TempDir,
}

/// How to start a server that is given a folder of its own and a free port.
pub(crate) struct Start<F> {
    pub(crate) command: F,
    /// Whether it takes a port of its own and says which.
    pub(crate) tells_its_port: bool,
}

/// All figures of one server in one case.
pub(crate) async fn measure(
    peer: Peer,
    place: &Place,
    case: &Case,
    seconds: u64,
) -> io::Result<Figures> {
    let load = Load::of(*case);
    let longest = Duration::from_secs(seconds);
    let started = async || {
        let start = Start {
            command: |folder: &Path, port| peer.command(place, folder, *case, port),
            tells_its_port: peer.tells_its_port(),
        };
        let (running, answer) = Running::started(start, &load).await?;
        match case.is_answered_by(&answer) {
            true => Ok(running),
            false => Err(io::Error::other(format!("it answers {answer:.300}"))),
        }
    };
    let mut cold = Vec::new();
    for _ in 1..STARTS {
        cold.push(started().await?.cold);
    }
    let running = started().await?;
    cold.push(running.cold);
    cold.sort_unstable();

    let first = running.memory()?;
    let requests = case.requests();
    load.run(running.address, requests / WARMING, longest / 3)
        .await?;
    let before = running.cpu_time()?;
    let latencies = load.run(running.address, requests, longest).await?;
    let cpu = running.cpu_time()?.saturating_sub(before);
    Ok(Figures {
        cold: cold[STARTS / 2],
        latencies,
        cpu,
        memory: (first, running.memory()?),
    })
}

impl Running {
    /// Starts it, and returns it with its first answer.
    pub(crate) async fn started(
        start: Start<impl FnOnce(&Path, u16) -> io::Result<Command>>,
        load: &Load,
    ) -> io::Result<(Self, String)> {
        let folder = tempfile::tempdir()?;
        // Free a moment ago, and nobody else is measured meanwhile.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = (start.command)(folder.path(), port)?;
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command.stdout(match start.tells_its_port {
            true => Stdio::piped(),
            false => Stdio::null(),
        });
        let began = Instant::now();
        let child = command.spawn()?;
        let mut running = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            cold: Duration::ZERO,
            _folder: folder,
        };
        if let Some(out) = running.child.stdout.take() {
            running.address = told(ChildStdout::from_std(out)?, PATIENCE).await?;
        }
        let answer = running.first_answer(load, began).await?;
        running.cold = began.elapsed();
        Ok((running, answer))
    }

    /// Asks until somebody listens.
    async fn first_answer(&mut self, load: &Load, start: Instant) -> io::Result<String> {
        let mut beat = interval(Duration::from_millis(1));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            match load.once(self.address).await {
                Err(fault) if fault.kind() == io::ErrorKind::ConnectionRefused => {}
                answer => return answer,
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("it ended with {status}")));
            }
            if start.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("no answer within {PATIENCE:?}")));
            }
        }
    }

    /// What the process has spent so far, in and out of the kernel.
    fn cpu_time(&self) -> io::Result<Duration> {
        let stat = fs_err::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name of the program may hold anything, but it ends at the last parenthesis;
        // user and system time are the 12th and 13th field behind it.
        let (_, fields) = stat.rsplit_once(')').ok_or(io::ErrorKind::InvalidData)?;
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u32 = ticks
            .map(str::parse::<u32>)
            .sum::<Result<_, _>>()
            .map_err(io::Error::other)?;
        Ok(Duration::from_secs(1) * ticks / TICKS_PER_SECOND)
    }

    /// Resident memory in megabytes.
    pub(crate) fn memory(&self) -> io::Result<u64> {
        let status = fs_err::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kilobytes = kilobytes.ok_or(io::ErrorKind::InvalidData)?;
        Ok(kilobytes.parse::<u64>().map_err(io::Error::other)? >> 10)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; either way nothing is left.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The address at the end of the first line.
async fn told(out: ChildStdout, patience: Duration) -> io::Result<SocketAddr> {
    let mut lines = BufReader::new(out).lines();
    let late = |_| {
        io::Error::other(format!(
            "it does not say where it listens within {patience:?}"
        ))
    };
    let line = timeout(patience, lines.next_line()).await.map_err(late)??;
    let line = line.unwrap_or_else(String::new);
    let (_, address) = line
        .trim_end()
        .rsplit_once("//")
        .ok_or_else(|| io::Error::other("it does not say where it listens"))?;
    address.parse().map_err(io::Error::other)
}
