//! Sends what stands in the outbox: in order within a chat, again after a failure, and on
//! from where a process before us stopped.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::channel::{Channels, SendError};
use crate::clock::{Busy, Work};
use crate::events::Event;
use crate::house::House;
use crate::ids::ChatJid;
use crate::store::{OutboxState, OutboxText, StoreError};

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// The way to wake the outbox after something was put into the store for it.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    wake: mpsc::Sender<Busy>,
}

/// The outbox's own end, to be served by one task.
#[derive(Debug)]
pub(crate) struct Woken(mpsc::Receiver<Busy>);

impl Outbox {
    #[must_use]
    pub(crate) fn new() -> (Self, Woken) {
        // Waking is quick to serve, so whoever wakes may wait for room.
        let (wake, woken) = mpsc::channel(16);
        (Self { wake }, Woken(woken))
    }

    /// Says that there is something to send; what is said to a stopped outbox waits in the store.
    pub(crate) async fn wake(&self, busy: Busy) {
        let (Ok(()) | Err(_)) = self.wake.send(busy).await;
    }
}

/// Serves the outbox until nobody is left who could wake it, so that what the last run said
/// leaves before we do. It is the last part to end, so it closes the record of events.
pub(crate) async fn serve(Woken(mut woken): Woken, house: House, channels: Channels) {
    let mut sender = Sender {
        house,
        channels,
        paused: BTreeMap::new(),
        store_paused: None,
    };
    let mut awake = Some(sender.house.clock.busy(Work::Outbox));
    loop {
        sender.send_all().await;
        let mut retry = sender.house.clock.timer(sender.next_try());
        drop(awake.take());
        tokio::select! {
            busy = woken.recv() => match busy {
                Some(busy) => awake = Some(busy),
                None => break,
            },
            busy = retry.fired() => awake = Some(busy),
        }
    }
    sender.house.events.close();
}

struct Sender {
    house: House,
    channels: Channels,
    /// Chats whose oldest text failed, and when it is tried again.
    paused: BTreeMap<ChatJid, Timestamp>,
    /// The store refused; when it is asked again.
    store_paused: Option<Timestamp>,
}

impl Sender {
    fn next_try(&self) -> Option<Timestamp> {
        let chats = self.paused.values().copied();
        chats.chain(self.store_paused).min()
    }

    async fn send_all(&mut self) {
        let now = self.house.clock.now();
        self.paused.retain(|_, at| *at > now);
        self.store_paused = None;
        loop {
            match self.send_heads().await {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(
                        error = crate::chain(&error),
                        "the outbox cannot use the store"
                    );
                    self.store_paused = Some(self.house.clock.after(LONGEST_RETRY));
                    return;
                }
            }
        }
    }

    /// Tries the oldest unsent text of every chat that is not paused; returns how many it tried.
    async fn send_heads(&mut self) -> Result<usize, StoreError> {
        let mut heads = self.house.store.unsent_heads().await?;
        heads.retain(|head| !self.paused.contains_key(&head.chat));
        let tried = heads.len();
        for head in heads {
            self.send(head).await?;
        }
        Ok(tried)
    }

    async fn send(&mut self, text: OutboxText) -> Result<(), StoreError> {
        let now = self.house.clock.now();
        match self.channels.send(&text) {
            Ok(()) => {
                let store = &self.house.store;
                store.note_attempt(text.id, OutboxState::Sent, now).await?;
                tracing::info!(chat = %text.chat, id = %text.message_id, "Message sent");
                self.house.events.tell(Event::MessageSent {
                    chat: text.chat,
                    group: text.group,
                    text: text.text,
                    id: text.message_id,
                    run: text.run,
                });
            }
            Err(error @ SendError::NoChannel(_)) => {
                let again = FIRST_RETRY * 2u32.pow(text.attempts.min(6));
                let at = self.house.clock.after(again.min(LONGEST_RETRY));
                tracing::warn!(chat = %text.chat, id = text.message_id, retry_at = %at, "message not sent: {error}");
                let store = &self.house.store;
                store
                    .note_attempt(text.id, OutboxState::Pending, now)
                    .await?;
                self.paused.insert(text.chat, at);
            }
        }
        Ok(())
    }
}
