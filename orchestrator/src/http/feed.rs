//! `GET /v1/events`: every state change as server-sent events, resumable by `Last-Event-ID`.

use std::convert::Infallible;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::Api;
use super::problem::Problem;

pub(super) async fn events(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = match headers.get("last-event-id") {
        None => 0,
        Some(value) => String::from_utf8_lossy(value.as_bytes())
            .trim()
            .parse()
            .map_err(|_foreign| Problem::bad_request("`Last-Event-ID` is no number of ours"))?,
    };
    // A number from before our start means nothing here; the reader has missed all there is.
    let known = after <= api.house.events.newest();
    let reader = api.house.events.read_after(if known { after } else { 0 });
    let frames = stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        // Every event is made of text and numbers, which always serialise.
        let text = serde_json::to_string(&*event).unwrap_or_else(|error| error.to_string());
        let frame = Event::default()
            .id(event.number.to_string())
            .event(event.event.name())
            .data(text);
        Some((Ok::<_, Infallible>(frame), reader))
    });
    Ok(Sse::new(frames)
        .keep_alive(KeepAlive::default())
        .into_response())
}
