//! Moonshot's refusal of a conversation that is longer than its model can hold.
//!
//! It stands before the script, as quotas do: what is refused here is no question to it.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use serde_json::json;

use crate::llm::dialect::Complaint;
use crate::llm::question::Question;
use crate::llm::question::protocol::LARGEST_BODY;
use crate::llm::score::Asked;
use crate::llm::scripted::ScriptedLlm;
use crate::llm::tokens;

/// A conversation that is too long for its model.
struct Overfull {
    model: String,
    tokens: u64,
    limit: u64,
}

/// The refusal, if the model that is asked is listed and cannot hold the conversation.
pub(super) fn refuse(llm: &ScriptedLlm, asked: &Asked) -> Option<Response> {
    let Overfull {
        model,
        tokens,
        limit,
    } = overfull(llm, asked)?;
    let message = format!(
        "Invalid request: Your request exceeded model token limit: {limit} (requested: {tokens})"
    );
    let complaint = Complaint {
        kind: Some("invalid_request_error"),
        message: Some(&message),
    };
    let (status, headers, body) = asked
        .dialect
        .status_error(StatusCode::BAD_REQUEST, complaint);
    llm.note(
        "llm.overfull",
        json!({ "path": asked.uri.path(), "model": model, "tokens": tokens, "limit": limit }),
    );
    Some((status, headers, Json(body)).into_response())
}

fn overfull(llm: &ScriptedLlm, asked: &Asked) -> Option<Overfull> {
    if !asked.dialect.is_moonshots() {
        return None;
    }
    // Most requests are so short that nobody need look inside.
    let most = tokens::in_bytes(asked.body.len());
    if most <= llm.services().shortest_context() {
        return None;
    }
    // Of what is far too long something else is said.
    if asked.body.len() > LARGEST_BODY {
        return None;
    }
    // What cannot be read is refused for that.
    let Ok(body) = asked.dialect.read(&asked.body, llm.conversations()) else {
        return None;
    };
    let Ok(question) = Question::read(&body) else {
        return None;
    };
    let model = question.model.text().to_owned();
    let limit = llm.services().context_of(asked.dialect, &model)?;
    let tokens = tokens::asked(&question);
    (tokens > limit).then_some(Overfull {
        model,
        tokens,
        limit,
    })
}
