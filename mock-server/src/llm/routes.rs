//! The model's HTTP: `chat/completions` and `models`, under the path of each dialect.

mod anthropic;

use axum::Router;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::json;

use crate::line::Scissors;
use crate::llm::delivery::respond;
use crate::llm::dialect::{self, Dialect, Mount};
use crate::llm::score::{Asked, Refusal};
use crate::llm::scripted::ScriptedLlm;

#[derive(Clone, Debug)]
struct Desk {
    llm: ScriptedLlm,
    mount: Mount,
}

/// The routes of all services.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(llm: &ScriptedLlm) -> Router<S> {
    let chats = Mount::ALL.into_iter().fold(Router::new(), |router, mount| {
        let desk = Desk {
            llm: llm.clone(),
            mount,
        };
        let path = mount.path;
        let routes = Router::new()
            .route(&format!("{path}/chat/completions"), post(chat))
            .route(&format!("{path}/models"), get(models))
            .with_state(desk);
        router.merge(routes)
    });
    chats.merge(anthropic::routes(llm))
}

async fn models(State(desk): State<Desk>, headers: HeaderMap) -> Response {
    if desk.mount.is_shared() && headers.contains_key(anthropic::VERSION) {
        return anthropic::listed(&desk.llm, desk.mount.path);
    }
    let path = format!("{}/models", desk.mount.path);
    desk.llm.note("llm.models", json!({ "path": path }));
    Json(desk.mount.dialect(&[]).models()).into_response()
}

async fn chat(
    State(desk): State<Desk>,
    Extension(scissors): Extension<Scissors>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match body {
        Ok(body) => {
            let dialect = desk.mount.dialect(&body);
            ask(&desk.llm, dialect, headers, body, scissors).await
        }
        Err(rejection) => {
            let path = format!("{}/chat/completions", desk.mount.path);
            unread(&desk.llm, &path, &rejection);
            rejection.into_response()
        }
    }
}

/// Has a request answered, whatever its protocol is.
async fn ask(
    llm: &ScriptedLlm,
    dialect: Dialect,
    headers: HeaderMap,
    body: Bytes,
    scissors: Scissors,
) -> Response {
    let asked = Asked {
        dialect,
        headers,
        body,
    };
    match llm.answer(asked) {
        Ok(performance) => respond(performance, scissors).await,
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
    let headers = dialect::anthropic::request_header(&body);
    (refusal.refused.status(), headers, Json(body)).into_response()
}
