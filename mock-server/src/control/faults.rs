//! `/_mock/faults`: what goes wrong by number, put in while the story goes on, and how often
//! it came.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use serde_json::json;

use crate::llm::{FaultRule, Script, ScriptedLlm};
use crate::refused::Refused;
use crate::yaml;

/// How a fault that came over HTTP is called in messages about it.
const POSTED: &str = "<posted fault>";

pub(super) fn routes<S: Clone + Send + Sync + 'static>(llm: ScriptedLlm) -> Router<S> {
    Router::new()
        .route("/_mock/faults", post(add).get(known))
        .with_state(llm)
}

async fn add(State(llm): State<ScriptedLlm>, text: String) -> Response {
    let rule: FaultRule = match yaml::read(POSTED, &text) {
        Ok(rule) => rule,
        Err(mistakes) => return Refused::Unreadable.with(&mistakes),
    };
    match llm.add(Script::of_faults(vec![rule])) {
        Ok(()) => Json(json!({ "added": 1 })).into_response(),
        Err(fault) => Refused::Unfit.with(&fault),
    }
}

async fn known(State(llm): State<ScriptedLlm>) -> Response {
    Json(llm.faults()).into_response()
}
