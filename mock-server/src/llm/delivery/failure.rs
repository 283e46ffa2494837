//! The refusals: an error with a status, a proxy's page, and an error within an answer.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::Value;

use crate::llm::delivery::{Performance, Sent};
use crate::llm::dialect::{Complaint, Dialect, Frame};
use crate::llm::script::fault::{Fault, StatusFault, StreamError};

/// An answer that is no answer of the model.
struct Refusal {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Answers with a status instead of an answer.
pub(crate) async fn refuse(mut performance: Performance) -> Response {
    drop(performance.begin(Duration::ZERO).await);
    let refusal = match performance.fault() {
        Some(Fault::Status(told)) => refusal(performance.dialect(), told),
        Some(Fault::Html(status)) => page(*status),
        Some(
            Fault::Error(_)
            | Fault::Empty(_)
            | Fault::Break(..)
            | Fault::Invalid(_)
            | Fault::Slow(_)
            | Fault::Lost
            | Fault::Corrupt(_),
        )
        | None => page(StatusCode::OK.as_u16()),
    };
    performance.fail(Sent {
        frames: 0,
        bytes: refusal.body.len(),
    });
    (refusal.status, refusal.headers, refusal.body).into_response()
}

fn refusal(dialect: Dialect, told: &StatusFault) -> Refusal {
    let complaint = Complaint {
        kind: told.error_type.as_deref(),
        message: told.message.as_deref(),
    };
    let (status, mut headers, usual) = dialect.status_error(status(told.status), complaint);
    let (content_type, body) = match &told.body {
        Some(Value::String(text)) => ("text/plain; charset=utf-8", text.clone()),
        Some(body) => ("application/json", body.to_string()),
        None => ("application/json", usual.to_string()),
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in &told.headers {
        // A script with others is not read.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), value.0.parse()) {
            headers.insert(name, value);
        }
    }
    Refusal {
        status,
        headers,
        body: body.into(),
    }
}

/// The same as an answer.
pub(crate) fn proxy_page(code: u16) -> Response {
    let refusal = page(code);
    (refusal.status, refusal.headers, refusal.body).into_response()
}

/// What proxies in front of a service say when it does not answer them.
fn page(code: u16) -> Refusal {
    let status = status(code);
    let title = match status.canonical_reason() {
        Some(reason) => format!("{code} {reason}"),
        None => code.to_string(),
    };
    let body = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    );
    let html = (header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    Refusal {
        status,
        headers: HeaderMap::from_iter([html]),
        body: body.into(),
    }
}

/// A script with another is not read.
fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The frame that tells of the fault within a stream, if it does, behind so many others.
pub(crate) fn frame(performance: &Performance, fault: &Fault, events: usize) -> Option<Frame> {
    let Fault::Error(told) = fault else {
        return None;
    };
    let reply = Some(&**performance.reply());
    let dialect = performance.dialect();
    Some(dialect.stream_error(reply, told.event, complaint(told), events))
}

/// The same, where nothing is streamed.
pub(crate) fn document(dialect: Dialect, told: &StreamError) -> Bytes {
    dialect.late_error(complaint(told)).to_string().into()
}

fn complaint(told: &StreamError) -> Complaint<'_> {
    Complaint {
        kind: told.error_type.as_deref(),
        message: told.message.as_deref(),
    }
}
