//! HTTPS for clients that insist on it: the same mocks, on a port of their own.
//!
//! What is behind the port learns of it as from any proxy that ends TLS: by `Forwarded` (RFC 7239)
//! with the host and `proto=https`, so that the places it hands out can be followed.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::http::HeaderValue;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::advertised::{Advertised, Beside};
use crate::identity::{Identity, IdentityError};
use crate::journal::Journal;
use crate::listening::{ListenError, Listening};
use crate::scatter::scatter;
use crate::server::{not_http, speak_http};

/// What clients of the port meet first.
#[derive(Clone, Debug)]
pub(crate) struct Front {
    address: SocketAddr,
    beside: Beside,
    identity: Identity,
}

/// The port for HTTPS, open.
#[derive(Debug)]
#[must_use = "join it, or its failures are lost"]
pub(crate) struct Https {
    listening: Listening,
    front: Front,
}

/// It could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl Front {
    /// To be opened at `address`, and known to clients as `advertised`.
    ///
    /// # Errors
    /// No certificate can be made.
    pub(crate) fn make(
        address: SocketAddr,
        advertised: Option<&Advertised>,
        seed: u64,
    ) -> Result<Self, IdentityError> {
        let beside = Beside::new(address.ip(), advertised);
        let identity = Identity::make(|part| secret(seed, part), &beside)?;
        Ok(Self {
            address,
            beside,
            identity,
        })
    }

    /// The certificate of the authority to be trusted, as PEM.
    pub(crate) fn authority(&self) -> &str {
        self.identity.authority()
    }

    async fn serve(
        self,
        socket: TcpStream,
        stop: CancellationToken,
        (router, journal): (Router, Journal),
    ) {
        // A socket without an address is closed already.
        let Ok(address) = socket.local_addr() else {
            return;
        };
        let Some(stream) = self.identity.show(socket, &stop).await else {
            return;
        };
        let known = self.beside.told(address.port());
        let forwarded = format!("host=\"{known}\";proto=https");
        let forwarded = match HeaderValue::try_from(forwarded) {
            Ok(forwarded) => Some(forwarded),
            // A name that is advertised has nothing in it that may not stand in a header.
            Err(_never) => None,
        };
        if let Some(fault) = speak_http(stream, stop, (router, forwarded)).await {
            not_http(&journal, &fault);
        }
    }
}

impl Https {
    /// Clients may connect as soon as this returns.
    ///
    /// # Errors
    /// The port cannot be had.
    pub(crate) async fn open(front: Front, served: (Router, Journal)) -> Result<Self, ListenError> {
        let shown = front.clone();
        let serve = move |socket, stop| shown.clone().serve(socket, stop, served.clone());
        let listening = Listening::start(front.address, serve).await?;
        Ok(Self { listening, front })
    }

    /// As clients know it, e.g. `https://127.0.0.1:41326`.
    pub(crate) fn url(&self) -> String {
        let known = self.front.beside.told(self.listening.address().port());
        format!("https://{known}")
    }

    pub(crate) fn authority(&self) -> &str {
        self.front.authority()
    }

    /// Closes the port and waits for open connections.
    ///
    /// # Errors
    /// No further connection could be accepted at some time.
    pub(crate) async fn join(self) -> io::Result<()> {
        self.listening.join().await
    }
}

/// 32 bytes for a part, the same in every run.
fn secret(seed: u64, part: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    let start = scatter(seed);
    let mut state = part
        .bytes()
        .fold(start, |state, byte| scatter(state ^ u64::from(byte)));
    for piece in bytes.chunks_exact_mut(8) {
        state = scatter(state);
        piece.copy_from_slice(&state.to_be_bytes());
    }
    bytes
}
