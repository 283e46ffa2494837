//! The HTTP of all services: the model's questions here, the rest beside it.

use axum::Router;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use bytes::Bytes;
use serde_json::json;

use crate::llm::delivery::{Performance, respond};
use crate::llm::dialect::{Dialect, Mount};
use crate::llm::oauth;
use crate::llm::score::{Asked, Refusal};
use crate::llm::scripted::ScriptedLlm;
use crate::llm::services::{Letterhead, admit, side_routes};

/// Says which lane a request is in.
const LANE: &str = "x-lane";

/// What Moonshot's services call the way of a request.
const TRACE: &str = "x-trace-id";

/// Where requests to a path are taken.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) llm: ScriptedLlm,
    pub(crate) mount: Mount,
}

/// The routes of all services.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(llm: &ScriptedLlm) -> Router<S> {
    let login = oauth::routes(llm);
    Mount::ALL.into_iter().fold(login, |router, mount| {
        let desk = Desk {
            llm: llm.clone(),
            mount,
        };
        let routes = side_routes(&desk)
            .route(&format!("{}/chat/completions", mount.path), post(chat))
            .route_layer(from_fn_with_state(desk.clone(), admit))
            .with_state(desk);
        router.merge(routes)
    })
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
    let dialect = desk.mount.dialect(&body);
    if let Some(spent) = desk.llm.services().overdrawn(dialect) {
        return spent;
    }
    let asked = Asked {
        dialect,
        lane,
        letterhead: Letterhead::read(&headers),
        body,
    };
    match desk.llm.answer(asked) {
        Ok(performance) => answered(dialect, performance).await,
        Err(refusal) => refused(dialect, &refusal),
    }
}

async fn answered(dialect: Dialect, performance: Performance) -> Response {
    let trace = dialect.is_moonshots().then(|| performance.response_id());
    let mut response = respond(performance).await;
    if let Some(Ok(trace)) = trace.map(HeaderValue::try_from) {
        response.headers_mut().insert(TRACE, trace);
    }
    response
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
    let path = desk.mount.path;
    let report = format!("POST {path}/chat/completions: {}", rejection.body_text());
    desk.llm.note(event, json!({ "report": report }));
    rejection.into_response()
}

fn refused(dialect: Dialect, refusal: &Refusal) -> Response {
    let body = Json(dialect.error(refusal.refused, &refusal.report));
    (refusal.refused.status(), body).into_response()
}
