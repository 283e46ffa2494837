//! Following nanokimi's events into the journal.

use std::time::Duration;

use jiff::Timestamp;
use mock_server::Journal;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::StageError;
use super::api::Api;
use super::sse::SseEvent;
use crate::lenient::parsed;

/// Events are told when they happen; only a broken stream takes longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Far longer than an event is on its way between two processes of one machine.
const LITTLE_WHILE: Duration = Duration::from_millis(20);

/// The stream of one process.
#[derive(Debug)]
pub(crate) struct Events {
    follower: JoinSet<()>,
    seen: watch::Receiver<u64>,
}

impl Events {
    pub(crate) async fn follow(api: &Api, journal: Journal) -> Result<Self, StageError> {
        let mut events = api.events().await?;
        let (number, seen) = watch::channel(0);
        let mut follower = JoinSet::new();
        follower.spawn(async move {
            // A stream that breaks off has ended with its process, which others notice.
            while let Some(Ok(event)) = events.next().await {
                let id = event.id.as_deref().and_then(parsed);
                write(&journal, event);
                if let Some(id) = id {
                    number.send_replace(id);
                }
            }
        });
        Ok(Self { follower, seen })
    }

    /// Returns when event `number` is in the journal.
    pub(crate) async fn caught_up(&self, number: u64) {
        let mut seen = self.seen.clone();
        // If the stream has ended, what is missing will not come any more.
        drop(timeout(PATIENCE, seen.wait_for(|seen| *seen >= number)).await);
    }

    /// Returns when no event has come for a little while.
    pub(crate) async fn quiet(&self) {
        let mut seen = self.seen.clone();
        seen.mark_unchanged();
        while let Ok(Ok(())) = timeout(LITTLE_WHILE, seen.changed()).await {}
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
