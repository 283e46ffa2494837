//! The HTTP API on loopback: the chat channel that is always there, and what operators read.
//!
//! Everything but `/health` wants the token from `data/api-token`. Routes are thin: a message
//! goes to the intake like any other channel's, and answers are read from the record of events.

mod answer;
mod clock;
mod completions;
mod feed;
mod metrics;
mod naming;
mod problem;
mod saying;
mod token;
mod views;
mod workspaces;

use std::future::IntoFuture;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::agent::Boxes;
use crate::channel::Fits;
use crate::clock_hand::ClockHand;
use crate::house::House;
use crate::intake::Intake;
use crate::outbox::Knocker;

pub(crate) use answer::Waiting;
use axum::serve::ListenerExt;
pub(crate) use token::{Token, TokenError};

/// No chat message is longer.
const LARGEST_BODY: usize = 1024 * 1024;

/// How long connections have to take what is left for them at the end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the routes share.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub house: House,
    pub intake: Intake,
    pub token: Token,
    /// Present only under the test clock.
    pub clock_hand: Option<ClockHand>,
    /// Present only where agents run in containers.
    pub boxes: Option<Boxes>,
    /// For what operators have said. Neither of them keeps what it leads to.
    pub outbox: Knocker,
    pub fits: Fits,
    /// The clients that wait for an answer.
    pub waiting: Waiting,
    /// Cancelled when intake closes.
    pub stop: CancellationToken,
}

/// Serves until told to stop; requests that wait for an answer are told so when the last run
/// has ended.
pub(crate) async fn serve(listener: TcpListener, api: Api) -> io::Result<()> {
    let stop = api.stop.clone();
    // With Nagle's algorithm on, every streamed answer would cost 40 ms.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection cannot be set to TCP_NODELAY");
        }
    });
    let events = api.house.events.clone();
    let served = axum::serve(listener, router(api))
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .into_future();
    let mut served = pin!(served);
    tokio::select! {
        served = &mut served => served,
        // All that could be answered has been: who still sends or does not read is cut off.
        () = events.closed() => timeout(LAST_WORDS, served).await.unwrap_or(Ok(())),
    }
}

fn router(api: Api) -> Router {
    let mut guarded = Router::new()
        .route("/v1/chat/completions", post(completions::complete))
        .route("/v1/chat/sessions", get(views::sessions))
        .route("/v1/chat/sessions/{*rest}", get(views::history))
        .route("/v1/groups/{folder}/messages", post(saying::say))
        .route("/v1/status", get(views::status))
        .route("/v1/events", get(feed::events))
        .route("/metrics", get(metrics::metrics));
    if api.clock_hand.is_some() {
        guarded = guarded.route("/v1/clock", post(clock::advance));
    }
    let mut open = guarded
        .layer(from_fn_with_state(api.clone(), token::require))
        .route("/health", get(views::health));
    if api.house.config.workspace.store.is_some() {
        // Guarded by the tokens of runs.
        open = open
            .route("/internal/workspace/provision", get(workspaces::provision))
            .route("/internal/workspace/release", post(workspaces::release))
            .route("/internal/workspace-staging", post(workspaces::stage));
    }
    open.fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(api)
}
