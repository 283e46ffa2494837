//! `POST /v1/clock`, only under `--test-clock`: moves time and returns when all it set off has
//! settled.
//!
//! Body: `{"advance": "90s"}`, `{"advance_to": "<RFC 3339>"}` or `{"set_back": "1h"}`, and optionally
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
use crate::clock_hand::Way;

const PATIENCE: SignedDuration = SignedDuration::from_secs(10);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    advance: Option<SignedDuration>,
    advance_to: Option<Timestamp>,
    set_back: Option<SignedDuration>,
    #[serde(default)]
    within: Option<SignedDuration>,
    #[serde(default)]
    leave_runs: bool,
}

impl Asked {
    /// Which way the clock is turned, and where it is to stand then.
    fn goal(&self, now: Timestamp) -> Result<(Way, Timestamp), Problem> {
        let later = |span| now.checked_add(span).unwrap_or(Timestamp::MAX);
        let earlier = |span| now.checked_sub(span).unwrap_or(Timestamp::MIN);
        let given = [
            self.advance.map(|span| (Way::Ahead, later(span))),
            self.advance_to.map(|at| (Way::Ahead, at)),
            self.set_back.map(|span| (Way::Back, earlier(span))),
        ];
        let mut given = given.into_iter().flatten();
        let (Some(goal), None) = (given.next(), given.next()) else {
            let one = "give one of `advance`, `advance_to` and `set_back`";
            return Err(Problem::bad_request(one));
        };
        match goal {
            (Way::Ahead, to) if to < now => Err(Problem::bad_request(format!(
                "time does not go back by itself: it is {now}; give `set_back`"
            ))),
            (Way::Back, to) if to > now => Err(Problem::bad_request("`set_back` is negative")),
            (Way::Ahead | Way::Back, _) => Ok(goal),
        }
    }
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
    let (way, to) = asked.goal(now)?;
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
    let Some(moved) = hand.turn(way, moving).await else {
        return Err(Problem::stopping());
    };
    Ok(json(Settled {
        now: moved.now,
        settled: moved.busy.is_empty(),
        busy: moved.busy,
        last_event: api.house.events.newest(),
    }))
}
