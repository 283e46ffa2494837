//! What went wrong with an answer, in the words of a script's fault.
//!
//! Where the mock's own wording says all that the service said, only what differs is kept;
//! else the body is kept as it was.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::llm::{Complaint, Dialect, ErrorMoment, Fault, HeaderText, StatusFault, StreamError};
use crate::record::exchange::Received;
use crate::record::secrets::Secrets;

/// Headers of an error that clients act on.
const HEADERS: [&str; 3] = ["retry-after", "retry-after-ms", "x-should-retry"];
/// And those that tell of quotas.
const QUOTAS: [&str; 2] = ["x-ratelimit-", "anthropic-ratelimit-"];
/// Who asked, and how often: never the same twice.
const NAMES: [&str; 2] = ["request_id", "user_id"];

/// An answer with an error's status.
pub(super) fn refusal(dialect: Dialect, received: &Received) -> Fault {
    if received.content_type() == Some("text/html") {
        return Fault::Html(received.status);
    }
    let told = read_json(&received.body);
    let status = StatusCode::from_u16(received.status);
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let wording = |complaint: Complaint<'_>| dialect.status_error(status, complaint).2;
    let short = told.as_ref().and_then(|told| said_shortly(told, wording));
    let (error_type, message, body) = match short {
        Some(Said { kind, message }) => (kind, message, None),
        None => (
            None,
            None,
            told.or_else(|| Some(received.body.as_str().into())),
        ),
    };
    Fault::Status(StatusFault {
        status: received.status,
        headers: kept(received),
        message,
        error_type,
        body,
    })
}

/// A document that is an error, although its status is none.
pub(super) fn in_document(dialect: Dialect, received: &Received) -> Option<Fault> {
    let told = read_json(&received.body)?;
    let is_error = told.get("error").is_some_and(|error| !error.is_null());
    if !is_error {
        return None;
    }
    let short = said_shortly(&told, |complaint| dialect.late_error(complaint));
    Some(match short {
        Some(Said { kind, message }) => Fault::Error(StreamError {
            error_type: kind,
            message,
            ..StreamError::default()
        }),
        None => Fault::Status(StatusFault {
            status: received.status,
            headers: kept(received),
            message: None,
            error_type: None,
            body: Some(told),
        }),
    })
}

/// The error in which a stream ends. What was `said` before it is said again before it: after
/// how many frames would be another number with each way to cut it.
pub(super) fn late(dialect: Dialect, error: &Value, has_spoken: bool) -> StreamError {
    let wording =
        |complaint: Complaint<'_>| json!({ "error": dialect.late_error(complaint)["error"] });
    let short = said_shortly(&json!({ "error": error }), wording);
    let Said { kind, message } = short.unwrap_or_else(|| {
        let numbered = || dialect.usual_kind(error["code"].as_u64()?);
        let kind = kinds(error).next().or_else(numbered);
        Said {
            kind: kind.map(str::to_owned),
            message: error["message"].as_str().map(str::to_owned),
        }
    });
    StreamError {
        after: if has_spoken {
            ErrorMoment::Said
        } else {
            ErrorMoment::default()
        },
        error_type: kind,
        message,
        ..StreamError::default()
    }
}

/// What services and libraries say may quote a key.
pub(super) fn masked(fault: Fault, secrets: &Secrets) -> Fault {
    let text = |text: String| secrets.masked(&text);
    match fault {
        Fault::Status(told) => Fault::Status(StatusFault {
            message: told.message.map(text),
            body: told.body.map(|body| masked_body(&body, secrets)),
            ..told
        }),
        Fault::Error(told) => Fault::Error(StreamError {
            message: told.message.map(text),
            ..told
        }),
        Fault::Html(_)
        | Fault::Empty(_)
        | Fault::Break(..)
        | Fault::Invalid(_)
        | Fault::Slow(_)
        | Fault::Lost
        | Fault::Corrupt(_) => fault,
    }
}

fn masked_body(body: &Value, secrets: &Secrets) -> Value {
    if let Some(text) = body.as_str() {
        return secrets.masked(text).into();
    }
    let masked = secrets.masked_document(&body.to_string());
    read_json(&masked).unwrap_or_else(|| masked.into())
}

/// The words that a script has to say for the mock to tell the same error.
struct Said {
    kind: Option<String>,
    message: Option<String>,
}

/// The fewest with which the mock's `wording` is what was told, if any are.
fn said_shortly(told: &Value, wording: impl Fn(Complaint<'_>) -> Value) -> Option<Said> {
    let message = told["error"]["message"].as_str();
    let candidates: Vec<&str> = kinds(&told["error"]).collect();
    let all_kinds = || std::iter::once(None).chain(candidates.iter().copied().map(Some));
    let said = [None, message]
        .into_iter()
        .flat_map(|message| all_kinds().map(move |kind| Complaint { kind, message }));
    let mut said = said.into_iter();
    let fitting = said.find(|complaint| nameless(&wording(*complaint)) == nameless(told))?;
    Some(Said {
        kind: fitting.kind.map(str::to_owned),
        message: fitting.message.map(str::to_owned),
    })
}

/// What an error may be called by.
fn kinds(error: &Value) -> impl Iterator<Item = &str> {
    let places = ["/metadata/error_type", "/type", "/code"];
    places
        .into_iter()
        .filter_map(|place| error.pointer(place)?.as_str())
}

fn nameless(told: &Value) -> Value {
    let mut told = told.clone();
    if let Some(members) = told.as_object_mut() {
        members.retain(|name, _| !NAMES.contains(&name.as_str()));
    }
    told
}

fn kept(received: &Received) -> indexmap::IndexMap<String, HeaderText> {
    let is_kept = |name: &str| {
        HEADERS.contains(&name) || QUOTAS.iter().any(|beginning| name.starts_with(beginning))
    };
    let kept = received.headers.iter().filter(|(name, _)| is_kept(name));
    kept.map(|(name, value)| (name.clone(), HeaderText(value.clone())))
        .collect()
}

pub(super) fn read_json(text: &str) -> Option<Value> {
    match serde_json::from_str(text) {
        Ok(told) => Some(told),
        Err(_no_json) => None,
    }
}
