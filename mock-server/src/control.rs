//! What a person or another process may tell the mocks, and ask them: `/_mock/…`.
//!
//! The words are those of the library; a scenario in the same process calls that instead.
//! Each answer says in a header how far the journal is, so that whoever follows it knows when
//! they have read all that came before the answer.

mod chronicle;
mod faults;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::map_response_with_state;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use tokio_util::sync::CancellationToken;

use crate::journal::Journal;
use crate::llm::{Script, ScriptedLlm};
use crate::refused::Refused;
use crate::server::{RESET, unexpected_in};
use crate::storage::{self, Storage};
#[cfg(feature = "whatsapp")]
use crate::whatsapp::{self, WhatsApp};
use crate::yaml;

/// How a script that came over HTTP is called in messages about it.
const POSTED: &str = "<posted script>";
/// And the time.
const CLOCK: &str = "<posted clock>";

/// In every answer below `/_mock`: the number of the journal's last entry when it was made.
pub const JOURNAL_AT: &str = "x-journal-at";

/// What is told, and who is asked.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) journal: Journal,
    pub(crate) llm: ScriptedLlm,
    pub(crate) storage: Storage,
    /// Who signs for HTTPS, as PEM; none if that is not spoken.
    pub(crate) authority: Option<Arc<str>>,
    #[cfg(feature = "whatsapp")]
    pub(crate) whatsapp: WhatsApp,
    pub(crate) closing: CancellationToken,
}

pub(crate) fn routes<S: Clone + Send + Sync + 'static>(desk: Desk) -> Router<S> {
    let journal = desk.journal.clone();
    let routes = Router::new()
        .route("/_mock/health", get(async || "ok"))
        .route("/_mock/scripts", post(add_script))
        .route("/_mock/reset", post(reset).delete(reset))
        .route("/_mock/release/{gate}", post(release))
        .route("/_mock/status", get(status))
        .route("/_mock/authority.pem", get(authority))
        .route("/_mock/clock", get(clock).post(move_clock));
    #[cfg(feature = "whatsapp")]
    let routes = routes.merge(whatsapp::control_routes(&desk.whatsapp));
    routes
        .merge(storage::control_routes(&desk.storage))
        .merge(chronicle::routes())
        .merge(faults::routes(desk.llm.clone()))
        .layer(map_response_with_state(journal, chronicle::mark))
        .with_state(desk)
}

/// What its turns are called after.
#[derive(Debug, Deserialize)]
struct Named {
    name: Option<String>,
}

async fn add_script(
    State(desk): State<Desk>,
    Query(named): Query<Named>,
    text: String,
) -> Response {
    let mut script: Script = match yaml::read(POSTED, &text) {
        Ok(script) => script,
        Err(mistakes) => return Refused::Unreadable.with(&mistakes),
    };
    script.name = named.name;
    let turns = script.turns.len();
    match desk.llm.add(script) {
        Ok(()) => Json(json!({ "added": turns })).into_response(),
        Err(fault) => Refused::Unfit.with(&fault),
    }
}

/// The journal keeps what was, and WhatsApp who is linked and what was said; script, gates and
/// complaints begin anew, and nothing goes wrong any more that somebody wanted to.
async fn reset(State(desk): State<Desk>) -> StatusCode {
    desk.llm.reset();
    desk.storage.reset();
    #[cfg(feature = "whatsapp")]
    desk.whatsapp.calm().await;
    desk.journal.write(RESET, Map::new());
    StatusCode::NO_CONTENT
}

async fn release(State(desk): State<Desk>, Path(gate): Path<String>) -> Response {
    match desk.llm.release(&gate) {
        Ok(waited) => Json(json!({ "gate": gate, "waited": waited })).into_response(),
        Err(unknown) => Refused::Unknown.with(&unknown),
    }
}

async fn authority(State(desk): State<Desk>) -> Response {
    match desk.authority {
        Some(pem) => (
            [(CONTENT_TYPE, "application/pem-certificate-chain")],
            pem.to_string(),
        )
            .into_response(),
        None => Refused::Unknown.with(&"HTTPS is not spoken; start the mocks with --https"),
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

/// The time of a scenario.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Clock {
    now: Option<Timestamp>,
}

async fn clock(State(desk): State<Desk>) -> Json<Clock> {
    let now = desk.journal.now();
    Json(Clock { now })
}

/// From then on time stands still between two moves.
async fn move_clock(State(desk): State<Desk>, text: String) -> Response {
    let clock: Clock = match yaml::read(CLOCK, &text) {
        Ok(clock) => clock,
        Err(mistakes) => return Refused::Unreadable.with(&mistakes),
    };
    let Some(now) = clock.now else {
        return Refused::Unreadable.with(&"it names no instant; write `now: 2026-01-05T09:00:00Z`");
    };
    desk.journal.clock_moved(now);
    Json(clock).into_response()
}
