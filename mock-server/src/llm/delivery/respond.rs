//! An answer as an HTTP response: one document, or a stream that is polled frame by frame.

use std::future::pending;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;

use crate::line::{Cut, Scissors};
use crate::llm::delivery::course::Course;
use crate::llm::delivery::dress::Dress;
use crate::llm::delivery::film::Film;
use crate::llm::delivery::playing::Playing;
use crate::llm::delivery::reel::Reel;
use crate::llm::delivery::{Performance, Sent, blanks, failure};
use crate::llm::dialect::{Dialect, PROCESSING};
use crate::llm::script::fault::{Breaking, Emptiness, Fault};
use crate::llm::script::moment::FaultMoment;

/// OpenRouter's name for the id of the answer.
const GENERATION: HeaderName = HeaderName::from_static("x-generation-id");
/// A comment as services other than OpenRouter write it.
const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";
/// What proxies send to keep a client waiting that wants one document.
const BLANKS: &[u8] = b"\n         \n         \n";

/// Plays the answer in the form that was asked for, or has it fail.
pub(crate) async fn respond(mut performance: Performance, scissors: Scissors) -> Response {
    match performance.fault() {
        Some(Fault::Status(_) | Fault::Html(_)) => return failure::refuse(performance).await,
        Some(Fault::Break(how, FaultMoment::Request)) => {
            let how = *how;
            silence(&mut performance, how, &scissors).await;
        }
        Some(
            Fault::Break(..)
            | Fault::Error(_)
            | Fault::Empty(_)
            | Fault::Invalid(_)
            | Fault::Slow(_)
            | Fault::Lost
            | Fault::Corrupt(_),
        )
        | None => {}
    }
    let played = if performance.wants_stream {
        streamed(performance, scissors)
    } else {
        whole(performance, scissors).await
    };
    played.unwrap_or_else(|fault| failed(&fault))
}

/// Not a byte comes. Only a stall may end.
async fn silence(performance: &mut Performance, how: Breaking, scissors: &Scissors) {
    let cut = match how {
        Breaking::Stall => {
            if performance
                .stall(Sent::default(), Duration::ZERO)
                .await
                .is_some()
            {
                return;
            }
            Cut::Close
        }
        Breaking::Reset => Cut::Reset,
        Breaking::Close | Breaking::End => Cut::Close,
    };
    if how != Breaking::Stall {
        performance.begin(Duration::ZERO).await;
        performance.fail(Sent::default());
    }
    scissors.cut(cut);
    pending::<()>().await;
}

async fn whole(performance: Performance, scissors: Scissors) -> serde_json::Result<Response> {
    let generation = generation(&performance);
    let (body, frames) = (document(&performance)?, frames_of(&performance)?);
    let (course, promised) = performance.tempo().document(body, frames);
    let json = HeaderValue::from_static("application/json");
    if performance.dialect() == Dialect::OpenRouter && performance.lets_wait() {
        let llm = performance.llm().clone();
        let playing = Playing::new(performance, course, scissors);
        let document = stream::try_unfold(playing, Playing::next);
        let head = AppendHeaders([(header::CONTENT_TYPE, json)]);
        return Ok((generation, head, blanks::before(document, llm)).into_response());
    }
    let mut playing = Playing::new(performance, course, scissors);
    playing.begin().await?;
    let head = AppendHeaders([
        (header::CONTENT_TYPE, json),
        (header::CONTENT_LENGTH, HeaderValue::from(promised)),
    ]);
    let body = match playing.at_once() {
        Some(body) => Body::from(body),
        None => Body::from_stream(stream::try_unfold(playing, Playing::next)),
    };
    Ok((generation, head, body).into_response())
}

/// The body of an answer that is not streamed.
fn document(performance: &Performance) -> serde_json::Result<Bytes> {
    let dialect = performance.dialect();
    match performance.fault() {
        Some(Fault::Error(told)) => Ok(failure::document(dialect, told)),
        Some(Fault::Empty(Emptiness::Nothing | Emptiness::Done)) => Ok(Bytes::new()),
        Some(Fault::Empty(Emptiness::Comments)) => Ok(Bytes::from_static(BLANKS)),
        Some(
            Fault::Empty(Emptiness::Reasoning)
            | Fault::Break(..)
            | Fault::Invalid(_)
            | Fault::Slow(_)
            | Fault::Status(_)
            | Fault::Html(_)
            | Fault::Lost
            | Fault::Corrupt(_),
        )
        | None => dialect.document(performance.reply()),
    }
}

/// How many frames the answer would be in a stream; it matters only if they take time.
fn frames_of(performance: &Performance) -> serde_json::Result<usize> {
    let reply = performance.reply();
    if !reply.stream.takes_time() {
        return Ok(0);
    }
    let mut frames = performance
        .dialect()
        .frames(reply, performance.wants_usage)?;
    frames.try_fold(0, |count, frame| frame.map(|_| count + 1))
}

/// Headers and prelude go out at once, also while the answer is held at its gate.
fn streamed(performance: Performance, scissors: Scissors) -> serde_json::Result<Response> {
    let generation = generation(&performance);
    let course = course(&performance)?;
    let playing = Playing::new(performance, course, scissors);
    let content_type = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let body = Body::from_stream(stream::try_unfold(playing, Playing::next));
    Ok((generation, content_type, body).into_response())
}

fn course(performance: &Performance) -> serde_json::Result<Course> {
    let (dialect, reply) = (performance.dialect(), performance.reply());
    let frames = dialect.frames(reply, performance.wants_usage)?;
    let prelude = dialect.prelude();
    let begins = prelude.len();
    let dress = Dress {
        shape: reply.stream.clone(),
        comment: comment(dialect),
    };
    let dressed = dress.clone().on(frames.behind(prelude));
    let fault = match performance.fault() {
        None | Some(Fault::Slow(_)) => {
            let film = Film::Unwinding(Box::new(dressed));
            return Ok(performance.tempo().stream(film, begins));
        }
        Some(fault) => fault,
    };
    let mut reel = Reel::of(dressed.collect::<serde_json::Result<_>>()?, begins);
    dress.befall(fault, &mut reel, |events| {
        failure::frame(performance, fault, events)
    });
    Ok(performance.tempo().ill_fated(reel))
}

fn comment(dialect: Dialect) -> &'static [u8] {
    if dialect == Dialect::OpenRouter {
        PROCESSING
    } else {
        KEEP_ALIVE
    }
}

fn generation(performance: &Performance) -> Option<AppendHeaders<[(HeaderName, String); 1]>> {
    let is_named = performance.dialect() == Dialect::OpenRouter;
    is_named.then(|| AppendHeaders([(GENERATION, performance.response_id())]))
}

fn failed(fault: &serde_json::Error) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, fault.to_string()).into_response()
}
