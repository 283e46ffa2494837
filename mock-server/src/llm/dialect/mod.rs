//! Whose server we are on which path, where the services differ.
//!
//! Measured on the real services and clients; a service of its own makes no third opinion.

pub(crate) mod anthropic;
mod chat;
pub(crate) mod embeddings;
mod failure;
mod frame;
mod frames;
mod mount;
mod pieces;
pub(crate) mod responses;
mod sheet;
mod usage;
mod wording;

pub(crate) use chat::{PROCESSING, WAITING};
pub(crate) use failure::Complaint;
pub(crate) use frame::{Frame, FrameKind};
pub(crate) use frames::Frames;
pub(crate) use mount::Mount;
pub(crate) use wording::AGENTS_ONLY;

use axum::http::StatusCode;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::llm::dialect::responses::Conversations;
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
    /// `/v1/responses`: OpenAI's newer protocol.
    Responses,
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
    /// 404: OpenRouter may send it to nobody.
    NoProvider,
    /// 400: nor this one, and the service says which parameter is at fault.
    Parameter {
        parameter: &'static str,
        code: Option<&'static str>,
    },
}

impl Refused {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Unscripted => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Malformed | Self::Parameter { .. } => StatusCode::BAD_REQUEST,
            Self::NoProvider => StatusCode::NOT_FOUND,
        }
    }

    fn code(self) -> Option<&'static str> {
        match self {
            Self::Unscripted => Some("unscripted_request"),
            Self::Malformed => Some("invalid_request"),
            Self::NoProvider => Some("no_provider"),
            Self::Parameter { code, .. } => code,
        }
    }

    fn parameter(self) -> Option<&'static str> {
        match self {
            Self::Unscripted | Self::Malformed | Self::NoProvider => None,
            Self::Parameter { parameter, .. } => Some(parameter),
        }
    }
}

impl Dialect {
    /// Where the service itself has it; see [`Mount`] for where we serve it.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::OpenAi | Self::Moonshot | Self::Anthropic | Self::Responses => "/v1",
            Self::OpenRouter => "/api/v1",
            Self::Kimi => "/coding/v1",
        }
    }

    /// Where it takes questions, below its path.
    pub(crate) fn endpoint(self) -> &'static str {
        match self {
            Self::OpenAi | Self::OpenRouter | Self::Moonshot | Self::Kimi => "/chat/completions",
            Self::Anthropic => "/messages",
            Self::Responses => "/responses",
        }
    }

    /// Both of Moonshot's services write their answers alike.
    pub(crate) fn is_moonshots(self) -> bool {
        matches!(self, Self::Moonshot | Self::Kimi)
    }

    /// Whether a request may stand for others that came before it, so that nobody can read it
    /// alone.
    pub(crate) fn refers_to_others(self) -> bool {
        self == Self::Responses
    }

    /// Reads a request into the shape that all dialects share.
    pub(crate) fn read(
        self,
        body: &[u8],
        conversations: &Conversations,
    ) -> Result<ChatBody, Violation> {
        match self {
            Self::OpenAi | Self::OpenRouter | Self::Moonshot | Self::Kimi => {
                Ok(serde_json::from_slice(body)?)
            }
            Self::Anthropic => anthropic::read(body),
            Self::Responses => responses::read(body, conversations),
        }
    }

    /// What a stream sends before the model has said anything.
    pub(crate) fn prelude(self) -> Vec<Frame> {
        chat::prelude(self)
    }

    /// The whole answer as one document.
    pub(crate) fn document(self, reply: &Reply) -> serde_json::Result<Bytes> {
        match self {
            Self::Anthropic => anthropic::document(reply),
            Self::Responses => responses::document(reply),
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
            Self::Responses => format!("resp_{letters}"),
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
            Self::OpenAi | Self::Responses => json!({
                "message": report,
                "type": "invalid_request_error",
                "param": refused.parameter(),
                "code": refused.code(),
            }),
            Self::Moonshot | Self::Kimi => json!({
                "message": report,
                "type": "invalid_request_error",
            }),
        };
        json!({ "error": error })
    }
}
