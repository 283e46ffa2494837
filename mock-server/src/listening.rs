//! A mock that is up, from the moment it has a port to the moment it is joined.
//!
//! Sockets only: what is spoken over them is the business of who starts it.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::panic::resume_unwind;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// A running mock service.
#[derive(Debug)]
#[must_use = "join the mock, or its failures are lost"]
pub struct Listening {
    address: SocketAddr,
    stop: CancellationToken,
    accepting: JoinSet<io::Result<()>>,
}

/// The port could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {way_out}")]
pub struct ListenError {
    address: SocketAddr,
    way_out: &'static str,
    source: io::Error,
}

impl Listening {
    /// Takes the port before returning, so there is nothing to poll for: a client that
    /// connects at once waits in the kernel's queue. Port 0 is any free one.
    ///
    /// Each connection is given the token that says when to end; it must then end soon.
    ///
    /// # Errors
    /// The port is taken, or not ours to take.
    pub async fn start<F>(
        address: SocketAddr,
        serve: impl Fn(TcpStream, CancellationToken) -> F + Send + 'static,
    ) -> Result<Self, ListenError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let refused = |source| ListenError::new(address, source);
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let stop = CancellationToken::new();
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, serve, stop.clone()));
        Ok(Self {
            address,
            stop,
            accepting,
        })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the port, waits for open connections, and fails as the mock failed: a panic
    /// in a mock is a panic in the scenario.
    ///
    /// # Errors
    /// No further connection could be accepted at some time.
    pub async fn join(mut self) -> io::Result<()> {
        self.stop.cancel();
        self.accepting.join_next().await.map_or(Ok(()), unwound)
    }
}

/// What to do about the usual reasons.
const WAYS_OUT: [(ErrorKind, &str); 3] = [
    (
        ErrorKind::AddrInUse,
        "the port is taken; choose another, or 0 for any free one",
    ),
    (
        ErrorKind::AddrNotAvailable,
        "no interface of this machine has that address",
    ),
    (
        ErrorKind::PermissionDenied,
        "ports below 1024 are for root; choose a higher one",
    ),
];

impl ListenError {
    fn new(address: SocketAddr, source: io::Error) -> Self {
        let known = WAYS_OUT.iter().find(|(kind, _)| *kind == source.kind());
        Self {
            address,
            way_out: known.map_or("the system refused", |(_, way_out)| way_out),
            source,
        }
    }
}

async fn accept<F>(
    listener: TcpListener,
    serve: impl Fn(TcpStream, CancellationToken) -> F,
    stop: CancellationToken,
) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(closed) = open.join_next() => unwound(closed),
            accepted = listener.accept() => match accepted {
                Ok((socket, _peer)) => {
                    // With Nagle's algorithm each answer on a kept-alive stream takes 40 ms.
                    socket.set_nodelay(true)?;
                    open.spawn(serve(socket, stop.clone()));
                }
                // Who hung up in the queue has taken nothing from the others.
                Err(gone) if gone.kind() == ErrorKind::ConnectionAborted => {}
                Err(failed) => return Err(failed),
            },
        }
    }
    drop(listener);
    while let Some(closed) = open.join_next().await {
        unwound(closed);
    }
    Ok(())
}

fn unwound<T>(ended: Result<T, JoinError>) -> T {
    ended.unwrap_or_else(|panicked| resume_unwind(panicked.into_panic()))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const ANY_PORT: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    #[tokio::test]
    async fn a_panic_in_a_mock_reaches_the_scenario() {
        let mock = Listening::start(ANY_PORT, |_, _| async { panic!("no such bucket") })
            .await
            .unwrap();
        let client = TcpStream::connect(mock.address()).await.unwrap();
        // The mock hangs up when it panics.
        client.readable().await.unwrap();

        let mut scenario = JoinSet::new();
        scenario.spawn(mock.join());

        assert!(scenario.join_next().await.unwrap().unwrap_err().is_panic());
    }

    #[tokio::test]
    async fn open_connections_are_waited_for() {
        let mock = Listening::start(ANY_PORT, async |mut socket: TcpStream, stop| {
            socket.write_all(b"hello, ").await.unwrap();
            CancellationToken::cancelled(&stop).await;
            socket.write_all(b"goodbye").await.unwrap();
        });
        let mock = mock.await.unwrap();
        let mut client = TcpStream::connect(mock.address()).await.unwrap();
        // Heard, so the connection is accepted.
        client.read_exact(&mut [0; 7]).await.unwrap();

        mock.join().await.unwrap();

        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "goodbye");
    }

    #[tokio::test]
    async fn a_taken_port_is_refused_with_the_way_out() {
        let first = Listening::start(ANY_PORT, |_, _| async {}).await.unwrap();
        let second = Listening::start(first.address(), |_, _| async {}).await;

        let text = second
            .unwrap_err()
            .to_string()
            .replace(&first.address().to_string(), "<address>");
        assert_eq!(
            text,
            "cannot listen on <address>: the port is taken; choose another, or 0 for any free one"
        );
        first.join().await.unwrap();
    }
}
