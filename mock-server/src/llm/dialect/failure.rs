//! A failure in the shape of a service: the body of an error, and the frame that ends a stream.

use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::llm::dialect::wording::{Wording, metadata};
use crate::llm::dialect::{Dialect, Frame, FrameKind, anthropic, responses};
use crate::llm::score::lines::Reply;
use crate::llm::script::fault::ErrorEvent;

/// What is said of a failure; what is not given is worded as the service does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Complaint<'a> {
    pub(crate) kind: Option<&'a str>,
    pub(crate) message: Option<&'a str>,
}

impl Dialect {
    /// An error as the service answers it: its status, its headers and its body.
    pub(crate) fn status_error(
        self,
        status: StatusCode,
        complaint: Complaint<'_>,
    ) -> (StatusCode, HeaderMap, Value) {
        let code = status.as_u16();
        let wording = Wording::of(self, code, complaint.kind);
        let usual = status.canonical_reason().unwrap_or("Unknown error");
        let message = wording.map_or(usual, |wording| wording.message);
        let message = complaint.message.unwrap_or(message);
        let kind = wording.map_or("server_error", |wording| wording.kind);
        let kind = complaint.kind.unwrap_or(kind);
        let body = self.error_body(code, kind, message);
        (status, anthropic::request_header(&body), body)
    }

    /// The frame of a stream that fails after it has begun. Nothing but the end mark, if that,
    /// comes behind it. `reply` is what was being said, if anything, and `events` is how many
    /// frames came before.
    pub(crate) fn stream_error(
        self,
        reply: Option<&Reply>,
        event: ErrorEvent,
        complaint: Complaint<'_>,
        events: usize,
    ) -> Frame {
        let (code, kind, message) = self.late(complaint);
        let error = || self.error_body(code, kind, message);
        let (name, body) = match self {
            Self::OpenRouter => ("", broken_chunk(reply, error())),
            Self::Responses => match (event, reply) {
                (ErrorEvent::ResponseFailed, Some(reply)) => (
                    "event: response.failed\n",
                    responses::failed_event(reply, kind, message, events),
                ),
                // Where nothing was being said, no response can fail.
                (ErrorEvent::Error, _) | (ErrorEvent::ResponseFailed, None) => (
                    "event: error\n",
                    responses::error_event(kind, message, events),
                ),
            },
            Self::Anthropic => ("event: error\n", error()),
            Self::OpenAi | Self::Moonshot | Self::Kimi => ("", error()),
        };
        Frame {
            kind: FrameKind::Finish,
            bytes: Bytes::from(format!("{name}data: {body}\n\n")),
        }
    }

    /// An error that comes with status 200, as the whole answer.
    pub(crate) fn late_error(self, complaint: Complaint<'_>) -> Value {
        let (code, kind, message) = self.late(complaint);
        self.error_body(code, kind, message)
    }

    /// What the service usually calls a failure with that status.
    pub(crate) fn usual_kind(self, status: u64) -> Option<&'static str> {
        match u16::try_from(status) {
            Ok(status) => Wording::of(self, status, None).map(|wording| wording.kind),
            Err(_no_status) => None,
        }
    }

    /// Code, type and message of an error for which it is too late to be a status.
    fn late<'a>(self, complaint: Complaint<'a>) -> (u16, &'a str, &'a str) {
        let wording = complaint
            .kind
            .and_then(|kind| Wording::of_kind(self, kind))
            .or_else(|| Wording::of(self, usual_in_stream(self), None));
        let (code, kind, message) = wording
            .map_or((500, "server_error", "Internal server error"), |wording| {
                (wording.status, wording.kind, wording.message)
            });
        let kind = complaint.kind.unwrap_or(kind);
        (code, kind, complaint.message.unwrap_or(message))
    }

    pub(super) fn error_body(self, code: u16, kind: &str, message: &str) -> Value {
        let error = match self {
            Self::OpenRouter => json!({
                "code": code,
                "message": message,
                "metadata": metadata(code, kind),
            }),
            Self::OpenAi | Self::Responses => json!({
                "message": message,
                "type": openai_type(kind),
                "param": null,
                "code": openai_code(kind),
            }),
            Self::Moonshot | Self::Kimi => json!({ "message": message, "type": kind }),
            Self::Anthropic => return json!(anthropic::error(kind, message)),
        };
        json!({ "error": error })
    }
}

