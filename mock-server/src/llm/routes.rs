//! The model's HTTP: `chat/completions` and `models`, under the path of each dialect.

mod anthropic;

use axum::Router;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Json, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::json;

use crate::llm::delivery::respond;
use crate::llm::dialect::Dialect;
use crate::llm::score::{Asked, Refusal};
use crate::llm::scripted::ScriptedLlm;

/// Says which lane a request is in.
const LANE: &str = "x-lane";

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
        .merge(anthropic::routes(llm))
}

async fn models(State(desk): State<Desk>, headers: HeaderMap) -> Response {
    if desk.dialect == Dialect::OpenAi && headers.contains_key(anthropic::VERSION) {
        return anthropic::listed(&desk.llm, desk.dialect.path());
    }
    let path = format!("{}/models", desk.dialect.path());
    desk.llm.note("llm.models", json!({ "path": path }));
    Json(desk.dialect.models()).into_response()
}

async fn chat(
    State(desk): State<Desk>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match body {
        Ok(body) => ask(&desk.llm, desk.dialect, &headers, body).await,
        Err(rejection) => {
            let path = format!("{}/chat/completions", desk.dialect.path());
            unread(&desk.llm, &path, &rejection);
            rejection.into_response()
        }
    }
}

/// Has a request answered, whatever its protocol is.
async fn ask(llm: &ScriptedLlm, dialect: Dialect, headers: &HeaderMap, body: Bytes) -> Response {
    let lane = headers
        .get(LANE)
        .map(|lane| String::from_utf8_lossy(lane.as_bytes()).into_owned());
    let asked = Asked {
        dialect,
        lane,
        body,
    };
    match llm.answer(asked) {
        Ok(performance) => respond(performance).await,
        Err(refusal) => refused(dialect, &refusal),
    }
}

/// Too long a body is a mistake of the client's; one that ends early is a client that
/// was killed.
fn unread(llm: &ScriptedLlm, path: &str, rejection: &BytesRejection) {
    let is_too_long = rejection.status() == StatusCode::PAYLOAD_TOO_LARGE;
    let event = if is_too_long {
        "http.unexpected"
    } else {
        "http.aborted"
    };
    let report = format!("POST {path}: {}", rejection.body_text());
    llm.note(event, json!({ "report": report }));
}

fn refused(dialect: Dialect, refusal: &Refusal) -> Response {
    let body = dialect.error(refusal.refused, &refusal.report);
    let id = body["request_id"].as_str().map(str::to_owned);
    let id = id.map(|id| AppendHeaders([(anthropic::REQUEST_ID, id)]));
    (refusal.refused.status(), id, Json(body)).into_response()
}
