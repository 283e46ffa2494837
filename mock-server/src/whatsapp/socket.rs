//! Frames over a WebSocket: the intro a client begins with, and the length before each frame.
//!
//! Knows no keys; what is in a frame is the connection's business. Framing: WhatsApp Web, as
//! Baileys 7.0.0-rc14 and whatsapp-rust 0.7.0 speak it.

use bytes::{Buf as _, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_websockets::{Limits, Message, ServerBuilder, WebSocketStream};
use wacore_binary::consts::WA_CONN_HEADER;
use wacore_noise::framing::{FrameDecoder, encode_frame};

/// Where a server sent a client earlier; the client may say so before its intro.
const ROUTING: &[u8] = b"ED\x00\x01";
/// `ED\0\1` and three bytes for the length of what follows.
const ROUTING_HEAD: usize = 7;

/// The client does not keep to the framing, or the socket broke.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketFault {
    #[error("it does not begin with `WA`, 6 and the version of the dictionary, but with {0:02x?}")]
    Intro([u8; 4]),
    #[error("it sends text, where only bytes are spoken")]
    Text,
    #[error("a frame would be too long: {0}")]
    TooLong(String),
    #[error("the socket broke")]
    Broken(#[from] tokio_websockets::Error),
}

/// A socket, its two directions apart, so that a full one does not stop the other.
pub(super) fn split<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> (Frames<S>, FrameWriter<S>) {
    let limits = Limits::default().max_payload_len(Some(64 << 20));
    let socket = ServerBuilder::new().limits(limits).serve(stream);
    let (sink, stream) = socket.split();
    let frames = Frames {
        stream,
        intro: Some(BytesMut::new()),
        decoder: FrameDecoder::new(),
    };
    (frames, FrameWriter { sink })
}

/// What a client sends.
pub(super) struct Frames<S> {
    stream: SplitStream<WebSocketStream<S>>,
    /// What came before the first frame, until the intro is whole.
    intro: Option<BytesMut>,
    decoder: FrameDecoder,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    /// The next frame; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<BytesMut>, SocketFault> {
        loop {
            if self.intro.is_none()
                && let Some(frame) = self.decoder.decode_frame()
            {
                return Ok(Some(frame));
            }
            let Some(message) = self.stream.next().await else {
                return Ok(None);
            };
            let message = message?;
            if message.is_close() {
                return Ok(None);
            }
            if message.is_text() {
                return Err(SocketFault::Text);
            }
            if message.is_binary() {
                self.feed(message.as_payload())?;
            }
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), SocketFault> {
        match &mut self.intro {
            None => self.decoder.feed(bytes),
            Some(begun) => {
                begun.extend_from_slice(bytes);
                if past_intro(begun)? {
                    self.decoder.feed(begun);
                    self.intro = None;
                }
            }
        }
        Ok(())
    }
}

/// Takes the intro off, if all of it is there.
fn past_intro(begun: &mut BytesMut) -> Result<bool, SocketFault> {
    if begun.starts_with(ROUTING) {
        let Some([_, _, _, _, high, middle, low]) = begun.get(..ROUTING_HEAD) else {
            return Ok(false);
        };
        let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
        if begun.len() < ROUTING_HEAD + length {
            return Ok(false);
        }
        begun.advance(ROUTING_HEAD + length);
    }
    let Some(head) = begun.first_chunk::<4>() else {
        return Ok(false);
    };
    if *head != WA_CONN_HEADER {
        return Err(SocketFault::Intro(*head));
    }
    begun.advance(WA_CONN_HEADER.len());
    Ok(true)
}

/// What goes to a client.
pub(super) struct FrameWriter<S> {
    sink: SplitSink<WebSocketStream<S>, Message>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> FrameWriter<S> {
    pub(super) async fn frame(&mut self, payload: &[u8]) -> Result<(), SocketFault> {
        self.put_frame(payload).await?;
        self.flush().await
    }

    /// Puts a frame on its way; after a flush this waits for nothing.
    pub(super) async fn put_frame(&mut self, payload: &[u8]) -> Result<(), SocketFault> {
        let frame = encode_frame(payload, None);
        let frame = frame.map_err(|fault| SocketFault::TooLong(fault.to_string()))?;
        Ok(self.sink.feed(Message::binary(frame)).await?)
    }

    /// Bytes as they are, framed or not.
    pub(super) async fn put_raw(&mut self, bytes: Vec<u8>) -> Result<(), SocketFault> {
        Ok(self.sink.feed(Message::binary(bytes)).await?)
    }

    /// Returns when the socket has taken all. Whoever stops waiting loses nothing.
    pub(super) async fn flush(&mut self) -> Result<(), SocketFault> {
        Ok(self.sink.flush().await?)
    }

    pub(super) async fn close(&mut self) -> Result<(), SocketFault> {
        Ok(self.sink.close().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Result<bool, &str>, rest: &[u8]) {
        let mut begun = BytesMut::from(bytes);
        let past = past_intro(&mut begun).map_err(|fault| fault.to_string());
        assert_eq!(past, expected.map_err(str::to_owned));
        assert_eq!(begun, rest);
    }

    #[test]
    fn the_intro_is_taken_off_with_the_routing_before_it() {
        check(b"WA\x06\x03rest", Ok(true), b"rest");
        check(b"ED\x00\x01\x00\x00\x02xyWA\x06\x03rest", Ok(true), b"rest");
        check(b"WA\x06", Ok(false), b"WA\x06");
        check(
            b"ED\x00\x01\x00\x00\x02x",
            Ok(false),
            b"ED\x00\x01\x00\x00\x02x",
        );
        check(
            b"GET ",
            Err(
                "it does not begin with `WA`, 6 and the version of the dictionary, but with [47, 45, 54, 20]",
            ),
            b"GET ",
        );
    }
}
