//! The HTTP of embeddings: `POST embeddings`, as OpenAI and OpenRouter serve it.

use axum::Router;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use bytes::Bytes;
use serde_json::json;

use crate::llm::dialect::{Complaint, Dialect, embeddings};
use crate::llm::routes::unread;
use crate::llm::scripted::ScriptedLlm;
use crate::llm::services::{Door, admit};

#[derive(Clone, Debug)]
struct Desk {
    llm: ScriptedLlm,
    path: &'static str,
    dialect: Dialect,
}

pub(super) fn routes<S: Clone + Send + Sync + 'static>(llm: &ScriptedLlm) -> Router<S> {
    let desks = [
        ("/v1/embeddings", Dialect::OpenAi),
        ("/openai/v1/embeddings", Dialect::OpenAi),
        ("/api/v1/embeddings", Dialect::OpenRouter),
    ];
    desks
        .into_iter()
        .fold(Router::new(), |router, (path, dialect)| {
            let door = Door::of(llm, dialect);
            let llm = llm.clone();
            let desk = Desk { llm, path, dialect };
            let route = Router::new()
                .route(path, post(embed))
                .route_layer(from_fn_with_state(door, admit));
            router.merge(route.with_state(desk))
        })
}

async fn embed(State(desk): State<Desk>, body: Result<Bytes, BytesRejection>) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => {
            unread(&desk.llm, desk.path, &rejection);
            return rejection.into_response();
        }
    };
    match embeddings::embed(&body) {
        Ok(answer) => {
            let fields = json!({
                "path": desk.path,
                "model": answer.model,
                "texts": answer.texts(),
                "tokens": answer.tokens(),
            });
            desk.llm.note("llm.embeddings", fields);
            Json(answer).into_response()
        }
        Err(unfit) => refused(&desk, &unfit.to_string()),
    }
}

fn refused(desk: &Desk, message: &str) -> Response {
    let report = format!("POST {}: {message}", desk.path);
    desk.llm.note("llm.unexpected", json!({ "report": report }));
    let complaint = Complaint {
        kind: None,
        message: Some(message),
    };
    let (status, headers, body) = desk
        .dialect
        .status_error(StatusCode::BAD_REQUEST, complaint);
    (status, headers, Json(body)).into_response()
}
