//! Sends what stands in the outbox: in order within a chat, several chats at once, again after
//! a failure, and on from where a process before us stopped.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

use crate::channel::{Channels, SendError};
use crate::clock::{Busy, LastLook, Work};
use crate::events::Event;
use crate::house::House;
use crate::ids::ChatJid;
use crate::store::{OutboxState, OutboxText, StoreError};

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// About two hours of trying on a channel that is there. Until then a text holds back all that
/// comes after it in its chat.
const MOST_ATTEMPTS: u32 = 120;
/// Chats of a network that are spoken to at the same time: one that is slow for one of them is
/// often slow for all, and would take many texts for a flood.
const AT_ONCE: usize = 8;
/// How long texts that are on their way at the end have to arrive. What is cut off is sent
/// again by the next process, under the same id.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The way to wake the outbox after something was put into the store for it, or after a channel
/// has come back.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    wake: mpsc::Sender<(Why, Busy)>,
}

/// The way to wake the outbox for who must not keep it awake: it ends as if this were not there.
#[derive(Clone, Debug)]
pub(crate) struct Knocker {
    wake: mpsc::WeakSender<(Why, Busy)>,
}

/// Why the outbox is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    NewText,
    ChannelIsBack,
}

/// The outbox's own end, to be served by one task.
#[derive(Debug)]
pub(crate) struct Woken(mpsc::Receiver<(Why, Busy)>);

impl Outbox {
    #[must_use]
    pub(crate) fn new() -> (Self, Woken) {
        // Waking is quick to serve, so whoever wakes may wait for room.
        let (wake, woken) = mpsc::channel(16);
        (Self { wake }, Woken(woken))
    }

    /// Says that there is something to send; what is said to a stopped outbox waits in the store.
    pub(crate) async fn wake(&self, busy: Busy) {
        self.say(Why::NewText, busy).await;
    }

    /// Says that a channel which was not there can be tried again.
    pub(crate) async fn channel_is_back(&self, busy: Busy) {
        self.say(Why::ChannelIsBack, busy).await;
    }

    /// A way to wake it that does not keep it.
    #[must_use]
    pub(crate) fn knocker(&self) -> Knocker {
        Knocker {
            wake: self.wake.downgrade(),
        }
    }

    async fn say(&self, why: Why, busy: Busy) {
        let (Ok(()) | Err(_)) = self.wake.send((why, busy)).await;
    }
}

impl Knocker {
    /// What wakes the outbox when it is dropped, also with whoever has it.
    pub(crate) fn knock(&self, busy: Busy) -> Knock {
        Knock {
            wake: self.wake.clone(),
            busy: Some(busy),
        }
    }
}

/// See [`Knocker::knock`]. What was asked of the store before is done when the outbox looks.
#[derive(Debug)]
pub(crate) struct Knock {
    wake: mpsc::WeakSender<(Why, Busy)>,
    busy: Option<Busy>,
}

impl Drop for Knock {
    fn drop(&mut self) {
        if let (Some(wake), Some(busy)) = (self.wake.upgrade(), self.busy.take()) {
            // With no room it is being woken; what is said to a stopped one waits in the store.
            let (Ok(()) | Err(_)) = wake.try_send((Why::NewText, busy));
        }
    }
}

/// Serves the outbox until nobody is left who could wake it, so that what the last run said
/// leaves before we do. It is the last part to end, so it closes the record of events.
pub(crate) async fn serve(Woken(mut woken): Woken, house: House, channels: Channels) {
    let mut sender = Sender::new(house, channels);
    let mut awake = Some(sender.house.clock.busy(Work::Outbox));
    loop {
        sender.start_what_may().await;
        let mut retry = sender.house.clock.timer(sender.next_try());
        drop(awake.take());
        tokio::select! {
            woken = woken.recv() => match woken {
                Some((why, busy)) => {
                    awake = Some(busy);
                    sender.woken(why);
                }
                None => break,
            },
            Some(ended) = sender.attempts.join_next() => {
                let attempt = unwound(ended);
                awake = Some(sender.settle(attempt).await);
            }
            busy = retry.fired() => awake = Some(busy),
        }
    }
    if timeout(LAST_WORDS, sender.finish()).await.is_err() {
        let left = sender.attempts.len();
        tracing::warn!(
            left,
            "texts are still on their way; the next start sends them again"
        );
    }
    sender.house.events.close();
}

