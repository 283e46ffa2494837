//! The way out of a connection: what the exchange orders, in its order, each when it is due.
//!
//! Orders are taken in all the time, also while a client that reads nothing holds up what is
//! being written: whoever cuts a line must not have to wait for the line.

use std::collections::VecDeque;
use std::fmt::Display;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use wacore_binary::Node;
use wacore_binary::marshal::marshal;
use wacore_noise::NoiseCipher;

use super::connection::{Closed, Fault, by_server};
use super::moment::reached;
use super::socket::FrameWriter;

/// Stanzas that may wait for a client that reads slowly, or for a delay to be over. A whole
/// backlog of a test fits in; if even this fills up, the journal says so, and the scenario fails.
pub(super) const UNREAD: usize = 1 << 14;
/// How long a client may take to read the rest and to say goodbye too.
const GOODBYE: Duration = Duration::from_secs(2);

/// What a connection is to do.
#[derive(Debug)]
pub(super) enum Order {
    Send(Node),
    /// From now on everything comes so much later.
    Delay(Duration),
    /// Bytes that are no frame of this connection.
    Garbage,
    /// Keeps the socket, but neither reads nor writes any more.
    Freeze,
    /// Says goodbye after what is still to be sent. A line that is frozen stays as it is: the
    /// client is not to learn anything over it.
    Close(&'static str),
    /// Drops the socket where it is, at once.
    Cut(&'static str),
}

/// Why nobody listens any more.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hush {
    /// The line is dead, and stays.
    Frozen,
    /// The server says goodbye. Its socket reads until the client has said so too: whoever
    /// listened beside it would lose frames, and count the next one wrongly.
    Closing,
}

pub(super) struct Speaker<S> {
    writer: FrameWriter<S>,
    cipher: NoiseCipher,
    counter: u32,
    delay: Duration,
    /// What is to be done, in this order, and when each is due.
    waiting: VecDeque<(Instant, Deed)>,
    /// Bytes are on their way that the client has not made room for.
    unflushed: bool,
    /// Taken when nobody is to listen any more.
    hush: Option<oneshot::Sender<Hush>>,
    frozen: bool,
    /// When the goodbye that was ordered must be over, and why it was.
    goodbye: Option<(Instant, &'static str)>,
    /// Nobody orders anything any more.
    forsaken: bool,
}

/// An order that waits for its turn.
enum Deed {
    Send(Node),
    Garbage,
    Close(&'static str),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Speaker<S> {
    pub(super) fn new(
        writer: FrameWriter<S>,
        cipher: NoiseCipher,
        hush: oneshot::Sender<Hush>,
    ) -> Self {
        Self {
            writer,
            cipher,
            counter: 0,
            delay: Duration::ZERO,
            waiting: VecDeque::new(),
            unflushed: false,
            hush: Some(hush),
            frozen: false,
            goodbye: None,
            forsaken: false,
        }
    }

    pub(super) async fn speak(mut self, mut inbox: mpsc::Receiver<Order>) -> Result<Closed, Fault> {
        loop {
            let first = self.waiting.front().filter(|_| !self.unflushed);
            let (due, last_moment) = (first.map(|(at, _)| *at), self.goodbye.map(|(at, _)| at));
            let closed = tokio::select! {
                biased;
                order = inbox.recv(), if !self.forsaken => self.take(order)?,
                () = reached(last_moment) => self.gives_up(),
                flushed = self.writer.flush(), if self.unflushed => {
                    flushed?;
                    self.unflushed = false;
                    self.is_done()
                }
                () = reached(due) => self.do_first().await?,
            };
            if let Some(closed) = closed {
                return Ok(closed);
            }
        }
    }

    /// Returns how the connection ends, if it is to end at once.
    fn take(&mut self, order: Option<Order>) -> Result<Option<Closed>, Fault> {
        match order {
            Some(Order::Cut(why)) => return Ok(Some(by_server(why))),
            Some(Order::Delay(delay)) => self.delay = delay,
            Some(Order::Freeze) => self.freeze(),
            None => {
                self.forsaken = true;
                return Ok(self.is_done());
            }
            // Nothing gets through any more.
            Some(Order::Send(_) | Order::Garbage | Order::Close(_)) if self.frozen => {}
            Some(Order::Send(node)) => self.put_off(Deed::Send(node))?,
            Some(Order::Garbage) => self.put_off(Deed::Garbage)?,
            Some(Order::Close(why)) => {
                self.put_off(Deed::Close(why))?;
                let due = self.waiting.back().map(|(due, _)| *due + GOODBYE);
                self.goodbye = due.map(|due| (due, why));
            }
        }
        Ok(None)
    }

    /// What comes later never overtakes what came before, whatever the delay was then.
    fn put_off(&mut self, deed: Deed) -> Result<(), Fault> {
        if self.waiting.len() == UNREAD {
            return Err(Fault::Unread);
        }
        let due = Instant::now() + self.delay;
        let before = self.waiting.back().map_or(due, |(before, _)| *before);
        self.waiting.push_back((due.max(before), deed));
        Ok(())
    }

    /// Nobody is left who could order anything, and all that was ordered is done.
    fn is_done(&self) -> Option<Closed> {
        let nothing_left = self.waiting.is_empty() && !self.unflushed;
        let is_done = self.forsaken && nothing_left && !self.frozen;
        is_done.then(|| by_server("the mock ends"))
    }

    /// The client reads nothing, or does not say goodbye.
    fn gives_up(&self) -> Option<Closed> {
        self.goodbye.map(|(_, why)| by_server(why))
    }

    async fn do_first(&mut self) -> Result<Option<Closed>, Fault> {
        let first = self.waiting.pop_front();
        match first.map(|(_, deed)| deed) {
            Some(Deed::Send(node)) => self.put(&node).await?,
            Some(Deed::Garbage) => self.writer.put_raw(garbage()).await?,
            Some(Deed::Close(why)) => return self.close(why).await.map(Some),
            None => return Ok(None),
        }
        self.unflushed = true;
        Ok(None)
    }

    async fn put(&mut self, node: &Node) -> Result<(), Fault> {
        let unwritable = |fault: &dyn Display| Fault::Unwritable(fault.to_string());
        let plain = marshal(node).map_err(|fault| unwritable(&fault))?;
        let sealed = self.cipher.encrypt_with_counter(self.counter, &plain);
        let sealed = sealed.map_err(|fault| unwritable(&fault))?;
        self.counter += 1;
        Ok(self.writer.put_frame(&sealed).await?)
    }

    /// What is on its way is lost with the line.
    fn freeze(&mut self) {
        self.frozen = true;
        self.unflushed = false;
        self.waiting.clear();
        self.goodbye = None;
        self.hush(Hush::Frozen);
    }

    fn hush(&mut self, why: Hush) {
        if let Some(hush) = self.hush.take() {
            // A listener that is gone has nothing to ignore.
            let (Ok(()) | Err(_)) = hush.send(why);
        }
    }

    async fn close(&mut self, why: &str) -> Result<Closed, Fault> {
        self.hush(Hush::Closing);
        let last_moment = self.goodbye.map_or_else(Instant::now, |(at, _)| at);
        match timeout_at(last_moment, self.writer.close()).await {
            Ok(closed) => closed?,
            // A client that does not say goodbye is left alone.
            Err(_elapsed) => {}
        }
        Ok(by_server(why))
    }
}

/// A frame of the length it says it has, of which no cipher makes sense.
fn garbage() -> Vec<u8> {
    const NOISE: u8 = 64;
    let mut frame = vec![0, 0, NOISE];
    frame.resize(frame.len() + usize::from(NOISE), 0xff);
    frame
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
    use tokio::time::timeout;
    use tokio_websockets::ClientBuilder;
    use wacore_binary::builder::NodeBuilder;
    use wacore_binary::consts::{NOISE_PATTERN_XX, WA_CONN_HEADER};
    use wacore_noise::NoiseHandshake;

    use super::*;
    use crate::whatsapp::socket::split;

    /// Only a broken test ever waits for it.
    const PATIENCE: Duration = Duration::from_secs(20);
    const ROOM: usize = 256;

    struct Line {
        orders: mpsc::Sender<Order>,
        inbox: mpsc::Receiver<Order>,
        client: DuplexStream,
        hushed: oneshot::Receiver<Hush>,
    }

    /// A line whose other end takes only a little before it is read.
    fn line() -> (Speaker<DuplexStream>, Line) {
        let (server, client) = duplex(ROOM);
        let (_, writer) = split(server);
        let noise = NoiseHandshake::new(NOISE_PATTERN_XX, &WA_CONN_HEADER).unwrap();
        let (write, _) = noise.finish().unwrap();
        let (hush, hushed) = oneshot::channel();
        let (orders, inbox) = mpsc::channel(UNREAD + 2);
        let line = Line {
            orders,
            inbox,
            client,
            hushed,
        };
        (Speaker::new(writer, write, hush), line)
    }

    fn stanza(bytes: usize) -> Node {
        NodeBuilder::new("message").bytes(vec![7; bytes]).build()
    }

    fn said(orders: &mpsc::Sender<Order>, all: impl IntoIterator<Item = Order>) {
        for order in all {
            orders.try_send(order).unwrap();
        }
    }

    #[tokio::test]
    async fn a_cut_need_not_wait_for_a_client_that_reads_nothing() {
        let (speaker, mut line) = line();
        said(&line.orders, [Order::Send(stanza(4 * ROOM))]);
        let orders = line.orders.clone();
        let cut = async {
            // As soon as this much is there, the rest has no room.
            line.client.read_u8().await.unwrap();
            said(&orders, [Order::Cut("the connection is cut")]);
        };
        let speaking = timeout(PATIENCE, speaker.speak(line.inbox));
        let (ended, ()) = tokio::join!(speaking, cut);
        assert_eq!(ended.unwrap().unwrap().why, "the connection is cut");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_or_say_goodbye_is_not_waited_for() {
        for bytes in [1, 4 * ROOM] {
            let (speaker, line) = line();
            said(
                &line.orders,
                [Order::Send(stanza(bytes)), Order::Close("enough")],
            );
            let begun = Instant::now();
            let ended = timeout(PATIENCE, speaker.speak(line.inbox)).await;
            assert_eq!(ended.unwrap().unwrap().why, "enough");
            assert_eq!(begun.elapsed(), GOODBYE);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_delayed_keeps_its_order() {
        let (speaker, line) = line();
        let later = Duration::from_secs(10);
        said(
            &line.orders,
            [
                Order::Delay(later),
                Order::Send(stanza(1)),
                Order::Delay(Duration::ZERO),
                Order::Garbage,
                Order::Close("enough"),
            ],
        );
        let begun = Instant::now();
        let heard = async {
            let mut client = ClientBuilder::new().take_over(line.client);
            let mut lengths = Vec::new();
            while let Some(Ok(message)) = client.next().await {
                lengths.push((message.is_close(), message.as_payload().len()));
            }
            (lengths, begun.elapsed())
        };
        let (ended, (lengths, after)) = tokio::join!(speaker.speak(line.inbox), heard);
        assert_eq!(ended.unwrap().why, "enough");
        let [(false, stanza), (false, 67), (true, _)] = lengths[..] else {
            panic!("{lengths:?}")
        };
        assert!(stanza < 67, "{stanza} bytes are not the stanza");
        assert_eq!(after, later);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_line_says_nothing_not_even_goodbye() {
        let (speaker, mut line) = line();
        said(
            &line.orders,
            [
                Order::Send(stanza(4 * ROOM)),
                Order::Freeze,
                Order::Send(stanza(1)),
                Order::Garbage,
                Order::Close("the same device logged in again"),
            ],
        );
        drop(line.orders);
        let ended = timeout(PATIENCE, speaker.speak(line.inbox)).await;
        assert!(ended.is_err(), "{ended:?}");
        assert!(matches!(line.hushed.await, Ok(Hush::Frozen)));
        let mut heard = Vec::new();
        line.client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"");
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_a_delay_to_be_over_has_a_bound() {
        let (speaker, line) = line();
        let long = Order::Delay(Duration::from_secs(3600));
        let many = (0..=UNREAD).map(|_| Order::Send(stanza(1)));
        said(&line.orders, std::iter::once(long).chain(many));
        let ended = timeout(PATIENCE, speaker.speak(line.inbox)).await;
        assert!(matches!(ended, Ok(Err(Fault::Unread))), "{ended:?}");
    }
}
