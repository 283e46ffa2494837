//! The whole answer as one document, and the parts of it that a stream sends too.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::llm::dialect::Dialect;
use crate::llm::dialect::anthropic::error;
use crate::llm::score::ids;
use crate::llm::score::lines::{Call, Reply, Usage};
use crate::llm::script::turn::FinishReason;

/// How the service calls an answer that it could not finish.
pub(super) const BROKEN: (&str, &str) = ("api_error", "Internal server error");

/// The whole answer.
pub(crate) fn document(reply: &Reply) -> serde_json::Result<Bytes> {
    if reply.finish_reason == FinishReason::Error {
        let (kind, message) = BROKEN;
        return serde_json::to_vec(&error(kind, message)).map(Bytes::from);
    }
    let mut message = Message::begun(reply);
    message.content = blocks(reply);
    message.stop_reason = stop_reason(reply.finish_reason);
    message.usage = UsageBody::new(reply.usage);
    serde_json::to_vec(&message).map(Bytes::from)
}

#[derive(Debug, Serialize)]
pub(super) struct Message<'a> {
    id: String,
    r#type: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<Block<'a>>,
    stop_reason: Option<&'static str>,
    stop_sequence: Option<&'static str>,
    usage: UsageBody,
}

impl<'a> Message<'a> {
    /// Of which nothing has been said.
    pub(super) fn begun(reply: &'a Reply) -> Self {
        Self {
            id: Dialect::Anthropic.response_id(reply.created, &reply.letters),
            r#type: "message",
            role: "assistant",
            model: &reply.model,
            content: Vec::new(),
            stop_reason: None,
            stop_sequence: None,
            usage: UsageBody::new(Usage {
                completion: 1,
                ..reply.usage
            }),
        }
    }
}

/// A part of an answer.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Thinking {
        thinking: &'a str,
        signature: String,
    },
    Text {
        text: &'a str,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: Value,
    },
}

fn blocks(reply: &Reply) -> Vec<Block<'_>> {
    let said = |text: &&str| !text.is_empty();
    let thinking = reply.reasoning.as_deref().filter(said);
    let thinking = thinking.map(|thinking| Block::Thinking {
        thinking,
        signature: signature(thinking),
    });
    let text = reply.content.as_deref().filter(said);
    let text = text.map(|text| Block::Text { text });
    let uses = reply.calls.iter().map(|call| Block::ToolUse {
        id: &call.id,
        name: &call.name,
        input: input(call),
    });
    thinking.into_iter().chain(text).chain(uses).collect()
}

/// In a document the input is an object, also where the script has broken it; the service
/// asks its clients to wrap such a text in the same way.
fn input(call: &Call) -> Value {
    if call.arguments.is_empty() {
        return json!({});
    }
    match serde_json::from_str(&call.arguments) {
        Ok(input @ Value::Object(_)) => input,
        Ok(_) | Err(_) => json!({ "INVALID_JSON": call.arguments }),
    }
}

/// What a client has to send back with a thought, unchanged.
pub(crate) fn signature(thinking: &str) -> String {
    format!("EqQB{}", ids::letters(0, &["thinking", thinking]))
}

/// Why the model stopped; what failed did not stop.
pub(super) fn stop_reason(reason: FinishReason) -> Option<&'static str> {
    match reason {
        FinishReason::Stop => Some("end_turn"),
        FinishReason::ToolCalls => Some("tool_use"),
        FinishReason::Length => Some("max_tokens"),
        FinishReason::ContentFilter => Some("refusal"),
        FinishReason::Error => None,
    }
}

/// Tokens that came from a cache are not counted among those that were read.
#[derive(Debug, Serialize)]
pub(super) struct UsageBody {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
}

impl UsageBody {
    fn new(usage: Usage) -> Self {
        Self {
            service_tier: Some("standard"),
            ..Self::total(usage)
        }
    }

    /// As it stands at the end of a stream.
    pub(super) fn total(usage: Usage) -> Self {
        Self {
            input_tokens: usage.prompt.saturating_sub(usage.cached),
            cache_creation_input_tokens: 0,
            cache_read_input_tokens: usage.cached,
            output_tokens: usage.completion,
            service_tier: None,
        }
    }
}
