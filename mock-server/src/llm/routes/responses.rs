//! The HTTP of OpenAI's Responses: `responses`, and what is kept of them. OpenRouter has
//! them too.

use axum::Router;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::line::Scissors;
use crate::llm::dialect::{Complaint, Dialect, Mount};
use crate::llm::routes::{ask, unread};
use crate::llm::score::Asked;
use crate::llm::scripted::ScriptedLlm;
use crate::llm::services::{Door, admit};

pub(super) fn routes<S: Clone + Send + Sync + 'static>(llm: &ScriptedLlm) -> Router<S> {
    let mounts = Mount::ALL
        .into_iter()
        .filter(|mount| mount.serves(Dialect::OpenAi) || mount.serves(Dialect::OpenRouter));
    mounts.fold(Router::new(), |router, mount| {
        let door = Door::at(llm, mount);
        let all = format!("{}/responses", mount.path);
        let one = format!("{all}/{{id}}");
        let routes = Router::new()
            .route(&all, post(respond))
            .route(&one, get(retrieve).delete(forget))
            .route(&format!("{one}/input_items"), get(input_items))
            .route(&format!("{one}/cancel"), post(cancel))
            .route_layer(from_fn_with_state(door, admit))
            .with_state(llm.clone());
        router.merge(routes)
    })
}

async fn respond(
    State(llm): State<ScriptedLlm>,
    Extension(scissors): Extension<Scissors>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match body {
        Ok(body) => {
            let asked = Asked {
                dialect: Dialect::Responses,
                uri,
                headers,
                body,
            };
            ask(&llm, asked, scissors).await
        }
        Err(rejection) => {
            unread(&llm, "/v1/responses", &rejection);
            rejection.into_response()
        }
    }
}

async fn retrieve(State(llm): State<ScriptedLlm>, Path(id): Path<String>) -> Response {
    note(&llm, "GET", &id);
    match llm.conversations().document(&id) {
        Some(Ok(body)) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Some(Err(fault)) => failed(StatusCode::INTERNAL_SERVER_ERROR, &fault.to_string()),
        None => not_found(&id),
    }
}

async fn forget(State(llm): State<ScriptedLlm>, Path(id): Path<String>) -> Response {
    note(&llm, "DELETE", &id);
    if llm.conversations().forget(&id) {
        Json(json!({ "id": id, "object": "response", "deleted": true })).into_response()
    } else {
        not_found(&id)
    }
}

async fn input_items(State(llm): State<ScriptedLlm>, Path(id): Path<String>) -> Response {
    note(&llm, "GET", &format!("{id}/input_items"));
    let Some(items) = llm.conversations().input(&id) else {
        return not_found(&id);
    };
    let end = |item: Option<&Value>| item.map(|item| item["id"].clone());
    let (first, last) = (end(items.first()), end(items.last()));
    Json(json!({
        "object": "list",
        "data": items,
        "first_id": first,
        "last_id": last,
        "has_more": false,
    }))
    .into_response()
}

/// All answers are given while the client waits, so there is nothing to stop.
async fn cancel(State(llm): State<ScriptedLlm>, Path(id): Path<String>) -> Response {
    note(&llm, "POST", &format!("{id}/cancel"));
    failed(
        StatusCode::BAD_REQUEST,
        "Cannot cancel a synchronous response.",
    )
}

fn note(llm: &ScriptedLlm, method: &str, rest: &str) {
    let path = format!("/v1/responses/{rest}");
    llm.note("llm.responses", json!({ "method": method, "path": path }));
}

fn not_found(id: &str) -> Response {
    let message = format!("Response with id '{id}' not found.");
    failed(StatusCode::NOT_FOUND, &message)
}

fn failed(status: StatusCode, message: &str) -> Response {
    let complaint = Complaint {
        kind: Some("invalid_request_error"),
        message: Some(message),
    };
    let (status, headers, body) = Dialect::Responses.status_error(status, complaint);
    (status, headers, Json(body)).into_response()
}
