//! How the JSON API says no.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::storage::refusal::Refusal;

/// The body of an error.
pub(crate) fn body(status: StatusCode, reason: &str, message: &str) -> Value {
    json!({
        "error": {
            "code": status.as_u16(),
            "message": message,
            "errors": [{ "message": message, "domain": "global", "reason": reason }],
        }
    })
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.wrong.status();
        if status == StatusCode::NOT_MODIFIED {
            return status.into_response();
        }
        let body = body(status, self.wrong.reason(), &self.message);
        (status, self.wrong.headers(), Json(body)).into_response()
    }
}
