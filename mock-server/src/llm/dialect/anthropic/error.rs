//! Errors as Anthropic tells them, each with the id of its request.

use axum::http::StatusCode;
use serde::Serialize;

use crate::llm::score::ids;

/// The body of an error, and the event of one within a stream.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorBody<'a> {
    r#type: &'static str,
    error: Told<'a>,
    pub(crate) request_id: String,
}

#[derive(Debug, Serialize)]
struct Told<'a> {
    r#type: &'a str,
    message: &'a str,
}

/// The same error has the same id in every run.
pub(crate) fn error<'a>(kind: &'a str, message: &'a str) -> ErrorBody<'a> {
    ErrorBody {
        r#type: "error",
        error: Told {
            r#type: kind,
            message,
        },
        request_id: request_id(&["error", kind, message]),
    }
}

/// The id of a request.
pub(crate) fn request_id(parts: &[&str]) -> String {
    format!("req_01{}", ids::letters(0, parts))
}

/// What the service calls an error with this status.
pub(crate) fn error_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        400..500 => "invalid_request_error",
        _others => "api_error",
    }
}
