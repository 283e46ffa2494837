//! What goes wrong with a request to the storage, played on its connection.
//!
//! A status comes instead of an answer, and nothing is done. A connection that breaks before the
//! answer has done nothing either, unless the answer is what is lost; one that breaks later has
//! done everything.

use std::convert::Infallible;
use std::future::{pending, ready};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::Value;

use crate::clock::Pace;
use crate::lapse::Lapse;
use crate::line::{Cut, Scissors};
use crate::llm::{Breaking, Drops, Fault, FaultMoment, StatusFault, proxy_page};
use crate::storage::errand::Errand;
use crate::storage::store::sessions::Span;
use crate::storage::wire::body::{self, heard_out};
use crate::storage::wire::params;
use crate::storage::{Storage, json, xml};

/// Serves a request with which this goes wrong.
pub(crate) async fn play(
    storage: &Storage,
    (fault, errand): (&Fault, &Errand),
    request: Request,
    serve: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let line = request.extensions().get::<Scissors>().cloned();
    let ending = |how| Ending {
        storage: storage.clone(),
        line: line.clone().unwrap_or_default(),
        how,
    };
    match fault {
        Fault::Status(told) => {
            heard_out(request).await;
            refusal(told, errand)
        }
        Fault::Html(status) => {
            heard_out(request).await;
            proxy_page(*status)
        }
        Fault::Break(how, FaultMoment::Request) => ending(*how).comes().await,
        Fault::Lost => {
            drop(serve(request).await);
            ending(Breaking::Reset).comes().await
        }
        Fault::Break(how, moment) => {
            let (answer, body) = whole(serve(request).await).await;
            let kept = place(*moment, body.len());
            broken(answer, &body, kept, ending(*how))
        }
        Fault::Corrupt(moment) => {
            let (answer, body) = whole(serve(request).await).await;
            let at = place(*moment, body.len().saturating_sub(1));
            answer.map(|()| Body::from(changed(&body, at)))
        }
        Fault::Empty(_) => {
            let (answer, _body) = whole(serve(request).await).await;
            ended(answer, Bytes::new())
        }
        Fault::Slow(drops) => {
            let (answer, body) = whole(serve(request).await).await;
            let pace = Pace::from_now(storage.journal());
            slow(answer, body, *drops, pace)
        }
        // Of the model only: a rule for the storage that says so is not read.
        Fault::Error(_) | Fault::Invalid(_) => serve(request).await,
    }
}

/// An answer and its body; the storage's are whole.
async fn whole(answer: Response) -> (Response<()>, Bytes) {
    let (head, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await;
    // They are bytes at hand, and cannot fail.
    let body = body.unwrap_or_else(|_never| Bytes::new());
    (Response::from_parts(head, ()), body)
}

/// How many bytes of the body come before a moment. There are no frames here: a number of them
/// means the middle.
fn place(moment: FaultMoment, size: usize) -> usize {
    match moment {
        FaultMoment::Request | FaultMoment::Headers => 0,
        FaultMoment::Bytes(bytes) => bytes.min(size),
        FaultMoment::Frames(_) | FaultMoment::Arguments | FaultMoment::Said => size / 2,
    }
}

/// A body that ends here as if it were whole.
fn ended(answer: Response<()>, kept: Bytes) -> Response {
    let (mut head, ()) = answer.into_parts();
    head.headers
        .insert(CONTENT_LENGTH, HeaderValue::from(kept.len()));
    Response::from_parts(head, Body::from(kept))
}

/// The head as it was meant, some of its bytes, and then what is to happen.
fn broken(answer: Response<()>, body: &Bytes, kept: usize, end: Ending) -> Response {
    if end.how == Breaking::End {
        return ended(answer, body.slice(..kept));
    }
    let (mut head, ()) = answer.into_parts();
    head.headers
        .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let kept = Some(body.slice(..kept)).filter(|kept| !kept.is_empty());
    let body = stream::unfold((kept, end), async |(kept, end)| match kept {
        Some(kept) => Some((Ok::<_, Infallible>(kept), (None, end))),
        None => end.comes().await,
    });
    Response::from_parts(head, Body::from_stream(body))
}

/// How an answer ends that does not end well.
struct Ending {
    storage: Storage,
    line: Scissors,
    how: Breaking,
}

impl Ending {
    /// What stalls is closed only when the mock itself ends.
    async fn comes<T>(&self) -> T {
        match self.how {
            Breaking::Reset => self.line.cut(Cut::Reset),
            Breaking::Close | Breaking::End => self.line.cut(Cut::Close),
            Breaking::Stall => {
                self.storage.closed().await;
                self.line.cut(Cut::Close);
            }
        }
        pending().await
    }
}

/// With another byte there; an empty body has none.
fn changed(body: &Bytes, at: usize) -> Bytes {
    let mut bytes = body.to_vec();
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1;
    }
    bytes.into()
}

/// The first and the last byte of a chunk, in its whole; none of what only asks.
fn span(headers: &HeaderMap) -> Option<(u64, u64)> {
    let told = params::text(headers, &CONTENT_RANGE)?;
    let length = params::text(headers, &CONTENT_LENGTH);
    let length = length.and_then(|length| params::read(&length));
    Span::parse(&told, length.unwrap_or(1))?.range
}

