//! A client that asks the same again and again over kept-alive connections.
//!
//! Raw sockets, since a real HTTP client would cost more than the servers it measures.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const CONNECTIONS: usize = 16;

/// What is asked, and how often.
#[derive(Clone)]
pub(crate) struct Load {
    request: Vec<u8>,
    requests: usize,
}

pub(crate) struct Measured {
    pub(crate) took: Duration,
    /// In ascending order.
    pub(crate) latencies: Vec<Duration>,
}

impl Load {
    pub(crate) fn new(body: &str, requests: usize) -> Self {
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer sk-bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Self {
            request: request.into_bytes(),
            requests,
        }
    }

    pub(crate) async fn once(&self, address: SocketAddr) -> io::Result<()> {
        self.ask(address, 1).await.map(drop)
    }

    pub(crate) async fn run(&self, address: SocketAddr) -> io::Result<Measured> {
        let started = Instant::now();
        let mut clients = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let load = self.clone();
            clients.spawn(async move { load.ask(address, load.requests / CONNECTIONS).await });
        }
        let mut latencies = Vec::with_capacity(self.requests);
        while let Some(client) = clients.join_next().await {
            latencies.extend(client.map_err(io::Error::other)??);
        }
        let took = started.elapsed();
        latencies.sort_unstable();
        Ok(Measured { took, latencies })
    }

    async fn ask(&self, address: SocketAddr, times: usize) -> io::Result<Vec<Duration>> {
        let mut socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let mut latencies = Vec::with_capacity(times);
        let mut answer = Vec::with_capacity(64 << 10);
        for _ in 0..times {
            let asked = Instant::now();
            socket.write_all(&self.request).await?;
            answer.clear();
            while !is_whole(&answer) {
                if socket.read_buf(&mut answer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            if !answer.starts_with(b"HTTP/1.1 200") {
                return Err(io::Error::other(
                    String::from_utf8_lossy(&answer).into_owned(),
                ));
            }
            latencies.push(asked.elapsed());
        }
        Ok(latencies)
    }
}

impl Measured {
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let place = (self.latencies.len() * percent / 100).min(self.latencies.len() - 1);
        self.latencies[place]
    }
}

/// Of the two ways in which the length of a body is told, both.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&answer[..end]);
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    match length.map(str::parse::<usize>) {
        Some(length) => length.is_ok_and(|length| answer.len() >= end + 4 + length),
        None => answer.ends_with(b"\r\n0\r\n\r\n"),
    }
}
