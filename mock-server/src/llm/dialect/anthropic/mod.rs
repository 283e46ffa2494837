//! Anthropic's Messages: its requests, its rules and its answers.
//!
//! Shapes as the service documents them and as its own clients read them. Scripts never
//! see them: a request becomes a chat request here, and an answer leaves from here.

mod answer;
mod error;
mod request;
mod rules;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use answer::document;
pub(crate) use error::{REQUEST_ID, WORDING, error, error_type, request_header, request_id};
pub(crate) use request::{count, read};
pub(crate) use rules::Unfit;
pub(super) use stream::Scribe;

use serde_json::{Value, json};

/// The model that is listed; a script answers whatever is asked for.
const MODEL: &str = "claude-opus-5-5";

/// One model, as `GET models/{id}` tells of it.
pub(crate) fn model(id: &str) -> Value {
    json!({
        "type": "model",
        "id": id,
        "display_name": id,
        "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": "active",
    })
}

/// The body of `GET models`.
pub(crate) fn models() -> Value {
    json!({ "data": [model(MODEL)], "has_more": false, "first_id": MODEL, "last_id": MODEL })
}
