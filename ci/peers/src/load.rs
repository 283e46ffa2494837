//! Clients that ask the same again and again over kept-alive connections.
//!
//! Raw sockets, since a real HTTP client would cost more than the servers it measures.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::case::Case;

/// How many ask at once where nothing else is said.
const CONNECTIONS: usize = 16;
/// The longest time for one answer; who needs more is not measured, but stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// One request, as bytes, and how many ask so at once.
#[derive(Clone)]
pub(crate) struct Load {
    request: Bytes,
    connections: usize,
}

/// What it took to be answered, in ascending order, and how long all of it lasted.
pub(crate) struct Latencies {
    pub(crate) each: Vec<Duration>,
    pub(crate) took: Duration,
}

impl Load {
    pub(crate) fn of(case: Case) -> Self {
        let body = case.body();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer sk-bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        Self {
            request: [head, body].concat().into(),
            connections: CONNECTIONS,
        }
    }

    /// A request of its own, e.g. `GET /x`, with a body if it sends one.
    pub(crate) fn asking(line: &str, body: &[u8], connections: usize) -> Self {
        let length = body.len();
        let head = format!(
            "{line} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer bench\r\ncontent-type: application/octet-stream\r\ncontent-length: {length}\r\n\r\n"
        );
        Self {
            request: [head.as_bytes(), body].concat().into(),
            connections,
        }
    }

    /// The whole answer to one request.
    pub(crate) async fn once(&self, address: SocketAddr) -> io::Result<String> {
        within(PATIENCE, async {
            let mut client = Client::connected(address).await?;
            client.ask(&self.request).await?;
            Ok(String::from_utf8_lossy(&client.answer).into_owned())
        })
        .await
    }

    /// Asks until there were so many requests, or so much time is over.
    pub(crate) async fn run(
        &self,
        address: SocketAddr,
        requests: usize,
        longest: Duration,
    ) -> io::Result<Latencies> {
        let started = Instant::now();
        let mut clients = JoinSet::new();
        for _ in 0..self.connections {
            let load = self.clone();
            // One timer for all of them: one for each request would be measured too.
            clients.spawn(within(longest + PATIENCE, async move {
                let mut client = Client::connected(address).await?;
                let share = requests.div_ceil(load.connections);
                let mut each = Vec::with_capacity(share);
                while each.len() < share && started.elapsed() < longest {
                    let asked = Instant::now();
                    client.ask(&load.request).await?;
                    each.push(asked.elapsed());
                }
                Ok(each)
            }));
        }
        let mut each = Vec::with_capacity(requests);
        while let Some(client) = clients.join_next().await {
            each.extend(client.map_err(io::Error::other)??);
        }
        let took = started.elapsed();
        each.sort_unstable();
        Ok(Latencies { each, took })
    }
}

/// Asks each of these once, over one connection, until the time is up; returns how many were
/// answered.
pub(crate) async fn one_after_the_other(
    address: SocketAddr,
    loads: impl Iterator<Item = Load>,
    longest: Duration,
) -> io::Result<usize> {
    let started = Instant::now();
    within(longest + PATIENCE, async {
        let mut client = Client::connected(address).await?;
        let mut answered = 0;
        for load in loads {
            if started.elapsed() > longest {
                break;
            }
            client.ask(&load.request).await?;
            answered += 1;
        }
        Ok(answered)
    })
    .await
}

impl Latencies {
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let last = self.each.len().saturating_sub(1);
        let place = (self.each.len() * percent / 100).min(last);
        self.each.get(place).copied().unwrap_or_default()
    }
}

struct Client {
    address: SocketAddr,
    socket: TcpStream,
    answer: Vec<u8>,
}

impl Client {
    async fn connected(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            address,
            socket: connected(address).await?,
            answer: Vec::with_capacity(64 << 10),
        })
    }

    async fn ask(&mut self, request: &[u8]) -> io::Result<()> {
        self.socket.write_all(request).await?;
        self.answer.clear();
        let mut end = None;
        while !self.is_whole(&mut end)? {
            if self.socket.read_buf(&mut self.answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if end.is_some_and(|end| end.closes) {
            self.socket = connected(self.address).await?;
        }
        Ok(())
    }

    /// Looks at the head once, and then only at the end.
    fn is_whole(&self, end: &mut Option<End>) -> io::Result<bool> {
        if end.is_none() {
            *end = End::read(&self.answer)?;
        }
        Ok(match end {
            None => false,
            Some(End { at: Some(at), .. }) => self.answer.len() >= *at,
            Some(End { at: None, .. }) => self.answer.ends_with(b"\r\n0\r\n\r\n"),
        })
    }
}

async fn within<T>(
    patience: Duration,
    asking: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let late = |_| io::Error::other(format!("no answer within {patience:?}"));
    timeout(patience, asking).await.map_err(late)?
}

async fn connected(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Where an answer ends, as its head tells; none of both if it comes in chunks.
struct End {
    at: Option<usize>,
    closes: bool,
}

impl End {
    fn read(answer: &[u8]) -> io::Result<Option<Self>> {
        let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        let is_old = head.starts_with("http/1.0 200");
        if !is_old && !head.starts_with("http/1.1 200") {
            let answer = String::from_utf8_lossy(answer);
            return Err(io::Error::other(format!("it answers {answer:.300}")));
        }
        let mut read = Self {
            at: None,
            closes: is_old,
        };
        for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
            if name == "content-length" {
                let length: usize = value.parse().map_err(io::Error::other)?;
                read.at = Some(end + 4 + length);
            }
            read.closes |= name == "connection" && value == "close";
        }
        Ok(Some(read))
    }
}
