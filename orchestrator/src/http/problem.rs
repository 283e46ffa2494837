//! What goes wrong, in the shape that OpenAI-compatible clients read:
//! `{"error": {"message", "type", "code", "status"}}`. Never a friendly text with status 200.

use axum::Json;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::registration::NoGroup;
use crate::store::StoreError;

/// A request that was not served.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: String,
    pub(super) message: String,
}

#[derive(Serialize)]
struct Body<'a> {
    error: Detail<'a>,
}

#[derive(Serialize)]
struct Detail<'a> {
    message: &'a str,
    r#type: &'static str,
    code: &'a str,
    /// For who hears of it inside a stream, where it is too late for a status.
    status: u16,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    pub(super) fn stopping() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "stopping",
            "nanokimi is stopping; a message that was stored is answered after the next start",
        )
    }

    /// The body, as it also stands in an error event inside a stream.
    pub(super) fn body(&self) -> String {
        let body = Body {
            error: Detail {
                message: &self.message,
                r#type: if self.status.is_client_error() {
                    "invalid_request_error"
                } else {
                    "server_error"
                },
                code: &self.code,
                status: self.status.as_u16(),
            },
        };
        // Three strings and a number always serialise.
        serde_json::to_string(&body).unwrap_or_else(|error| error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let headers = [(axum::http::header::CONTENT_TYPE, "application/json")];
        (self.status, headers, self.body()).into_response()
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let status = match error {
            StoreError::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
            StoreError::Stopped => return Self::stopping(),
            StoreError::GroupConflict(_) => StatusCode::CONFLICT,
            StoreError::Open { .. }
            | StoreError::Newer { .. }
            | StoreError::Migrate { .. }
            | StoreError::Sql(_)
            | StoreError::Unknown { .. }
            | StoreError::Thread(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        tracing::error!(
            error = crate::chain(&error),
            "a request could not be kept in the store"
        );
        Self::new(status, "store", crate::chain(&error))
    }
}

impl From<NoGroup> for Problem {
    fn from(why: NoGroup) -> Self {
        match why {
            NoGroup::Store(error) => error.into(),
            NoGroup::NotHere(_) => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Self::new(status, "workspace", crate::chain(&why))
            }
        }
    }
}

pub(super) async fn no_such_route(uri: Uri) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_route",
        format!("there is no `{}`", uri.path()),
    )
}

pub(super) async fn no_such_method(method: Method, uri: Uri) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "no_such_method",
        format!("`{}` does not take {method}", uri.path()),
    )
}

/// A JSON answer.
pub(super) fn json<T: Serialize>(value: T) -> Response {
    Json(value).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_wrong_in_a_stream_tells_the_status_that_it_would_have_had() {
        let problem = Problem::new(StatusCode::BAD_GATEWAY, "agent", "Out of credits.");
        assert_eq!(
            problem.body(),
            r#"{"error":{"message":"Out of credits.","type":"server_error","code":"agent","status":502}}"#
        );
    }
}
