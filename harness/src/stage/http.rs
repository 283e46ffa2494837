//! One HTTP request on a connection of its own: all that a client on loopback needs.
//!
//! No pool, no TLS, no redirects.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A body as it arrives.
pub(crate) type Chunks = BoxStream<'static, io::Result<Bytes>>;

/// The head of a response; its body is still to be read.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: HeaderMap,
    body: Incoming,
    /// Carries the bytes; ends with us.
    connection: JoinSet<()>,
}

/// Sends a request and waits for the head of its response.
pub(crate) async fn send(
    address: SocketAddr,
    token: &str,
    (method, path): (Method, &str),
    body: String,
) -> io::Result<Response> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, address.to_string())
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header(CONTENT_TYPE, "application/json")
        .body(body)
        .map_err(io::Error::other)?;
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let handshake = http1::handshake(TokioIo::new(socket)).await;
    let (mut sender, driver) = handshake.map_err(io::Error::other)?;
    let mut connection = JoinSet::new();
    // What goes wrong with the connection is told by the request that needs it.
    connection.spawn(async move { drop(driver.await) });
    let response = sender
        .send_request(request)
        .await
        .map_err(io::Error::other)?;
    Ok(Response {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.into_body(),
        connection,
    })
}

impl Response {
    /// A header, if it is there and text.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let value = self.headers.get(name)?.to_str();
        value.map_or(None, |value| Some(value.to_owned()))
    }

    /// The next piece of the body.
    async fn chunk(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            let frame = poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await?;
            match frame.map(hyper::body::Frame::into_data) {
                Ok(Ok(bytes)) => return Some(Ok(bytes)),
                // Trailers say nothing to us.
                Ok(Err(_trailers)) => {}
                Err(error) => return Some(Err(io::Error::other(error))),
            }
        }
    }

    /// The body, piece by piece.
    pub(crate) fn chunks(self) -> Chunks {
        let next = |mut response: Self| async move {
            let chunk = response.chunk().await?;
            Some((chunk, response))
        };
        stream::unfold(self, next).boxed()
    }

    /// The whole body.
    pub(crate) async fn text(mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await {
            bytes.extend_from_slice(&chunk?);
        }
        self.connection.shutdown().await;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
