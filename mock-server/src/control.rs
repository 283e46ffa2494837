//! What a person or another process may tell the mocks, and ask them: `/_mock/…`.
//!
//! The words are those of the library; a scenario in the same process calls that instead.

mod faults;

use std::convert::Infallible;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::{Map, json};
use tokio_util::sync::CancellationToken;

use crate::journal::Journal;
use crate::llm::{Script, ScriptedLlm};
use crate::server::{RESET, unexpected_in};
#[cfg(feature = "whatsapp")]
use crate::whatsapp::WhatsApp;
use crate::yaml;

/// How a script that came over HTTP is called in messages about it.
const POSTED: &str = "<posted script>";

/// What is told, and who is asked.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) journal: Journal,
    pub(crate) llm: ScriptedLlm,
    #[cfg(feature = "whatsapp")]
    pub(crate) whatsapp: WhatsApp,
    pub(crate) closing: CancellationToken,
}

/// From where on to read the journal.
#[derive(Debug, Deserialize)]
struct Since {
    #[serde(default)]
    after: u64,
}

pub(crate) fn routes<S: Clone + Send + Sync + 'static>(desk: Desk) -> Router<S> {
    Router::new()
        .route("/_mock/scripts", post(add_script))
        .route("/_mock/reset", post(reset).delete(reset))
        .route("/_mock/release/{gate}", post(release))
        .route("/_mock/status", get(status))
        .route("/_mock/journal", get(entries))
        .route("/_mock/journal/stream", get(follow))
        .merge(faults::routes(desk.llm.clone()))
        .with_state(desk)
}

async fn add_script(State(desk): State<Desk>, text: String) -> Response {
    let script: Script = match yaml::read(POSTED, &text) {
        Ok(script) => script,
        Err(mistakes) => return refused(StatusCode::BAD_REQUEST, &mistakes),
    };
    let turns = script.turns.len();
    match desk.llm.add(script) {
        Ok(()) => Json(json!({ "added": turns })).into_response(),
        Err(fault) => refused(StatusCode::BAD_REQUEST, &fault),
    }
}

/// The journal keeps what was, and WhatsApp who is linked and what was said; script, gates and
/// complaints begin anew, and nothing goes wrong any more that somebody wanted to.
async fn reset(State(desk): State<Desk>) -> StatusCode {
    desk.llm.reset();
    #[cfg(feature = "whatsapp")]
    desk.whatsapp.calm().await;
    desk.journal.write(RESET, Map::new());
    StatusCode::NO_CONTENT
}

async fn release(State(desk): State<Desk>, Path(gate): Path<String>) -> Response {
    match desk.llm.release(&gate) {
        Ok(waited) => Json(json!({ "gate": gate, "waited": waited })).into_response(),
        Err(unknown) => refused(StatusCode::NOT_FOUND, &unknown),
    }
}

async fn status(State(desk): State<Desk>) -> Response {
    Json(json!({
        "unsaid": desk.llm.unsaid(),
        "unfired": desk.llm.unfired(),
        "unexpected": unexpected_in(&desk.journal),
        "waiting": desk.llm.waiting(),
        "paced": desk.llm.paced(),
        "last": desk.journal.last(),
    }))
    .into_response()
}

async fn entries(State(desk): State<Desk>, Query(since): Query<Since>) -> Response {
    let entries = desk.journal.entries_after(since.after);
    let entries: Vec<_> = entries.iter().map(|entry| &**entry).collect();
    Json(entries).into_response()
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

fn refused(status: StatusCode, fault: &impl std::fmt::Display) -> Response {
    let body = json!({ "error": { "message": fault.to_string() } });
    (status, Json(body)).into_response()
}
