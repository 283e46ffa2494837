//! Anthropic's HTTP: `messages`, `messages/count_tokens` and `models`.
//!
//! On `/v1`, where its clients look for it, and on `/anthropic/v1`, which is nobody else's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Extension, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::json;

use crate::line::Scissors;
use crate::llm::dialect::{Complaint, Dialect, anthropic};
use crate::llm::question::Question;
use crate::llm::question::protocol::Violation;
use crate::llm::routes::{ask, unread};
use crate::llm::score::Asked;
use crate::llm::scripted::ScriptedLlm;
use crate::llm::services::{Door, admit};
use crate::llm::tokens;

/// Its own paths: the one that it shares with others, and the one that it does not.
const SHARED: &str = "/v1";
const OWN: &str = "/anthropic/v1";

/// The version of the protocol that a client speaks; each of its requests says it.
pub(super) const VERSION: &str = "anthropic-version";

/// The longest request that the service takes.
const LARGEST_BODY: usize = 32 << 20;

#[derive(Clone, Debug)]
struct Desk {
    llm: ScriptedLlm,
    /// How many requests came so far.
    requests: Arc<AtomicU64>,
}

pub(super) fn routes<S: Clone + Send + Sync + 'static>(llm: &ScriptedLlm) -> Router<S> {
    let desk = Desk {
        llm: llm.clone(),
        requests: Arc::default(),
    };
    let door = Door::of(llm, Dialect::Anthropic);
    let routes = [SHARED, OWN].iter().fold(Router::new(), |router, path| {
        router
            .route(&format!("{path}/messages"), post(messages))
            .route(&format!("{path}/messages/count_tokens"), post(count_tokens))
    });
    routes
        .route(&format!("{OWN}/models"), get(models))
        .route(&format!("{OWN}/models/{{id}}"), get(model))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .route_layer(from_fn_with_state(door, admit))
        .route_layer(from_fn_with_state(desk.clone(), attend))
        .with_state(desk)
}

/// What every request must say, and every answer says.
async fn attend(State(desk): State<Desk>, request: Request, next: Next) -> Response {
    let mut response = if request.headers().contains_key(VERSION) {
        next.run(request).await
    } else {
        let path = request.uri().path();
        let report = format!("POST {path}: {VERSION}: header is required");
        desk.llm.note("llm.unexpected", json!({ "report": report }));
        let message = "anthropic-version: header is required";
        failed(StatusCode::BAD_REQUEST, message)
    };
    let n = desk.requests.fetch_add(1, Ordering::Relaxed).to_string();
    if let Ok(id) = HeaderValue::from_str(&anthropic::request_id(&["request", &n])) {
        response
            .headers_mut()
            .entry(anthropic::REQUEST_ID)
            .or_insert(id);
    }
    response
}

async fn messages(
    State(desk): State<Desk>,
    Extension(scissors): Extension<Scissors>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match body {
        Ok(body) => {
            let asked = Asked {
                dialect: Dialect::Anthropic,
                uri,
                headers,
                body,
            };
            ask(&desk.llm, asked, scissors).await
        }
        Err(rejection) => unreadable(&desk, &rejection, "messages"),
    }
}

async fn count_tokens(State(desk): State<Desk>, body: Result<Bytes, BytesRejection>) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return unreadable(&desk, &rejection, "messages/count_tokens"),
    };
    match counted(&body) {
        Ok(tokens) => {
            let answer = json!({ "input_tokens": tokens });
            desk.llm.note("llm.count_tokens", answer.clone());
            Json(answer).into_response()
        }
        Err(violation) => {
            let report = violation.to_string();
            desk.llm.note("llm.unexpected", json!({ "report": report }));
            failed(StatusCode::BAD_REQUEST, &report)
        }
    }
}

fn counted(body: &[u8]) -> Result<u64, Violation> {
    let body = anthropic::count(body)?;
    let question = Question::read(&body)?;
    match question.unfit {
        Some(unfit) => Err(unfit.clone()),
        None => Ok(tokens::asked(&question)),
    }
}

async fn models(State(desk): State<Desk>) -> Response {
    listed(&desk.llm, OWN)
}

/// The list in Anthropic's shape.
pub(super) fn listed(llm: &ScriptedLlm, path: &str) -> Response {
    let path = format!("{path}/models");
    llm.note("llm.models", json!({ "path": path }));
    Json(anthropic::models()).into_response()
}

async fn model(State(desk): State<Desk>, Path(id): Path<String>) -> Response {
    desk.llm.note(
        "llm.models",
        json!({ "path": format!("{OWN}/models/{id}") }),
    );
    Json(anthropic::model(&id)).into_response()
}

fn unreadable(desk: &Desk, rejection: &BytesRejection, endpoint: &str) -> Response {
    unread(&desk.llm, &format!("{SHARED}/{endpoint}"), rejection);
    let message = "Request exceeds the maximum allowed number of bytes.";
    failed(rejection.status(), message)
}

fn failed(status: StatusCode, message: &str) -> Response {
    let complaint = Complaint {
        kind: None,
        message: Some(message),
    };
    let (status, headers, body) = Dialect::Anthropic.status_error(status, complaint);
    (status, headers, Json(body)).into_response()
}