/// The last byte that a request may bring; what is not said to be a chunk is the whole.
pub(crate) fn last_byte(headers: &HeaderMap) -> Option<u64> {
    match headers.contains_key(CONTENT_RANGE) {
        true => span(headers).map(|(_first, last)| last),
        false => Some(u64::MAX),
    }
}

/// Serves what a chunk has of so many bytes of the whole; its answer is lost. Returns the request
/// without what it brought.
pub(crate) async fn keep(
    request: Request,
    kept: u64,
    serve: impl AsyncFnOnce(Request) -> Response,
) -> Request {
    let (mut head, body) = request.into_parts();
    let rest = Request::from_parts(head.clone(), Body::empty());
    let Some((first, _last)) = span(&head.headers) else {
        return rest;
    };
    let Ok(mut bytes) = body::bytes(&head.headers, body).await else {
        return rest;
    };
    let room = usize::try_from(kept.saturating_sub(first));
    bytes.truncate(room.unwrap_or(usize::MAX));
    if let Some(last) = first.saturating_add(bytes.len() as u64).checked_sub(1)
        && let Ok(range) = HeaderValue::try_from(format!("bytes {first}-{last}/*"))
        && !bytes.is_empty()
    {
        head.headers.insert(CONTENT_RANGE, range);
        head.headers
            .insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        drop(serve(Request::from_parts(head, Body::from(bytes))).await);
    }
    rest
}

/// The answer, with a pause after so many bytes.
pub(crate) async fn stall(
    storage: &Storage,
    answer: Response,
    after: usize,
    pause: Lapse,
) -> Response {
    let (answer, mut body) = whole(answer).await;
    let (mut head, ()) = answer.into_parts();
    head.headers
        .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let first = body.split_to(after.min(body.len()));
    let pace = Pace::from_now(storage.journal());
    let late = stream::once(async move {
        let mut pace = pace;
        pace.wait(pause.length()).await;
        body
    });
    let parts = stream::iter([first]).chain(late);
    let parts = parts
        .filter(|part| ready(!part.is_empty()))
        .map(Ok::<_, Infallible>);
    Response::from_parts(head, Body::from_stream(parts))
}

fn slow(answer: Response<()>, body: Bytes, drops: Drops, pace: Pace) -> Response {
    let (mut head, ()) = answer.into_parts();
    head.headers
        .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let drops = stream::unfold((body, pace), move |(mut left, mut pace)| async move {
        if left.is_empty() {
            return None;
        }
        pace.wait(drops.every.length()).await;
        let drop = left.split_to(drops.bytes.get().min(left.len()));
        Some((Ok::<_, Infallible>(drop), (left, pace)))
    });
    Response::from_parts(head, Body::from_stream(drops))
}

/// The service refuses, in the words of the API that was asked.
fn refusal(told: &StatusFault, errand: &Errand) -> Response {
    let status = StatusCode::from_u16(told.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (reason, code) = usual(status);
    let reason = told.error_type.as_deref().unwrap_or(reason);
    let phrase = status.canonical_reason().unwrap_or("Error");
    let message = told.message.as_deref().unwrap_or(phrase);
    let mut answer = match &told.body {
        Some(Value::String(text)) => {
            let kind = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
            (status, kind, text.clone()).into_response()
        }
        Some(body) => (status, Json(body)).into_response(),
        None if errand.is_xml => {
            let code = told.error_type.as_deref().unwrap_or(code);
            (status, xml::error(code, message)).into_response()
        }
        None => (status, Json(json::error_body(status, reason, message))).into_response(),
    };
    for (name, value) in &told.headers {
        // A rule with others is not read.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), value.0.parse()) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

/// `reason` of the JSON API and `Code` of the XML API.
fn usual(status: StatusCode) -> (&'static str, &'static str) {
    match status.as_u16() {
        401 => ("authError", "AuthenticationRequired"),
        403 => ("forbidden", "AccessDenied"),
        404 => ("notFound", "NoSuchKey"),
        408 => ("requestTimeout", "RequestTimeout"),
        409 => ("conflict", "OperationAborted"),
        412 => ("conditionNotMet", "PreconditionFailed"),
        429 => ("rateLimitExceeded", "TooManyRequests"),
        500 => ("internalError", "InternalError"),
        502 | 504 => ("backendError", "InternalError"),
        503 => ("backendError", "ServiceUnavailable"),
        _ => ("invalid", "InvalidArgument"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_number_of_bytes() {
        assert_eq!(place(FaultMoment::Headers, 10), 0);
        assert_eq!(place(FaultMoment::Bytes(4), 10), 4);
        assert_eq!(place(FaultMoment::Bytes(40), 10), 10);
        assert_eq!(place(FaultMoment::Frames(3), 10), 5);
    }

    #[test]
    fn one_byte_is_changed_and_no_other() {
        let body = Bytes::from_static(b"Miso");
        assert_eq!(changed(&body, 1), "Mhso");
        assert_eq!(changed(&body, 4), "Miso");
        assert_eq!(changed(&Bytes::new(), 0), "");
    }
}
