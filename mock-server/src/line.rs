//! A connection whose end can be chosen: hung up on, or reset.
//!
//! The cut comes when all that was written before it has gone out, not sooner; what the
//! kernel still holds for a client that does not read is lost by a reset, as on a real line.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// With a reset: the client's next read fails.
    Reset,
    /// As a program that ends closes it: the client reads an end.
    Close,
}

/// Cuts one connection. To be used by its own task only, which looks at it whenever it has
/// nothing left to write.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scissors(Arc<OnceLock<Cut>>);

/// What a connection goes over.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The socket at the bottom of it.
    fn bottom(&self) -> &TcpStream;
}

impl Socket for TcpStream {
    fn bottom(&self) -> &TcpStream {
        self
    }
}

impl Socket for TlsStream<TcpStream> {
    fn bottom(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// A connection that can be cut.
#[derive(Debug)]
pub(crate) struct Line<S> {
    socket: S,
    scissors: Scissors,
}

impl Scissors {
    /// Ends the connection as soon as everything written is on its way. The first cut counts.
    pub(crate) fn cut(&self, how: Cut) {
        self.0.get_or_init(|| how);
    }
}

impl<S: Socket> Line<S> {
    pub(crate) fn new(socket: S) -> (Self, Scissors) {
        let scissors = Scissors::default();
        let line = Self {
            socket,
            scissors: scissors.clone(),
        };
        (line, scissors)
    }

    fn socket(self: Pin<&mut Self>) -> Pin<&mut S> {
        Pin::new(&mut self.get_mut().socket)
    }
}

impl<S: Socket> AsyncRead for Line<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.socket().poll_read(context, buffer)
    }
}

impl<S: Socket> AsyncWrite for Line<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.socket().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket().poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// Whoever writes asks for this when its own buffer is empty.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().socket().poll_flush(context))?;
        let Some(cut) = self.scissors.0.get() else {
            return Poll::Ready(Ok(()));
        };
        if *cut == Cut::Reset {
            self.socket.bottom().set_zero_linger()?;
        }
        // The socket is dropped by who gets this.
        let fault = io::Error::new(io::ErrorKind::ConnectionAborted, "cut by its script");
        Poll::Ready(Err(fault))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_shutdown(context)
    }
}
