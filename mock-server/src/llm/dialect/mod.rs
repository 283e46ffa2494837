//! Whose server we are on which path, where the services differ.
//!
//! Measured on the real services and clients; a service of its own makes no third opinion.

pub(crate) mod anthropic;
mod chat;
mod failure;
mod frame;
mod mount;
mod pieces;
mod sheet;
mod wording;

pub(crate) use failure::Complaint;
pub(crate) use frame::{Frame, FrameKind};
pub(crate) use mount::Mount;
pub(crate) use wording::AGENTS_ONLY;

use axum::http::StatusCode;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::llm::question::protocol::Violation;
use crate::llm::question::request::ChatBody;
use crate::llm::score::lines::Reply;

/// A service, and the protocol that it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `/v1`: OpenAI's own, which most others follow.
    OpenAi,
    /// `/api/v1`: OpenRouter.
    OpenRouter,
    /// `/v1` as well: Moonshot's open platform, which sells Kimi by the token.
    Moonshot,
    /// `/coding/v1`: Moonshot's Kimi for coding agents, which comes with a membership.
    Kimi,
    /// `/v1/messages`: Anthropic, which speaks a protocol of its own.
    Anthropic,
}

/// Why a request gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// 422: the request is well-formed, but nobody has scripted an answer. Clients retry
    /// 408, 409, 429 and 5xx, try another model after a 404, log in again after a 401 and
    /// may shorten their history after a 400; 422 is where all of them give up at once.
    Unscripted,
    /// 400: a real server would not have taken this request either.
    Malformed,
}

impl Refused {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Unscripted => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Malformed => StatusCode::BAD_REQUEST,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Unscripted => "unscripted_request",
            Self::Malformed => "invalid_request",
        }
    }
}

impl Dialect {
    /// Where the service itself has it; see [`Mount`] for where we serve it.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::OpenAi | Self::Moonshot | Self::Anthropic => "/v1",
            Self::OpenRouter => "/api/v1",
            Self::Kimi => "/coding/v1",
        }
    }

    /// Where it takes questions, below its path.
    pub(crate) fn endpoint(self) -> &'static str {
        match self {
            Self::OpenAi | Self::OpenRouter | Self::Moonshot | Self::Kimi => "/chat/completions",
            Self::Anthropic => "/messages",
        }
    }

    /// Both of Moonshot's services write their answers alike.
    pub(crate) fn is_moonshots(self) -> bool {
        matches!(self, Self::Moonshot | Self::Kimi)
    }

    /// Reads a request into the shape that all dialects share.
    pub(crate) fn read(self, body: &[u8]) -> Result<ChatBody, Violation> {
        match self {
            Self::OpenAi | Self::OpenRouter | Self::Moonshot | Self::Kimi => {
                Ok(serde_json::from_slice(body)?)
            }
            Self::Anthropic => anthropic::read(body),
        }
    }

    /// What a stream sends before the model has said anything.
    pub(crate) fn prelude(self) -> Option<Frame> {
        chat::prelude(self)
    }

    /// The answer as a stream, frame by frame.
    pub(crate) fn frames(self, reply: &Reply, wants_usage: bool) -> serde_json::Result<Vec<Frame>> {
        match self {
            Self::Anthropic => anthropic::frames(reply),
            Self::OpenAi | Self::OpenRouter | Self::Moonshot | Self::Kimi => {
                chat::frames(reply, self, wants_usage)
            }
        }
    }

    /// The whole answer as one document.
    pub(crate) fn document(self, reply: &Reply) -> serde_json::Result<Bytes> {
        match self {
            Self::Anthropic => anthropic::document(reply),
            Self::OpenAi | Self::OpenRouter | Self::Moonshot | Self::Kimi => {
                chat::document(reply, self)
            }
        }
    }

    /// The id of an answer.
    pub(crate) fn response_id(self, created: i64, letters: &str) -> String {
        match self {
            Self::OpenRouter => format!("gen-{created}-{letters}"),
            Self::OpenAi | Self::Moonshot | Self::Kimi => format!("chatcmpl-{letters}"),
            Self::Anthropic => format!("msg_01{letters}"),
        }
    }

    /// The body of an error.
    pub(crate) fn error(self, refused: Refused, report: &str) -> Value {
        let error = match self {
            Self::Anthropic => {
                let kind = anthropic::error_type(refused.status());
                return json!(anthropic::error(kind, report));
            }
            Self::OpenRouter => json!({
                "code": refused.status().as_u16(),
                "message": report,
                "metadata": { "reason": refused.code() },
            }),
            Self::OpenAi => json!({
                "message": report,
                "type": "invalid_request_error",
                "param": null,
                "code": refused.code(),
            }),
            Self::Moonshot | Self::Kimi => json!({
                "message": report,
                "type": "invalid_request_error",
            }),
        };
        json!({ "error": error })
    }

    /// The body of `GET models`: one model, since a script answers whatever is asked for.
    pub(crate) fn models(self) -> Value {
        match self {
            Self::Anthropic => anthropic::models(),
            Self::OpenAi => json!({
                "object": "list",
                "data": [{ "id": "scripted", "object": "model", "created": 0, "owned_by": "mock-server" }],
            }),
            Self::OpenRouter => json!({
                "data": [{
                    "id": "moonshotai/kimi-k2",
                    "canonical_slug": "moonshotai/kimi-k2",
                    "name": "MoonshotAI: Kimi K2",
                    "created": 0,
                    "context_length": 262_144,
                    "pricing": { "prompt": "0", "completion": "0" },
                    "supported_parameters": ["tools", "reasoning"],
                }],
            }),
            Self::Moonshot | Self::Kimi => json!({
                "object": "list",
                "data": [{
                    "id": "kimi-for-coding",
                    "object": "model",
                    "created": 0,
                    "owned_by": "moonshot",
                    "context_length": 262_144,
                    "supports_reasoning": true,
                }],
            }),
        }
    }
}
