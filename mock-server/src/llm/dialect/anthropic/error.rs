//! Errors as Anthropic tells them, each with the id of its request.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::llm::dialect::wording::{Wording, say};
use crate::llm::score::ids;

/// The name of a request, on answers as on errors.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// What the service says when it fails. The first of a status is the usual one.
pub(crate) const WORDING: &[Wording] = &[
    say(400, "invalid_request_error", "Bad request"),
    say(
        400,
        "billing_error",
        "Your credit balance is too low to access the Anthropic API.",
    ),
    say(401, "authentication_error", "x-api-key header is required"),
    say(
        402,
        "billing_error",
        "Your credit balance is too low to access the Anthropic API.",
    ),
    say(
        403,
        "permission_error",
        "Your API key does not have permission to use the specified resource.",
    ),
    say(404, "not_found_error", "Not found"),
    say(
        413,
        "request_too_large",
        "Request exceeds the maximum allowed number of bytes.",
    ),
    say(
        429,
        "rate_limit_error",
        "This request would exceed the rate limit of your organization.",
    ),
    say(500, "api_error", "Internal server error"),
    say(504, "timeout_error", "Request timed out"),
    say(529, "overloaded_error", "Overloaded"),
];

/// The body of an error, and the event of one within a stream.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorBody<'a> {
    r#type: &'static str,
    error: Told<'a>,
    request_id: String,
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

/// The header that repeats what the body of an error says.
pub(crate) fn request_header(body: &Value) -> HeaderMap {
    let id = body["request_id"].as_str().map(HeaderValue::from_str);
    match id {
        Some(Ok(id)) => HeaderMap::from_iter([(REQUEST_ID, id)]),
        // Only Anthropic has such an id, and makes it of letters.
        Some(Err(_)) | None => HeaderMap::new(),
    }
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
