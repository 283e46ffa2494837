//! An answer as an HTTP response: one document, or a stream that is polled frame by frame.

use std::collections::VecDeque;

use axum::body::Body;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;

use crate::llm::delivery::Performance;
use crate::llm::dialect::{Dialect, Frame};

/// OpenRouter's name for the id of the answer.
const GENERATION: HeaderName = HeaderName::from_static("x-generation-id");

/// Plays the answer in the form that was asked for.
pub(crate) async fn respond(performance: Performance) -> Response {
    if performance.wants_stream {
        streamed(performance)
    } else {
        whole(performance).await
    }
}

async fn whole(mut performance: Performance) -> Response {
    let dialect = performance.dialect();
    let generation = generation(&performance);
    let document = dialect.document(performance.begin().await);
    performance.end();
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    match document {
        Ok(body) => (generation, content_type, body).into_response(),
        Err(fault) => failed(&fault),
    }
}

/// Headers and prelude go out at once, also while the answer is held at its gate.
fn streamed(performance: Performance) -> Response {
    let generation = generation(&performance);
    let playing = Playing {
        frames: performance.dialect().prelude().into_iter().collect(),
        performance,
        has_begun: false,
    };
    let content_type = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let body = Body::from_stream(stream::unfold(playing, Playing::next));
    (generation, content_type, body).into_response()
}

/// A stream under way.
struct Playing {
    performance: Performance,
    frames: VecDeque<Frame>,
    has_begun: bool,
}

impl Playing {
    async fn next(mut self) -> Option<(serde_json::Result<Bytes>, Self)> {
        if self.frames.is_empty() && !self.has_begun {
            self.has_begun = true;
            let (dialect, wants_usage) = (self.performance.dialect(), self.performance.wants_usage);
            let reply = self.performance.begin().await;
            match dialect.frames(reply, wants_usage) {
                Ok(frames) => self.frames = frames.into(),
                // Ends the connection, which no client can take for an answer.
                Err(fault) => return Some((Err(fault), self)),
            }
        }
        let frame = self.frames.pop_front()?;
        if self.has_begun && self.frames.is_empty() {
            self.performance.end();
        }
        Some((Ok(frame.bytes), self))
    }
}

fn generation(performance: &Performance) -> Option<AppendHeaders<[(HeaderName, String); 1]>> {
    let is_named = performance.dialect() == Dialect::OpenRouter;
    is_named.then(|| AppendHeaders([(GENERATION, performance.response_id())]))
}

fn failed(fault: &serde_json::Error) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, fault.to_string()).into_response()
}
