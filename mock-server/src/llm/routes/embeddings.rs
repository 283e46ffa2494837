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

use crate::llm::dialect::{Complaint, Dialect, Mount, embeddings};
use crate::llm::routes::{Desk, unread};
use crate::llm::scripted::ScriptedLlm;
use crate::llm::services::{Door, admit};

pub(super) fn routes<S: Clone + Send + Sync + 'static>(llm: &ScriptedLlm) -> Router<S> {
    let mounts = Mount::ALL
        .into_iter()
        .filter(|mount| mount.serves(Dialect::OpenAi) || mount.serves(Dialect::OpenRouter));
    mounts.fold(Router::new(), |router, mount| {
        let llm = llm.clone();
        let door = Door::at(&llm, mount);
        let routes = Router::new()
            .route(&path(mount), post(embed))
            .route_layer(from_fn_with_state(door, admit))
            .with_state(Desk { llm, mount });
        router.merge(routes)
    })
}

fn path(mount: Mount) -> String {
    format!("{}/embeddings", mount.path)
}

async fn embed(State(desk): State<Desk>, body: Result<Bytes, BytesRejection>) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => {
            unread(&desk.llm, &path(desk.mount), &rejection);
            return rejection.into_response();
        }
    };
    match embeddings::embed(&body) {
        Ok(answer) => {
            let fields = json!({
                "path": path(desk.mount),
                "model": answer.model,
                "texts": answer.texts(),
                "tokens": answer.tokens(),
            });
            desk.llm.note("llm.embeddings", fields);
            Json(answer).into_response()
        }
        Err(unfit) => refused(&desk, desk.mount.dialect(&body), &unfit.to_string()),
    }
}

fn refused(desk: &Desk, dialect: Dialect, message: &str) -> Response {
    let report = format!("POST {}: {message}", path(desk.mount));
    desk.llm.note("llm.unexpected", json!({ "report": report }));
    let complaint = Complaint {
        kind: None,
        message: Some(message),
    };
    let (status, headers, body) = dialect.status_error(StatusCode::BAD_REQUEST, complaint);
    (status, headers, Json(body)).into_response()
}
