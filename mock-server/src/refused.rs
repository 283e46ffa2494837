//! How the control API says no: a kind that programs can tell, and the sentence of the library.

use std::fmt::Display;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use serde_json::json;

/// Why something that was posted below `/_mock` was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It cannot be read.
    Unreadable,
    /// It does not fit to what is there.
    Unfit,
    /// Nothing has that name.
    Unknown,
    /// It cannot be done as things stand.
    Impossible,
    /// The service is not there, or not any more.
    Gone,
}

impl Refused {
    /// An answer with these words.
    pub(crate) fn with(self, fault: &impl Display) -> Response {
        let (status, kind) = match self {
            Self::Unreadable => (StatusCode::BAD_REQUEST, "unreadable"),
            Self::Unfit => (StatusCode::BAD_REQUEST, "unfit"),
            Self::Unknown => (StatusCode::NOT_FOUND, "unknown"),
            Self::Impossible => (StatusCode::CONFLICT, "impossible"),
            Self::Gone => (StatusCode::GONE, "gone"),
        };
        let body = json!({ "error": { "type": kind, "message": fault.to_string() } });
        (status, Json(body)).into_response()
    }
}
