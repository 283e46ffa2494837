//! `/_mock/whatsapp`: the same words over HTTP, for people and other processes.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::{Control, LinkedAccount, WhatsApp};
use crate::yaml;

/// How a control that came over HTTP is called in messages about it.
const POSTED: &str = "<posted control>";
/// And an account.
const ACCOUNT: &str = "<posted account>";

pub(crate) fn routes<S: Clone + Send + Sync + 'static>(whatsapp: &WhatsApp) -> Router<S> {
    Router::new()
        .route("/_mock/whatsapp", get(describe).post(act))
        .route("/_mock/whatsapp/accounts", get(linked).post(link))
        .with_state(whatsapp.clone())
}

async fn describe(State(whatsapp): State<WhatsApp>) -> Response {
    match whatsapp.describe().await {
        Ok(state) => {
            let places = json!({
                "socket": whatsapp.socket_url(),
                "media_authority": whatsapp.media_authority(),
            });
            Json(merged(places, state)).into_response()
        }
        Err(ended) => refused(StatusCode::GONE, &ended),
    }
}

async fn act(State(whatsapp): State<WhatsApp>, text: String) -> Response {
    let control: Control = match yaml::read(POSTED, &text) {
        Ok(control) => control,
        Err(mistakes) => return refused(StatusCode::BAD_REQUEST, &mistakes),
    };
    match whatsapp.control(control).await {
        Ok(done) => Json(done).into_response(),
        Err(fault) => refused(StatusCode::CONFLICT, &fault),
    }
}

/// The devices that are linked, to be given to another mock.
async fn linked(State(whatsapp): State<WhatsApp>) -> Response {
    Json(whatsapp.linked().await).into_response()
}

async fn link(State(whatsapp): State<WhatsApp>, text: String) -> Response {
    let account: LinkedAccount = match yaml::read(ACCOUNT, &text) {
        Ok(account) => account,
        Err(mistakes) => return refused(StatusCode::BAD_REQUEST, &mistakes),
    };
    match whatsapp.link(account).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(fault) => refused(StatusCode::CONFLICT, &fault),
    }
}

fn merged(mut first: Value, second: Value) -> Value {
    if let (Value::Object(first), Value::Object(second)) = (&mut first, second) {
        first.extend(second);
    }
    first
}

fn refused(status: StatusCode, fault: &impl std::fmt::Display) -> Response {
    let body = json!({ "error": { "message": fault.to_string() } });
    (status, Json(body)).into_response()
}
