//! One client's connection: it shakes hands, then turns frames into stanzas for the exchange
//! and the exchange's stanzas into frames. What goes wrong with a network goes wrong here.
//!
//! Knows no stanza's meaning.

use std::future::pending;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use wacore_binary::Node;
use wacore_binary::marshal::unmarshal_ref;
use wacore_binary::util::unpack;
use wacore_libsignal::protocol::KeyPair;
use wacore_noise::NoiseCipher;

use super::certificate::Certificate;
use super::introduction::{Introduction, InvalidIntroduction};
use super::noise::{self, HandshakeFault, Next, Pattern, Shaken};
use super::phone::Seed;
use super::socket::{FrameWriter, Frames, SocketFault, split};
use super::speaker::{Hush, Speaker, UNREAD};
use crate::text::chain;

pub(super) use super::speaker::Order;

/// The number of a connection, in the order of opening, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConnectionId(pub(super) u64);

/// What the exchange hears of a connection.
pub(super) enum Tidings {
    Opened(Box<Opened>),
    Came(Node),
    /// A frame that is no stanza.
    Garbled(String),
    Closed(Closed),
}

/// A client shook hands and said who it is.
pub(super) struct Opened {
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) introduction: Introduction,
    pub(super) client_key: [u8; 32],
    pub(super) pattern: Pattern,
}

/// Who ended a connection, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) by: Side,
    pub(super) why: String,
    /// The client broke the protocol.
    pub(super) unexpected: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Side {
    Server,
    Client,
}

/// What all connections share.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) certificate: Certificate,
    pub(super) seed: Seed,
    pub(super) tidings: mpsc::Sender<(ConnectionId, Tidings)>,
}

/// Why a connection ended on its own.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Socket(#[from] SocketFault),
    #[error("the handshake failed")]
    Handshake(#[from] HandshakeFault),
    #[error(transparent)]
    Introduction(#[from] InvalidIntroduction),
    #[error("a stanza of the mock cannot be written: {0}")]
    Unwritable(String),
    #[error("it reads nothing, and too much waits for it")]
    Unread,
}

impl Fault {
    fn closed(&self) -> Closed {
        let broken = matches!(self, Self::Socket(SocketFault::Broken(_)));
        Closed {
            by: Side::Client,
            why: chain(self),
            unexpected: !broken,
        }
    }
}

/// Serves one client until either side ends it, and tells the exchange.
pub(super) async fn serve<S>(stream: S, id: ConnectionId, line: Line, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let closed = tokio::select! {
        closed = speak(stream, id, &line) => closed.unwrap_or_else(|fault| fault.closed()),
        () = stop.cancelled() => by_server("the mock ends"),
    };
    // Without an exchange nobody is left to hear it.
    drop(line.tidings.send((id, Tidings::Closed(closed))).await);
}

pub(super) fn by_server(why: &str) -> Closed {
    Closed {
        by: Side::Server,
        why: why.to_owned(),
        unexpected: false,
    }
}

fn by_client(why: &str) -> Closed {
    Closed {
        by: Side::Client,
        ..by_server(why)
    }
}

async fn speak<S>(stream: S, id: ConnectionId, line: &Line) -> Result<Closed, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut frames, mut writer) = split(stream);
    let Some(shaken) = shake_hands(&mut frames, &mut writer, id, line).await? else {
        return Ok(by_client("it hung up before the handshake was done"));
    };
    let (orders, inbox) = mpsc::channel(UNREAD);
    let opened = Opened {
        orders,
        introduction: Introduction::read(&shaken.payload)?,
        client_key: shaken.client_key,
        pattern: shaken.pattern,
    };
    let (hush, hushed) = oneshot::channel();
    let tell = |tidings| line.tidings.send((id, tidings));
    if tell(Tidings::Opened(Box::new(opened))).await.is_err() {
        return Ok(by_server("the mock ends"));
    }
    let listener = Listener {
        frames,
        cipher: shaken.read,
        id,
        line,
    };
    let speaker = Speaker::new(writer, shaken.write, hush);
    // Both are polled all the time: a client that does not read may still write.
    tokio::select! {
        ended = listener.listen(hushed) => ended,
        ended = speaker.speak(inbox) => ended,
    }
}

async fn shake_hands<S>(
    frames: &mut Frames<S>,
    writer: &mut FrameWriter<S>,
    id: ConnectionId,
    line: &Line,
) -> Result<Option<Shaken>, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(hello) = frames.next().await? else {
        return Ok(None);
    };
    let number = u32::try_from(id.0).unwrap_or(u32::MAX);
    let mut randomness = line.seed.nth("connection", number).randomness();
    let ephemeral = KeyPair::generate(&mut randomness);
    let answer = noise::answer(&line.certificate, ephemeral, &hello)?;
    writer.frame(&answer.hello).await?;
    match answer.next {
        Next::Shaken(shaken) => Ok(Some(*shaken)),
        Next::Finish(awaiting) => match frames.next().await? {
            Some(finish) => Ok(Some(awaiting.finish(&finish)?)),
            None => Ok(None),
        },
    }
}

/// The way in.
struct Listener<'a, S> {
    frames: Frames<S>,
    cipher: NoiseCipher,
    id: ConnectionId,
    line: &'a Line,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Listener<'_, S> {
    async fn listen(mut self, mut hushed: oneshot::Receiver<Hush>) -> Result<Closed, Fault> {
        for counter in 0.. {
            let frame = tokio::select! {
                biased;
                Ok(hush) = &mut hushed => return match hush {
                    Hush::Frozen => self.ignore().await,
                    Hush::Closing => pending().await,
                },
                frame = self.frames.next() => frame?,
            };
            let Some(frame) = frame else {
                return Ok(by_client("it hung up"));
            };
            let tidings = self
                .open(counter, frame)
                .map_or_else(Tidings::Garbled, Tidings::Came);
            if self.line.tidings.send((self.id, tidings)).await.is_err() {
                break;
            }
        }
        Ok(by_server("the mock ends"))
    }

    fn open(&self, counter: u32, mut frame: BytesMut) -> Result<Node, String> {
        self.cipher
            .decrypt_in_place_with_counter(counter, &mut frame)
            .map_err(|fault| format!("a frame does not decrypt: {fault}"))?;
        let plain = unpack(&frame).map_err(|fault| format!("a frame does not unpack: {fault}"))?;
        let node = unmarshal_ref(&plain);
        let node = node.map_err(|fault| format!("a frame holds no stanza: {fault}"))?;
        Ok(node.to_owned())
    }

    /// What arrives is lost, as on a line that is dead; only the client's hanging up is noticed.
    async fn ignore(mut self) -> Result<Closed, Fault> {
        while self.frames.next().await?.is_some() {}
        Ok(by_client("it gave up on a dead line"))
    }
}
