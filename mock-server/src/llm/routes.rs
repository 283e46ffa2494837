//! The HTTP of all services: questions to the model here, the rest beside it.

mod anthropic;
mod context;
mod embeddings;
mod responses;

use std::mem::take;

use axum::Router;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use bytes::Bytes;
use serde_json::json;

use crate::line::Scissors;
use crate::llm::delivery::respond;
use crate::llm::dialect::{self, Dialect, Mount};
use crate::llm::oauth;
use crate::llm::quota;
use crate::llm::score::{Asked, Refusal};
use crate::llm::script::fault::Fault;
use crate::llm::scripted::ScriptedLlm;
use crate::llm::services::{Door, admit, side_routes};

#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) llm: ScriptedLlm,
    pub(crate) mount: Mount,
}

impl Desk {
    fn door(&self) -> Door {
        Door::at(&self.llm, self.mount)
    }
}

/// The routes of all services.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(llm: &ScriptedLlm) -> Router<S> {
    let chats = Mount::ALL.into_iter().fold(Router::new(), |router, mount| {
        let desk = Desk {
            llm: llm.clone(),
            mount,
        };
        let routes = side_routes(&desk)
            .route_layer(from_fn_with_state(desk.door(), admit))
            // Behind the layer: who asks the model stands at the door himself.
            .route(&format!("{}/chat/completions", mount.path), post(chat))
            .with_state(desk);
        router.merge(routes)
    });
    chats
        .merge(anthropic::routes(llm))
        .merge(embeddings::routes(llm))
        .merge(responses::routes(llm))
        .merge(oauth::routes(llm))
}

/// On the shared path Anthropic's clients look for their list too, and say who they are.
pub(crate) fn listed_for_anthropic(desk: &Desk, headers: &HeaderMap) -> Option<Response> {
    let is_theirs = desk.mount.is_shared() && headers.contains_key(anthropic::VERSION);
    is_theirs.then(|| anthropic::listed(&desk.llm, desk.mount.path))
}

async fn chat(
    State(desk): State<Desk>,
    Extension(scissors): Extension<Scissors>,
    request: Request,
) -> Response {
    let mut request = match desk.door().let_in(request, true).await {
        Ok(request) => request,
        Err(refusal) => return *refusal,
    };
    // Taken, not copied.
    let uri = take(request.uri_mut());
    let headers = take(request.headers_mut());
    match Bytes::from_request(request, &()).await {
        Ok(body) => {
            let asked = Asked {
                dialect: desk.mount.dialect(&body),
                uri,
                headers,
                body,
            };
            ask(&desk.llm, asked, scissors).await
        }
        Err(rejection) => {
            let path = format!("{}/chat/completions", desk.mount.path);
            unread(&desk.llm, &path, &rejection);
            rejection.into_response()
        }
    }
}

/// Has a request answered, whatever its protocol is.
async fn ask(llm: &ScriptedLlm, asked: Asked, scissors: Scissors) -> Response {
    let dialect = asked.dialect;
    if let Some(refusal) = llm.services().overdrawn(dialect) {
        return refusal;
    }
    if let Some(refusal) = context::refuse(llm, &asked) {
        return refusal;
    }
    let (quotas, now) = (llm.quotas(), llm.journal().now());
    let whose = quotas.whose(&asked.headers);
    let whose = whose.as_deref();
    let mut response = match quotas.enter(whose, now) {
        Err(spent) => quota::refuse(llm, dialect, spent),
        Ok(()) => match llm.answer(asked) {
            // A proxy knows of no quotas.
            Ok(performance) if matches!(performance.fault(), Some(Fault::Html(_))) => {
                return respond(performance, scissors).await;
            }
            Ok(performance) => {
                let trace = dialect.is_moonshots().then(|| performance.response_id());
                traced(trace, respond(performance, scissors).await)
            }
            Err(refusal) => refused(dialect, &refusal),
        },
    };
    quotas.tell(whose, now, response.headers_mut());
    response
}

/// What Moonshot's services call the way of an answer.
fn traced(trace: Option<String>, mut response: Response) -> Response {
    if let Some(Ok(trace)) = trace.map(HeaderValue::try_from)
        && response.status().is_success()
    {
        response.headers_mut().insert("x-trace-id", trace);
    }
    response
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
