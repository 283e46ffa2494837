//! The token endpoint: `POST /token`, which a service account's key file names.

use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use axum::{Form, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::assertion::Claims;
use super::ledger::LIFETIME;
use crate::storage::Storage;

const ASSERTION: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// What a refresh token of a person is good for: whatever they may do.
const OF_A_PERSON: &str = "https://www.googleapis.com/auth/cloud-platform";

pub(super) fn routes() -> Router<Storage> {
    Router::new()
        .route("/token", post(token))
        .route("/oauth2/v4/token", post(token))
}

#[derive(Debug, Deserialize)]
struct Question {
    grant_type: Option<String>,
    assertion: Option<String>,
    refresh_token: Option<String>,
}

async fn token(
    State(storage): State<Storage>,
    asked: Result<Form<Question>, FormRejection>,
) -> Response {
    let Ok(Form(asked)) = asked else {
        return refused(&storage, "invalid_request", "Could not parse the request.");
    };
    match (
        asked.grant_type.as_deref(),
        asked.assertion,
        asked.refresh_token,
    ) {
        (Some(ASSERTION), Some(assertion), _) => {
            let claims = storage.with(|_, now| Claims::read(&assertion, now));
            match claims {
                Ok(claims) => granted(&storage, &claims.iss, &claims.scope),
                Err(why) => refused(&storage, "invalid_grant", &why),
            }
        }
        (Some("refresh_token"), _, Some(token)) => {
            storage.hide(&token);
            granted(&storage, "a person", OF_A_PERSON)
        }
        (Some(ASSERTION), None, _) => refused(
            &storage,
            "invalid_request",
            "Missing required parameter: assertion",
        ),
        (Some("refresh_token"), _, None) => refused(
            &storage,
            "invalid_request",
            "Missing required parameter: refresh_token",
        ),
        (Some(other), _, _) => {
            let why = format!("Invalid grant_type: {other}");
            refused(&storage, "unsupported_grant_type", &why)
        }
        (None, _, _) => refused(
            &storage,
            "invalid_request",
            "Missing required parameter: grant_type",
        ),
    }
}

/// A token, which is never written down.
fn granted(storage: &Storage, to: &str, scope: &str) -> Response {
    let token = storage.issue(scope);
    let fields = [("to", Value::from(to)), ("scope", Value::from(scope))];
    storage.write("storage.token", fields);
    let granted = json!({ "access_token": token, "expires_in": LIFETIME - 1, "scope": scope, "token_type": "Bearer" });
    Json(granted).into_response()
}

fn refused(storage: &Storage, error: &str, why: &str) -> Response {
    let fields = [("error", Value::from(error)), ("why", Value::from(why))];
    storage.write("storage.token", fields);
    let body = json!({ "error": error, "error_description": why });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}
