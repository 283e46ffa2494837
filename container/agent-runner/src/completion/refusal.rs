//! What an endpoint's error means: who is at fault, and whether to ask again.
//!
//! The same rules serve a status line, an error body with status 200 and an error frame inside
//! a stream, since all three carry the same body.

use std::time::Duration;

use agent_protocol::AgentErrorKind;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::trouble::{Remedy, Trouble};
use super::wire::{ErrorBody, ErrorShape};

/// Enough of a gateway's HTML page to recognise it by.
const MOST_OF_A_PAGE: usize = 300;

#[derive(Deserialize)]
struct Envelope {
    error: ErrorShape,
}

/// Judges an answer whose status is not 200.
pub(super) fn judge_status(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Trouble {
    let error = match serde_json::from_slice::<Envelope>(body) {
        Ok(envelope) => envelope.error.into(),
        // A gateway's page, or nothing: the status says it all, the page helps a person.
        Err(_) => ErrorBody {
            message: Some(excerpt(&String::from_utf8_lossy(body))),
            ..ErrorBody::default()
        },
    };
    judge(status, retry_after, &error)
}

/// Judges an error that came with status 200.
pub(super) fn judge_body(error: &ErrorBody) -> Trouble {
    // Without a status of its own it is a failure of the endpoint.
    judge(status_of(error).unwrap_or(500), None, error)
}

fn judge(status: u16, retry_after: Option<Duration>, error: &ErrorBody) -> Trouble {
    let (kind, passing) = kind_of(status, error);
    let remedy = match (passing, retry_after.or_else(|| asked_to_wait(error))) {
        (false, _) => Remedy::None,
        (true, None) => Remedy::AskAgain,
        (true, Some(wait)) => Remedy::AskAfter(wait),
    };
    Trouble {
        kind,
        message: format!("the model's endpoint answered {status}: {}", words(error)),
        remedy,
    }
}

/// The kind, and whether it may pass.
fn kind_of(status: u16, error: &ErrorBody) -> (AgentErrorKind, bool) {
    match status {
        401 | 403 => (AgentErrorKind::Auth, false),
        402 => (AgentErrorKind::Quota, false),
        // Moonshot's way to say 402.
        429 if is(error, "exceeded_current_quota_error") => (AgentErrorKind::Quota, false),
        429 => (AgentErrorKind::RateLimit, true),
        // Not the request's fault: it timed out, or came too early.
        408 | 425 => (AgentErrorKind::Upstream, true),
        500..=599 if is(error, "context_length_exceeded") => {
            (AgentErrorKind::ContextTooLong, false)
        }
        500..=599 => (AgentErrorKind::Upstream, true),
        400 | 413 | 422 if is_too_long(error) => (AgentErrorKind::ContextTooLong, false),
        _ if is(error, "content_filter") || is(error, "content_policy_violation") => {
            (AgentErrorKind::ContentFilter, false)
        }
        _ => (AgentErrorKind::Request, false),
    }
}

fn status_of(error: &ErrorBody) -> Option<u16> {
    let code = match error.code.as_ref()? {
        Value::Number(code) => code.to_string(),
        Value::String(code) => code.clone(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    match code.parse() {
        Ok(status) => Some(status).filter(|status| (400..600).contains(status)),
        // Words such as `rate_limit_exceeded` are looked at elsewhere.
        Err(_) => None,
    }
}

fn is(error: &ErrorBody, word: &str) -> bool {
    let code = error.code.as_ref().and_then(Value::as_str);
    let in_metadata = error
        .metadata
        .as_ref()
        .and_then(|all| all.error_type.as_deref());
    [error.kind.as_deref(), code, in_metadata].contains(&Some(word))
}

fn is_too_long(error: &ErrorBody) -> bool {
    const WORDINGS: [&str; 6] = [
        "token limit",
        "context length",
        "context window",
        "maximum context",
        "length too long",
        "exceeds limit",
    ];
    let said = words(error).to_lowercase();
    is(error, "context_length_exceeded") || WORDINGS.iter().any(|words| said.contains(words))
}

fn words(error: &ErrorBody) -> String {
    let message = error.message.as_deref().map_or("", str::trim);
    let message = if message.is_empty() {
        "(no message)"
    } else {
        message
    };
    let Some(metadata) = &error.metadata else {
        return message.to_owned();
    };
    let provider = metadata.provider_name.as_deref().unwrap_or("its provider");
    match &metadata.raw {
        None | Some(Value::Null) => message.to_owned(),
        Some(Value::String(raw)) => format!("{message} ({provider}: {})", excerpt(raw)),
        Some(raw) => format!("{message} ({provider}: {})", excerpt(&raw.to_string())),
    }
}

fn excerpt(page: &str) -> String {
    let line: Vec<&str> = page.split_whitespace().collect();
    line.join(" ").chars().take(MOST_OF_A_PAGE).collect()
}

fn asked_to_wait(error: &ErrorBody) -> Option<Duration> {
    let seconds = error.metadata.as_ref()?.retry_after_seconds?;
    // A year is as good as for ever, and a span that a `Duration` can hold.
    let sensible = (0.0..=31_536_000.0).contains(&seconds);
    sensible.then(|| Duration::from_secs_f64(seconds))
}

/// Reads `Retry-After`: seconds, or an HTTP date. A value that is neither asks for nothing.
pub(super) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let Ok(then) = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value.trim()) else {
        return None;
    };
    // A moment that has passed means now.
    let wait = then.duration_since(now);
    Some(Duration::try_from(wait).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, body: &str, kind: AgentErrorKind, passing: bool) {
        let trouble = judge_status(status, None, body.as_bytes());
        assert_eq!(trouble.kind, kind, "{}", trouble.message);
        assert_eq!(
            trouble.remedy != Remedy::None,
            passing,
            "{}",
            trouble.message
        );
    }

    #[test]
    fn a_status_has_its_kind() {
        check(401, "", AgentErrorKind::Auth, false);
        check(403, "", AgentErrorKind::Auth, false);
        check(402, "", AgentErrorKind::Quota, false);
        check(404, "", AgentErrorKind::Request, false);
        check(429, "", AgentErrorKind::RateLimit, true);
        check(408, "", AgentErrorKind::Upstream, true);
        check(529, "<html>", AgentErrorKind::Upstream, true);
        check(308, "", AgentErrorKind::Request, false);
    }

    #[test]
    fn the_body_says_more_than_the_status() {
        let quota = r#"{"error":{"message":"m","type":"exceeded_current_quota_error"}}"#;
        check(429, quota, AgentErrorKind::Quota, false);
        let long = r#"{"error":{"message":"Your request exceeded model token limit : 262144"}}"#;
        check(400, long, AgentErrorKind::ContextTooLong, false);
        let risk = r#"{"error":{"message":"high risk","type":"content_filter"}}"#;
        check(400, risk, AgentErrorKind::ContentFilter, false);
        check(400, r#"{"error":"no"}"#, AgentErrorKind::Request, false);
    }

    #[test]
    fn an_error_in_a_stream_is_judged_by_its_code() {
        let judged = |text: &str| {
            let shape: ErrorShape = serde_json::from_str(text).unwrap();
            judge_body(&shape.into())
        };
        assert_eq!(judged(r#"{"code":502}"#).kind, AgentErrorKind::Upstream);
        assert_eq!(judged(r#"{"code":"429"}"#).kind, AgentErrorKind::RateLimit);
        assert_eq!(judged(r#""boom""#).kind, AgentErrorKind::Upstream);
        let long = r#"{"code":"x","metadata":{"error_type":"context_length_exceeded"}}"#;
        assert_eq!(judged(long).kind, AgentErrorKind::ContextTooLong);
    }

    #[test]
    fn the_message_names_the_provider_behind_the_endpoint() {
        let body = r#"{"error":{"code":502,"message":"Provider returned error",
            "metadata":{"raw":"model   overloaded","provider_name":"Chutes","retry_after_seconds":17}}}"#;
        let trouble = judge_status(502, None, body.as_bytes());
        assert_eq!(
            trouble.message,
            "the model's endpoint answered 502: Provider returned error (Chutes: model overloaded)"
        );
        assert_eq!(trouble.remedy, Remedy::AskAfter(Duration::from_secs(17)));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "1994-11-06T08:49:07Z".parse().unwrap();
        let check = |value, seconds: Option<u64>| {
            assert_eq!(
                retry_after(value, now),
                seconds.map(Duration::from_secs),
                "{value}"
            );
        };
        check("7", Some(7));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(30));
        check("Sun, 06 Nov 1994 08:48:37 GMT", Some(0));
        check("soon", None);
        check("-1", None);
    }
}
