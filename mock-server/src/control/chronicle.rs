//! The journal over HTTP: read, followed, and told what it must not write down.

use std::convert::Infallible;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{Desk, JOURNAL_AT};
use crate::journal::Journal;
use crate::refused::Refused;
use crate::yaml;

/// How secrets that came over HTTP are called in messages about them.
const POSTED: &str = "<posted secrets>";

pub(super) fn routes() -> Router<Desk> {
    Router::new()
        .route("/_mock/journal", get(entries))
        .route("/_mock/journal/last", get(last))
        .route("/_mock/journal/stream", get(follow))
        .route("/_mock/secrets", get(secrets).post(hide))
}

/// Says in an answer how far the journal is.
pub(super) async fn mark(State(journal): State<Journal>, mut answer: Response) -> Response {
    let last = HeaderValue::from(journal.last());
    answer.headers_mut().insert(JOURNAL_AT, last);
    answer
}

/// From where on to read the journal.
#[derive(Debug, Deserialize)]
struct Since {
    #[serde(default)]
    after: u64,
}

async fn entries(State(desk): State<Desk>, Query(since): Query<Since>) -> Response {
    let entries = desk.journal.entries_after(since.after);
    let entries: Vec<_> = entries.iter().map(|entry| &**entry).collect();
    Json(entries).into_response()
}

/// How far the journal is.
#[derive(Debug, Serialize)]
struct Last {
    /// The number of the last entry; 0 for an empty journal.
    seq: u64,
    /// Real time since it was opened, in milliseconds.
    real_ms: f64,
    /// How many secrets it hides.
    secrets: usize,
}

async fn last(State(desk): State<Desk>) -> Json<Last> {
    Json(Last {
        seq: desk.journal.last(),
        real_ms: desk.journal.age().as_secs_f64() * 1e3,
        secrets: desk.journal.secrets().len(),
    })
}

/// Whoever can ask this can also script every key and token; what is secret beside those is
/// none of the mocks' business, and should not be told them.
async fn secrets(State(desk): State<Desk>) -> Json<Vec<String>> {
    Json(desk.journal.secrets())
}

/// From now on these are not written down.
async fn hide(State(desk): State<Desk>, text: String) -> Response {
    let secrets: Vec<String> = match yaml::read(POSTED, &text) {
        Ok(secrets) => secrets,
        Err(mistakes) => return Refused::Unreadable.with(&mistakes),
    };
    for secret in &secrets {
        desk.journal.hide(secret);
    }
    StatusCode::NO_CONTENT.into_response()
}

/// Every entry as an SSE event; goes on where `Last-Event-ID` or `after` says.
async fn follow(
    State(desk): State<Desk>,
    Query(since): Query<Since>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let after = last_event(&headers).unwrap_or(since.after);
    let follower = desk.journal.follow_after(after);
    let entries = stream::unfold(follower, async |mut follower| {
        let entry = follower.next().await;
        let event = Event::default()
            .id(entry.seq.to_string())
            .event(&*entry.event);
        let data = event
            .json_data(&*entry)
            .unwrap_or_else(|fault| Event::default().comment(fault.to_string()));
        Some((Ok(data), follower))
    });
    let entries = entries.take_until(desk.closing.cancelled_owned());
    Sse::new(entries).keep_alive(KeepAlive::default())
}

/// An id that is none of ours is as good as none.
fn last_event(headers: &HeaderMap) -> Option<u64> {
    let id = str::from_utf8(headers.get("last-event-id")?.as_bytes());
    match id.map(str::parse) {
        Ok(Ok(seq)) => Some(seq),
        Ok(Err(_)) | Err(_) => None,
    }
}
