//! The model's HTTP: `chat/completions` and `models`, under the path of each dialect.

use std::collections::VecDeque;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Json, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;

use super::dialect::Dialect;
use super::performance::Performance;
use super::score::{Asked, Refusal};
use super::scripted::ScriptedLlm;
use super::wire;

/// Says which lane a request is in.
const LANE: &str = "x-lane";
/// OpenRouter's name for the id of the answer.
const GENERATION: HeaderName = HeaderName::from_static("x-generation-id");

#[derive(Clone, Debug)]
struct Desk {
    llm: ScriptedLlm,
    dialect: Dialect,
}

/// The routes of all dialects.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(llm: &ScriptedLlm) -> Router<S> {
    Dialect::ALL
        .into_iter()
        .fold(Router::new(), |router, dialect| {
            let desk = Desk {
                llm: llm.clone(),
                dialect,
            };
            let path = dialect.path();
            let routes = Router::new()
                .route(&format!("{path}/chat/completions"), post(chat))
                .route(&format!("{path}/models"), get(models))
                .with_state(desk);
            router.merge(routes)
        })
}

async fn models(State(desk): State<Desk>) -> Response {
    let path = format!("{}/models", desk.dialect.path());
    desk.llm.note("llm.models", json!({ "path": path }));
    Json(desk.dialect.models()).into_response()
}

async fn chat(
    State(desk): State<Desk>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return unread(&desk, rejection),
    };
    let lane = headers
        .get(LANE)
        .map(|lane| String::from_utf8_lossy(lane.as_bytes()).into_owned());
    let asked = Asked {
        dialect: desk.dialect,
        lane,
        body,
    };
    match desk.llm.answer(asked) {
        Ok(performance) if performance.wants_stream => streamed(performance),
        Ok(performance) => whole(performance).await,
        Err(refusal) => refused(desk.dialect, &refusal),
    }
}

/// Too long a body is a mistake of the client's; one that ends early is a client that
/// was killed.
fn unread(desk: &Desk, rejection: BytesRejection) -> Response {
    let is_too_long = rejection.status() == StatusCode::PAYLOAD_TOO_LARGE;
    let event = if is_too_long {
        "http.unexpected"
    } else {
        "http.aborted"
    };
    let path = desk.dialect.path();
    let report = format!("POST {path}/chat/completions: {}", rejection.body_text());
    desk.llm.note(event, json!({ "report": report }));
    rejection.into_response()
}

fn refused(dialect: Dialect, refusal: &Refusal) -> Response {
    let body = Json(dialect.error(refusal.refused, &refusal.report));
    (refusal.refused.status(), body).into_response()
}

async fn whole(mut performance: Performance) -> Response {
    let dialect = performance.dialect();
    let generation = generation(&performance);
    let document = wire::document(performance.begin().await, dialect);
    performance.end();
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    match document {
        Ok(body) => (generation, content_type, body).into_response(),
        Err(fault) => failed(&fault),
    }
}

/// Headers and prelude go out at once, also while the answer is held at its gate.
fn streamed(performance: Performance) -> Response {
    let generation = generation(&performance);
    let playing = Playing {
        frames: wire::prelude(performance.dialect()).into_iter().collect(),
        performance,
        has_begun: false,
    };
    let content_type = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let body = Body::from_stream(stream::unfold(playing, Playing::next));
    (generation, content_type, body).into_response()
}

/// A stream under way.
struct Playing {
    performance: Performance,
    frames: VecDeque<Bytes>,
    has_begun: bool,
}

impl Playing {
    async fn next(mut self) -> Option<(serde_json::Result<Bytes>, Self)> {
        if self.frames.is_empty() && !self.has_begun {
            self.has_begun = true;
            let (dialect, wants_usage) = (self.performance.dialect(), self.performance.wants_usage);
            let reply = self.performance.begin().await;
            match wire::frames(reply, dialect, wants_usage) {
                Ok(frames) => self.frames = frames,
                // Ends the connection, which no client can take for an answer.
                Err(fault) => return Some((Err(fault), self)),
            }
        }
        let frame = self.frames.pop_front()?;
        if self.has_begun && self.frames.is_empty() {
            self.performance.end();
        }
        Some((Ok(frame), self))
    }
}

fn generation(performance: &Performance) -> Option<AppendHeaders<[(HeaderName, String); 1]>> {
    let is_named = performance.dialect() == Dialect::OpenRouter;
    is_named.then(|| AppendHeaders([(GENERATION, performance.response_id())]))
}

fn failed(fault: &serde_json::Error) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, fault.to_string()).into_response()
}
