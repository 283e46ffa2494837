//! Following nanokimi's events into the journal.

use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use jiff::Timestamp;
use mock_server::Journal;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::api::Api;
use super::sse::{SseEvent, SseReader};
use super::wire::{LITTLE_WHILE, LONGEST_WAIT_FOR_QUIET};
use super::{Chronicle, StageError};
use crate::chain::chain;
use crate::lenient::parsed;

/// Events are told when they happen; only a broken stream takes longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The stream of one process.
#[derive(Debug)]
pub(crate) struct Events {
    follower: JoinSet<()>,
    seen: watch::Receiver<Seen>,
}

/// How far a stream has been read.
#[derive(Debug, Default)]
struct Seen {
    number: u64,
    /// Why there will be no more.
    ended: Option<String>,
}

impl Events {
    pub(crate) async fn follow(api: &Api, chronicle: Chronicle) -> Result<Self, StageError> {
        let events = api.events().await?;
        Ok(Self::read(events, chronicle))
    }

    fn read<S>(mut events: SseReader<S>, chronicle: Chronicle) -> Self
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + Unpin + 'static,
    {
        let (tell, seen) = watch::channel(Seen::default());
        let mut follower = JoinSet::new();
        follower.spawn(async move {
            let ended = loop {
                let event = match events.next().await {
                    Some(Ok(event)) => event,
                    Some(Err(error)) => break format!("the stream broke off: {}", chain(&error)),
                    None => break "the stream ended".to_owned(),
                };
                let id = event.id.as_deref().and_then(parsed);
                // What the mocks saw before nanokimi told of it stands before it.
                if let Err(error) = chronicle.caught_up().await {
                    break error.to_string();
                }
                write(chronicle.journal(), event);
                tell.send_if_modified(|seen| {
                    seen.number = id.map_or(seen.number, |id| id);
                    id.is_some()
                });
            };
            tell.send_modify(|seen| seen.ended = Some(ended));
        });
        Self { follower, seen }
    }

    /// Returns when event `number` is in the journal.
    ///
    /// # Errors
    /// The stream has ended, or the event does not come.
    pub(crate) async fn caught_up(&self, number: u64) -> Result<(), StageError> {
        let mut seen = self.seen.clone();
        let enough = |seen: &Seen| seen.number >= number || seen.ended.is_some();
        let waited = timeout(PATIENCE, seen.wait_for(enough)).await;
        if !matches!(waited, Ok(Ok(_))) {
            let last = self.seen.borrow().number;
            let why = format!("nanokimi told of event {number}, the last that came is {last}");
            return Err(StageError::Events(why));
        }
        drop(waited);
        self.still_told()
    }

    /// Whether the stream is still open.
    ///
    /// # Errors
    /// It has ended: what happens now, nobody hears of.
    pub(crate) fn still_told(&self) -> Result<(), StageError> {
        match &self.seen.borrow().ended {
            Some(why) => Err(StageError::Events(why.clone())),
            None => Ok(()),
        }
    }

    /// Returns when no event has come for a little while, or they never stop to come.
    pub(crate) async fn quiet(&self) {
        let mut seen = self.seen.clone();
        seen.mark_unchanged();
        let silence =
            async { while let Ok(Ok(())) = timeout(LITTLE_WHILE, seen.changed()).await {} };
        drop(timeout(LONGEST_WAIT_FOR_QUIET, silence).await);
    }

    /// Reads what is left after the process has ended.
    pub(crate) async fn end(mut self) {
        drop(timeout(PATIENCE, self.follower.join_next()).await);
    }
}

fn write(journal: &Journal, event: SseEvent) {
    let mut fields = match serde_json::from_str(&event.data) {
        Ok(Value::Object(fields)) => fields,
        Ok(other) => Map::from_iter([("data".to_owned(), other)]),
        Err(_not_json) => Map::from_iter([("data".to_owned(), event.data.into())]),
    };
    let at = fields.shift_remove("at");
    let at = at.and_then(|at| parsed::<Timestamp>(at.as_str()?));
    if let Some(at) = at {
        journal.clock_moved(at);
    }
    journal.write(event.name, fields);
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};

    use super::*;

    /// The events of a stream that goes on with `rest` after one event.
    fn events<S>(rest: S) -> Events
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + Unpin + 'static,
    {
        let one = Bytes::from_static(b"id: 1\nevent: a\ndata: {}\n\n");
        let chunks = stream::iter([Ok(one)]).chain(rest);
        Events::read(SseReader::new(chunks), Chronicle::here(Journal::open()))
    }

    #[tokio::test]
    async fn a_stream_that_is_open_tells_what_it_told() {
        let open = events(stream::pending());
        assert!(open.caught_up(1).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_does_not_come_is_told() {
        let error = events(stream::pending()).caught_up(2).await.unwrap_err();
        let expected = "nanokimi's events do not come: \
                        nanokimi told of event 2, the last that came is 1";
        assert_eq!(error.to_string(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_never_falls_silent_is_not_waited_out() {
        let gusts = tokio::time::interval(LITTLE_WHILE / 2);
        let storm = stream::unfold(gusts, |mut gusts| async {
            gusts.tick().await;
            let event = Bytes::from_static(b"id: 2\nevent: a\ndata: {}\n\n");
            Some((Ok(event), gusts))
        });
        let stormy = events(Box::pin(storm));
        let waited = timeout(LONGEST_WAIT_FOR_QUIET * 2, stormy.quiet());
        assert!(waited.await.is_ok());
    }

    #[tokio::test]
    async fn a_stream_that_ends_or_breaks_is_told() {
        let ended = events(stream::empty()).caught_up(2).await.unwrap_err();
        assert!(ended.to_string().ends_with("the stream ended"), "{ended}");
        let error = Err(std::io::Error::other("cut"));
        let broken = events(stream::iter([error])).caught_up(2).await;
        let broken = broken.unwrap_err().to_string();
        assert!(broken.ends_with("the stream broke off: cut"), "{broken}");
    }
}
