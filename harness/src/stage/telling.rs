//! A stream of numbered events that is read in the background, and how far it has been read.
//!
//! What becomes of an event is for whoever starts the reading to say.

use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::sse::{SseEvent, SseReader};
use super::wire::{LITTLE_WHILE, LONGEST_WAIT_FOR_QUIET};
use crate::chain::chain;
use crate::lenient::parsed;

/// How long the next event may take: each is told when it happens, and only a broken stream takes
/// longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is done with an event. An error ends the reading.
pub(super) type Written = BoxFuture<'static, Result<(), String>>;

/// A stream that is being read.
#[derive(Debug)]
pub(super) struct Telling {
    reader: JoinSet<()>,
    reached: Reached,
}

/// How far a stream has been read.
#[derive(Clone, Debug)]
pub(super) struct Reached(watch::Receiver<Seen>);

#[derive(Debug, Default)]
struct Seen {
    number: u64,
    /// Why there will be no more.
    ended: Option<String>,
}

impl Telling {
    pub(super) fn read<S>(
        mut events: SseReader<S>,
        mut write: impl FnMut(SseEvent) -> Written + Send + 'static,
    ) -> Self
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + Unpin + 'static,
    {
        let (tell, seen) = watch::channel(Seen::default());
        let mut reader = JoinSet::new();
        reader.spawn(async move {
            let ended = loop {
                let event = match events.next().await {
                    Some(Ok(event)) => event,
                    Some(Err(error)) => break format!("the stream broke off: {}", chain(&error)),
                    None => break "the stream ended".to_owned(),
                };
                let id = event.id.as_deref().and_then(parsed);
                if let Err(why) = write(event).await {
                    break why;
                }
                tell.send_if_modified(|seen| {
                    seen.number = id.map_or(seen.number, |id| id);
                    id.is_some()
                });
            };
            tell.send_modify(|seen| seen.ended = Some(ended));
        });
        Self {
            reader,
            reached: Reached(seen),
        }
    }

    pub(super) fn reached(&self) -> &Reached {
        &self.reached
    }

    /// Reads what is left after whoever tells has ended.
    pub(super) async fn end(mut self) {
        drop(timeout(PATIENCE, self.reader.join_next()).await);
    }
}

impl Reached {
    /// Returns when event `number` has been dealt with.
    ///
    /// # Errors
    /// The stream has ended, or the event does not come; `teller` is who tells.
    pub(super) async fn caught_up(&self, teller: &str, number: u64) -> Result<(), String> {
        let mut seen = self.0.clone();
        let mut last = seen.borrow_and_update().number;
        while last < number && seen.borrow().ended.is_none() {
            // One at a time, since thousands may still be on their way.
            if !matches!(timeout(PATIENCE, seen.changed()).await, Ok(Ok(()))) {
                return Err(format!(
                    "{teller} told of event {number}, the last that came is {last}"
                ));
            }
            last = seen.borrow_and_update().number;
        }
        self.still_told()
    }

    /// Whether the stream is still open.
    ///
    /// # Errors
    /// It has ended: what happens now, nobody hears of.
    pub(super) fn still_told(&self) -> Result<(), String> {
        match &self.0.borrow().ended {
            Some(why) => Err(why.clone()),
            None => Ok(()),
        }
    }

    /// Returns why there will be no more events, when that is so. Cancel-safe.
    pub(super) async fn ended(&self) -> String {
        let mut seen = self.0.clone();
        let ended = seen.wait_for(|seen| seen.ended.is_some()).await;
        let why = ended.map_or(None, |seen| seen.ended.clone());
        why.unwrap_or_else(|| "nobody reads the stream any more".to_owned())
    }

    /// Returns when no event has come for a little while, or they never stop to come.
    pub(super) async fn quiet(&self) {
        let mut seen = self.0.clone();
        seen.mark_unchanged();
        let silence =
            async { while let Ok(Ok(())) = timeout(LITTLE_WHILE, seen.changed()).await {} };
        drop(timeout(LONGEST_WAIT_FOR_QUIET, silence).await);
    }
}