/// What breaks in the middle of an answer is usually the provider behind OpenRouter; the
/// others' own servers, of which Anthropic's say that they have too much to do.
fn usual_in_stream(dialect: Dialect) -> u16 {
    match dialect {
        Dialect::OpenRouter => 502,
        Dialect::OpenAi | Dialect::Moonshot | Dialect::Kimi | Dialect::Responses => 500,
        Dialect::Anthropic => 529,
    }
}

/// A chunk like all others, with an error beside its choice.
fn broken_chunk(reply: Option<&Reply>, mut error: Value) -> Value {
    let id = reply.map(|reply| Dialect::OpenRouter.response_id(reply.created, &reply.letters));
    json!({
        "id": id,
        "object": "chat.completion.chunk",
        "created": reply.map_or(0, |reply| reply.created),
        "model": reply.map(|reply| &reply.model),
        "provider": reply.and_then(|reply| reply.route.as_deref()).map(|route| &route.provider),
        "error": error["error"].take(),
        "choices": [{
            "index": 0,
            "delta": { "role": "assistant", "content": "" },
            "finish_reason": "error",
            "native_finish_reason": "error",
        }],
    })
}

/// OpenAI names the exact reason in `code` and its family in `type`.
fn openai_type(kind: &str) -> &str {
    match kind {
        "invalid_api_key" | "model_not_found" | "request_too_large" | "timeout" => {
            "invalid_request_error"
        }
        "rate_limit_exceeded" => "requests",
        other => other,
    }
}

fn openai_code(kind: &str) -> Option<&str> {
    match kind {
        "invalid_request_error" | "server_error" | "service_unavailable" => None,
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(dialect: Dialect, status: u16, complaint: Complaint<'_>, error: &Value) {
        let status = StatusCode::from_u16(status).unwrap();
        let (_, _, body) = dialect.status_error(status, complaint);
        assert_eq!(body["error"], *error);
    }

    #[test]
    fn an_error_has_the_shape_and_the_words_of_its_service() {
        let usual = Complaint::default();
        check(
            Dialect::OpenRouter,
            402,
            usual,
            &json!({
                "code": 402,
                "message": "Insufficient credits. Add more using https://openrouter.ai/credits",
                "metadata": { "error_type": "payment_required", "limit_source": "openrouter_credits" },
            }),
        );
        check(
            Dialect::OpenAi,
            429,
            usual,
            &json!({
                "message": "Rate limit reached for requests",
                "type": "requests",
                "param": null,
                "code": "rate_limit_exceeded",
            }),
        );
        check(
            Dialect::Kimi,
            429,
            usual,
            &json!({
                "message": "The engine is currently overloaded, please try again later",
                "type": "engine_overloaded_error",
            }),
        );
    }

    #[test]
    fn words_that_are_given_win() {
        let complaint = Complaint {
            kind: Some("made_up_error"),
            message: Some("Made up."),
        };
        check(
            Dialect::Moonshot,
            418,
            complaint,
            &json!({ "message": "Made up.", "type": "made_up_error" }),
        );
    }

    #[test]
    fn a_stream_breaks_the_way_of_its_service() {
        #[track_caller]
        fn check(dialect: Dialect, kind: Option<&str>, frame: &Value) {
            let complaint = Complaint {
                kind,
                message: None,
            };
            let sent = dialect.stream_error(None, ErrorEvent::Error, complaint, 0);
            let sent = sent.bytes;
            let text = str::from_utf8(&sent).unwrap();
            let data = text.strip_prefix("data: ").unwrap().trim_end();
            let sent: Value = serde_json::from_str(data).unwrap();
            assert_eq!(sent["error"], *frame);
        }
        check(
            Dialect::OpenRouter,
            Some("provider_overloaded"),
            &json!({
                "code": 503,
                "message": "Service temporarily unavailable",
                "metadata": { "error_type": "provider_overloaded" },
            }),
        );
        check(
            Dialect::Kimi,
            None,
            &json!({ "message": "Internal server error", "type": "server_error" }),
        );
    }
}
