//! Several requests in one: each part of the body is a request, and each part of the answer
//! the answer to it.
//!
//! <https://cloud.google.com/storage/docs/batch>

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderName;
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use super::related::{boundary, find, header};
use crate::line::Scissors;
use crate::storage::Storage;
use crate::storage::refusal::Refusal;
use crate::storage::wire::{body, params};

/// As the service says.
const MOST_CALLS: usize = 100;
const ANSWERS: &str = "batch_answers";

/// The operations of which a batch may be made.
#[derive(Clone)]
struct Desk {
    operations: Router,
}

pub(super) fn routes(operations: Router<Storage>) -> Router<Storage> {
    let serve = async move |State(storage): State<Storage>, request: Request| {
        let operations = operations.clone().with_state(storage);
        batch(&Desk { operations }, request).await
    };
    Router::new()
        .route("/batch/storage/v1", post(serve.clone()))
        .route("/batch", post(serve))
}

async fn batch(desk: &Desk, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let kind = params::text(&parts.headers, &CONTENT_TYPE).unwrap_or_default();
    let boundary = boundary(&kind).ok_or_else(malformed)?;
    let bytes = body::bytes(&parts.headers, body).await?;
    let calls = split(&bytes, &boundary);
    if calls.is_empty() || calls.len() > MOST_CALLS {
        let message = format!("A batch holds between 1 and {MOST_CALLS} calls.");
        return Err(Refusal::invalid(message));
    }
    let mut answers = BytesMut::new();
    for call in calls {
        let (id, inner) = read(&call, &parts)?;
        // Each is done by itself: one that fails does not keep the others back.
        let answer = TowerToHyperService::new(desk.operations.clone())
            .call(inner)
            .await;
        let answer = answer.unwrap_or_else(|never| match never {});
        write(&mut answers, id.as_deref(), answer).await;
    }
    answers.extend_from_slice(format!("--{ANSWERS}--\r\n").as_bytes());
    let kind = format!("multipart/mixed; boundary={ANSWERS}");
    Ok(([(CONTENT_TYPE, kind)], answers.freeze()).into_response())
}

fn malformed() -> Refusal {
    Refusal::invalid("Failed to parse batch request.")
}

/// The parts between the boundaries.
fn split(body: &Bytes, boundary: &str) -> Vec<Bytes> {
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut from = find(body, delimiter.as_bytes()).map(|at| at + delimiter.len());
    while let Some(begin) = from {
        let rest = &body[begin..];
        let Some(length) = find(rest, delimiter.as_bytes()) else {
            break;
        };
        parts.push(body.slice(begin..begin + length));
        from = Some(begin + length + delimiter.len());
    }
    parts
}

/// The id of a part, and the request in it.
fn read(part: &[u8], outer: &Parts) -> Result<(Option<String>, Request), Refusal> {
    let (own, inner) = halves(part.trim_ascii_start());
    let (head, content) = halves(inner);
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split_whitespace();
    let (Some(method), Some(uri)) = (first.next(), first.next()) else {
        return Err(malformed());
    };
    let mut request = Request::builder().method(method).uri(path(uri));
    // Where the batch came to, its answers' links lead.
    if let Some(host) = outer.headers.get(HOST) {
        request = request.header(HOST, host);
    }
    if let Some(line) = outer.extensions.get::<Scissors>() {
        request = request.extension(line.clone());
    }
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(malformed)?;
        let is_told_elsewhere =
            |known: HeaderName| known.as_str().eq_ignore_ascii_case(name.trim());
        if ![HOST, CONTENT_LENGTH].into_iter().any(is_told_elsewhere) {
            request = request.header(name.trim(), value.trim());
        }
    }
    // Who sent it sent its parts, unless one says otherwise.
    let has_own = request
        .headers_ref()
        .is_some_and(|own| own.contains_key(AUTHORIZATION));
    if let Some(shown) = outer.headers.get(AUTHORIZATION).filter(|_| !has_own) {
        request = request.header(AUTHORIZATION, shown);
    }
    let content = Body::from(Bytes::copy_from_slice(content.trim_ascii_end()));
    let request = request.body(content).map_err(|_no_request| malformed())?;
    Ok((header(own, "content-id"), request))
}

/// Some clients write the whole address.
fn path(uri: &str) -> &str {
    let behind = uri.split_once("://").map_or(uri, |(_, behind)| behind);
    match behind.find('/') {
        Some(start) if behind.len() != uri.len() => &behind[start..],
        Some(_) | None => uri,
    }
}

/// What stands before the first empty line, and what behind it.
fn halves(text: &[u8]) -> (&[u8], &[u8]) {
    let ends = [&b"\r\n\r\n"[..], b"\n\n"].map(|end| find(text, end).map(|at| (at, end.len())));
    match ends.into_iter().flatten().min() {
        Some((at, length)) => (&text[..at], &text[at + length..]),
        None => (text, b""),
    }
}

async fn write(out: &mut BytesMut, id: Option<&str>, answer: Response) {
    let (parts, body) = answer.into_parts();
    let id = id.map_or_else(String::new, |id| {
        let id = id.trim_start_matches('<').trim_end_matches('>');
        format!("Content-ID: <response-{id}>\r\n")
    });
    let status = parts.status.as_u16();
    let reason = parts.status.canonical_reason().unwrap_or("");
    let head = format!(
        "--{ANSWERS}\r\nContent-Type: application/http\r\n{id}\r\nHTTP/1.1 {status} {reason}\r\n"
    );
    out.extend_from_slice(head.as_bytes());
    for (name, value) in &parts.headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    let mut frames = body.into_data_stream();
    // The answers of the operations are whole.
    while let Some(Ok(frame)) = frames.next().await {
        out.extend_from_slice(&frame);
    }
    out.extend_from_slice(b"\r\n");
}