/// A panic while a text is sent is ours to pass on, not to survive.
fn unwound<T>(ended: Result<T, JoinError>) -> T {
    match ended {
        Ok(ended) => ended,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// What failed too often has failed for good.
fn given_up(text: &OutboxText, came_to: Result<(), SendError>) -> Result<(), SendError> {
    match came_to {
        Err(SendError::Later { why }) if text.attempts + 1 >= MOST_ATTEMPTS => {
            let why = format!("given up after {MOST_ATTEMPTS} attempts: {why}");
            Err(SendError::Refused { why })
        }
        came_to => came_to,
    }
}

/// One attempt to send one text.
struct Attempt {
    text: OutboxText,
    came_to: Result<(), SendError>,
    /// How often a channel had come back when it began.
    begun_after: u64,
    busy: Busy,
}

struct Sender {
    house: House,
    channels: Channels,
    attempts: JoinSet<Attempt>,
    /// Invariant: one attempt for each of these chats is in `attempts`.
    spoken_to: BTreeSet<ChatJid>,
    /// Chats whose oldest text failed, and when it is tried again.
    paused: BTreeMap<ChatJid, Timestamp>,
    /// Chats whose channel was not there. It wakes us when it comes back.
    offline: BTreeSet<ChatJid>,
    /// How often a channel has come back.
    returns: u64,
    /// The store refused; when it is asked again.
    store_paused: Option<Timestamp>,
    look: LastLook,
}

impl Sender {
    fn new(house: House, channels: Channels) -> Self {
        Self {
            house,
            channels,
            attempts: JoinSet::new(),
            spoken_to: BTreeSet::new(),
            paused: BTreeMap::new(),
            offline: BTreeSet::new(),
            returns: 0,
            store_paused: None,
            look: LastLook::default(),
        }
    }

    fn woken(&mut self, why: Why) {
        match why {
            Why::NewText => {}
            Why::ChannelIsBack => {
                self.returns += 1;
                self.offline.clear();
            }
        }
    }

    fn next_try(&self) -> Option<Timestamp> {
        let chats = self.paused.values().copied();
        chats.chain(self.store_paused).min()
    }

    /// Whoever was to wait until now waits no more; nor does anybody if the clock was set back.
    fn try_again(&mut self) {
        let until = self.look.due_until(self.house.clock.now());
        self.paused.retain(|_, at| *at > until);
        self.store_paused = self.store_paused.filter(|at| *at > until);
    }

    /// Starts sending the oldest unsent text of every chat to which nothing is being sent.
    async fn start_what_may(&mut self) {
        self.try_again();
        if self.store_paused.is_some() {
            return;
        }
        match self.house.store.unsent_heads().await {
            Ok(heads) => heads.into_iter().for_each(|head| self.start(head)),
            Err(error) => self.pause_store(&error),
        }
    }

    fn start(&mut self, text: OutboxText) {
        let waits = self.paused.contains_key(&text.chat) || self.offline.contains(&text.chat);
        // What is told over HTTP is there at once, and waits for no network.
        let is_full = text.chat.http_conversation().is_none() && self.attempts.len() >= AT_ONCE;
        if waits || is_full || self.spoken_to.contains(&text.chat) {
            return;
        }
        self.spoken_to.insert(text.chat.clone());
        let channels = self.channels.clone();
        let (busy, begun_after) = (self.house.clock.busy(Work::Outbox), self.returns);
        self.attempts.spawn(async move {
            let came_to = channels.send(&text).await;
            Attempt {
                text,
                came_to,
                begun_after,
                busy,
            }
        });
    }

    /// Notes what an attempt came to, and tells it.
    async fn settle(&mut self, attempt: Attempt) -> Busy {
        let chat = attempt.text.chat.clone();
        self.spoken_to.remove(&chat);
        // Not even an attempt. If the channel came back meanwhile, nobody will say so again.
        if attempt.came_to == Err(SendError::NotConnected) {
            if attempt.begun_after == self.returns {
                self.offline.insert(chat);
            }
            return attempt.busy;
        }
        let came_to = given_up(&attempt.text, attempt.came_to);
        if let Err(error) = self.note(attempt.text, came_to).await {
            // Nobody knows it was sent, so it will be sent again, under the same id.
            self.pause_store(&error);
        }
        attempt.busy
    }

    async fn note(
        &mut self,
        text: OutboxText,
        came_to: Result<(), SendError>,
    ) -> Result<(), StoreError> {
        let (store, now) = (self.house.store.clone(), self.house.clock.now());
        let (state, error) = match &came_to {
            Ok(()) => (OutboxState::Sent, None),
            Err(SendError::Refused { why }) => (OutboxState::Failed, Some(why.clone())),
            Err(error @ (SendError::NoChannel(_) | SendError::Later { .. })) => {
                self.pause(&text, error);
                (OutboxState::Pending, Some(error.to_string()))
            }
            // Settled before anything is noted.
            Err(SendError::NotConnected) => return Ok(()),
        };
        store.note_attempt(text.id, state, error, now).await?;
        match came_to {
            Ok(()) => self.tell_sent(text),
            Err(SendError::Refused { why }) => self.tell_refused(text, why),
            Err(SendError::NoChannel(_) | SendError::Later { .. } | SendError::NotConnected) => {}
        }
        Ok(())
    }

    fn pause(&mut self, text: &OutboxText, error: &SendError) {
        let again = FIRST_RETRY * 2u32.pow(text.attempts.min(6));
        let at = self.house.clock.after(again.min(LONGEST_RETRY));
        tracing::warn!(chat = %text.chat, id = text.message_id, retry_at = %at, "message not sent: {error}");
        self.paused.insert(text.chat.clone(), at);
    }

    fn pause_store(&mut self, error: &StoreError) {
        let error = crate::chain(error);
        tracing::error!(error, "the outbox cannot use the store");
        self.store_paused = Some(self.house.clock.after(LONGEST_RETRY));
    }

    fn tell_sent(&self, text: OutboxText) {
        tracing::info!(chat = %text.chat, id = %text.message_id, "Message sent");
        self.house.events.tell(Event::MessageSent {
            chat: text.chat,
            group: text.group,
            text: text.text,
            id: text.message_id,
            run: text.run,
        });
    }

    fn tell_refused(&self, text: OutboxText, why: String) {
        tracing::error!(chat = %text.chat, id = %text.message_id, "a message will never be sent: {why}");
        self.house.events.tell(Event::MessageFailed {
            chat: text.chat,
            group: text.group,
            reason: why,
            id: Some(text.message_id),
        });
    }

    /// Sends what can be sent at once.
    async fn finish(&mut self) {
        loop {
            self.start_what_may().await;
            let Some(ended) = self.attempts.join_next().await else {
                return;
            };
            let _busy: Busy = self.settle(unwound(ended)).await;
        }
    }
}
