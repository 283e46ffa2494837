//! The completion API as it is sent and received, in the two dialects we speak.
//!
//! What is sent is exact; what is received is read with patience, since every provider behind
//! OpenRouter has its own idea of it. (Sources: OpenRouter's OpenAPI document, Moonshot's
//! platform documents, and recordings of both.)

use agent_protocol::Usage;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::conversation::{Message, ToolCall};
use crate::settings::Dialect;
use crate::tools::ToolSpec;

/// The body of `POST …/chat/completions`.
#[derive(Serialize)]
pub(super) struct Request<'a> {
    pub model: &'a str,
    pub messages: Vec<Said<'a>>,
    pub tools: &'a [ToolSpec],
    pub stream: bool,
    pub stream_options: StreamOptions,
    /// The session: what earlier turns sent is cached under it.
    pub prompt_cache_key: &'a str,
}

#[derive(Serialize)]
pub(super) struct StreamOptions {
    pub include_usage: bool,
}

/// A message as an endpoint wants it.
#[derive(Serialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub(super) enum Said<'a> {
    System {
        content: &'a str,
    },
    User {
        content: &'a str,
    },
    Assistant {
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reasoning_content: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reasoning: Option<&'a str>,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        tool_calls: &'a [ToolCall],
    },
    Tool {
        tool_call_id: &'a str,
        content: &'a str,
    },
}

impl<'a> Said<'a> {
    pub(super) fn new(message: &'a Message, dialect: Dialect) -> Self {
        match message {
            Message::User { content } => Self::User { content },
            Message::Assistant {
                content,
                reasoning_content,
                tool_calls,
            } => {
                let thought = reasoning_content.as_deref();
                Self::Assistant {
                    content: content.as_deref(),
                    reasoning_content: match dialect {
                        // With thinking on, a tool call without this field is refused; empty will do.
                        Dialect::Moonshot if !tool_calls.is_empty() => Some(thought.unwrap_or("")),
                        Dialect::Moonshot => thought,
                        Dialect::OpenRouter => None,
                    },
                    reasoning: match dialect {
                        Dialect::OpenRouter => thought,
                        Dialect::Moonshot => None,
                    },
                    tool_calls,
                }
            }
            Message::Tool {
                tool_call_id,
                content,
            } => Self::Tool {
                tool_call_id,
                content,
            },
        }
    }
}

/// One `data` frame of a stream, or the whole body of an answer that is not streamed.
#[derive(Debug, Deserialize)]
pub(super) struct Chunk {
    pub error: Option<ErrorShape>,
    pub choices: Option<Vec<Choice>>,
    pub usage: Option<WireUsage>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    /// `delta` in a stream, `message` otherwise.
    #[serde(alias = "message")]
    pub delta: Option<Delta>,
    pub finish_reason: Option<String>,
    /// Moonshot puts it here.
    pub usage: Option<WireUsage>,
    pub error: Option<ErrorShape>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Delta {
    pub content: Option<String>,
    pub reasoning_content: Option<String>,
    pub reasoning: Option<String>,
    pub tool_calls: Option<Vec<CallFragment>>,
}

/// A part of a tool call. The first has the id and the name, the others more arguments.
#[derive(Debug, Deserialize)]
pub(super) struct CallFragment {
    pub index: Option<u64>,
    pub id: Option<String>,
    pub function: Option<FunctionFragment>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FunctionFragment {
    pub name: Option<String>,
    /// Text by the standard; some providers send the object itself.
    pub arguments: Option<Value>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct WireUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    cached_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptTokens>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct PromptTokens {
    cached_tokens: Option<u64>,
}

impl From<WireUsage> for Usage {
    fn from(usage: WireUsage) -> Self {
        let in_details = usage
            .prompt_tokens_details
            .and_then(|all| all.cached_tokens);
        Self {
            prompt_tokens: usage.prompt_tokens.unwrap_or(0),
            completion_tokens: usage.completion_tokens.unwrap_or(0),
            cached_tokens: usage.cached_tokens.or(in_details).unwrap_or(0),
        }
    }
}

/// What stands under `error`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum ErrorShape {
    Text(String),
    Body(Box<ErrorBody>),
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ErrorBody {
    pub message: Option<String>,
    /// An HTTP status at OpenRouter, a word elsewhere.
    pub code: Option<Value>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub metadata: Option<ErrorMetadata>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ErrorMetadata {
    pub error_type: Option<String>,
    pub provider_name: Option<String>,
    /// What the provider behind OpenRouter said.
    pub raw: Option<Value>,
    pub retry_after_seconds: Option<f64>,
}

impl From<ErrorShape> for ErrorBody {
    fn from(shape: ErrorShape) -> Self {
        match shape {
            ErrorShape::Text(message) => Self {
                message: Some(message),
                ..Self::default()
            },
            ErrorShape::Body(body) => *body,
        }
    }
}
