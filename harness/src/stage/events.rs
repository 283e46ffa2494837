//! Following nanokimi's events into the journal.

use bytes::Bytes;
use futures_util::{FutureExt as _, Stream};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::api::Api;
use super::sse::{SseEvent, SseReader};
use super::telling::Telling;
use super::{Chronicle, MockError, StageError};
use crate::lenient::parsed;

/// Who tells.
const NANOKIMI: &str = "nanokimi";

/// The stream of one process.
#[derive(Debug)]
pub(crate) struct Events(Telling);

impl Events {
    pub(crate) async fn follow(api: &Api, chronicle: Chronicle) -> Result<Self, StageError> {
        let events = api.events().await?;
        Ok(Self::read(events, chronicle))
    }

    fn read<S>(events: SseReader<S>, chronicle: Chronicle) -> Self
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + Unpin + 'static,
    {
        Self(Telling::read(events, move |event| {
            let chronicle = chronicle.clone();
            async move {
                let written = write(&chronicle, event).await;
                written.map_err(|error| error.to_string())
            }
            .boxed()
        }))
    }

    /// Returns when event `number` is in the journal.
    ///
    /// # Errors
    /// The stream has ended, or the event does not come.
    pub(crate) async fn caught_up(&self, number: u64) -> Result<(), StageError> {
        let caught_up = self.0.reached().caught_up(NANOKIMI, number).await;
        caught_up.map_err(StageError::Events)
    }

    /// Whether the stream is still open.
    ///
    /// # Errors
    /// It has ended: what happens now, nobody hears of.
    pub(crate) fn still_told(&self) -> Result<(), StageError> {
        self.0.reached().still_told().map_err(StageError::Events)
    }

    /// Returns when no event has come for a little while, or they never stop to come.
    pub(crate) async fn quiet(&self) {
        self.0.reached().quiet().await;
    }

    /// Reads what is left after the process has ended.
    pub(crate) async fn end(self) {
        self.0.end().await;
    }
}

/// What the mocks saw before nanokimi told of it stands before it.
async fn write(chronicle: &Chronicle, event: SseEvent) -> Result<(), MockError> {
    let mut fields = match serde_json::from_str(&event.data) {
        Ok(Value::Object(fields)) => fields,
        Ok(other) => Map::from_iter([("data".to_owned(), other)]),
        Err(_not_json) => Map::from_iter([("data".to_owned(), event.data.into())]),
    };
    let at = fields.shift_remove("at");
    let at = at.and_then(|at| parsed::<Timestamp>(at.as_str()?));
    if let Some(at) = at {
        chronicle.clock_moved(at).await?;
    }
    chronicle.write(event.name, fields).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use futures_util::{StreamExt as _, stream};
    use mock_server::Journal;
    use tokio::time::timeout;

    use super::*;
    use crate::stage::wire::{LITTLE_WHILE, LONGEST_WAIT_FOR_QUIET};

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
    async fn events_that_keep_coming_are_waited_for_however_many_they_are() {
        let ticks = tokio::time::interval(Duration::from_secs(4));
        let told = stream::unfold((2, ticks), |(number, mut ticks)| async move {
            ticks.tick().await;
            let event = format!("id: {number}\nevent: a\ndata: {{}}\n\n");
            Some((Ok(Bytes::from(event)), (number + 1, ticks)))
        });
        assert!(events(Box::pin(told)).caught_up(100).await.is_ok());
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
