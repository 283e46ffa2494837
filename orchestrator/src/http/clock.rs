//! `POST /v1/clock`, only under `--test-clock`: moves time and returns when all it set off has
//! settled.
//!
//! Body: `{"advance": "90s"}` or `{"advance_to": "<RFC 3339>"}`, and optionally
//! `"within": "10s"` (real time to settle in) and `"leave_runs": true` (do not wait for agents).

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Api;
use super::problem::{Problem, json};
use crate::clock::Move;

const PATIENCE: SignedDuration = SignedDuration::from_secs(10);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    advance: Option<SignedDuration>,
    advance_to: Option<Timestamp>,
    #[serde(default)]
    within: Option<SignedDuration>,
    #[serde(default)]
    leave_runs: bool,
}

#[derive(Serialize)]
struct Settled {
    now: Timestamp,
    settled: bool,
    /// What was still at work.
    busy: Vec<&'static str>,
    /// The number of the newest event: all that the move set off has been told up to here.
    last_event: u64,
}

pub(super) async fn advance(State(api): State<Api>, body: Bytes) -> Result<Response, Problem> {
    let asked: Asked = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request(format!("not a move of the clock: {error}")))?;
    let now = api.house.clock.now();
    let to = match (asked.advance, asked.advance_to) {
        (Some(span), None) => now.checked_add(span).unwrap_or(Timestamp::MAX),
        (None, Some(at)) => at,
        (Some(_), Some(_)) | (None, None) => {
            return Err(Problem::bad_request("give `advance` or `advance_to`"));
        }
    };
    if to < now {
        return Err(Problem::bad_request(format!(
            "time does not go back: it is {now}"
        )));
    }
    let patience = Duration::try_from(asked.within.unwrap_or(PATIENCE))
        .map_err(|_negative| Problem::bad_request("`within` is negative"))?;
    let moving = Move {
        to,
        patience,
        leave_runs: asked.leave_runs,
    };
    let Some(hand) = &api.clock_hand else {
        return Err(Problem::bad_request("there is no test clock"));
    };
    let Some(moved) = hand.advance(moving).await else {
        return Err(Problem::stopping());
    };
    Ok(json(Settled {
        now: moved.now,
        settled: moved.busy.is_empty(),
        busy: moved.busy,
        last_event: api.house.events.newest(),
    }))
}
