//! What a client asks, put into the shape that all dialects share.
//!
//! A tool's results become messages of their own, as chat completions have them; what a
//! script cannot ask about (documents, the server's own tools) is left out.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::llm::dialect::anthropic::rules::{self, Unfit};
use crate::llm::question::protocol::Violation;
use crate::llm::question::request::ChatBody;

/// The body of `POST messages`. What is missing is missed in the service's own words.
#[derive(Debug, Deserialize)]
pub(super) struct Body {
    pub(super) model: Option<String>,
    pub(super) max_tokens: Option<i64>,
    pub(super) messages: Option<Vec<Value>>,
    pub(super) thinking: Option<Thinking>,
    #[serde(default)]
    pub(super) tools: Vec<Tool>,
    system: Option<Value>,
    stream: Option<bool>,
    metadata: Option<Metadata>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    /// Agents put the name of their conversation here.
    user_id: Option<String>,
}

/// Whether and how long the model may think.
#[derive(Debug, Deserialize)]
pub(super) struct Thinking {
    pub(super) budget_tokens: Option<i64>,
}

/// A tool that is offered. The service's own ones have a type, all others a schema.
#[derive(Debug, Deserialize)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) r#type: Option<String>,
    pub(super) input_schema: Option<Value>,
}

/// One message. Its content is read into blocks, also if it is a text.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) role: Role,
    pub(super) blocks: Vec<Block>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    User,
    Assistant,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block {
    Text {
        text: String,
    },
    Image {
        source: Source,
    },
    ToolUse {
        id: String,
        name: String,
        input: Value,
    },
    ToolResult {
        tool_use_id: String,
        content: Option<Value>,
        is_error: Option<bool>,
    },
    Thinking {
        thinking: String,
        signature: String,
    },
    RedactedThinking {
        data: String,
    },
    #[serde(other)]
    Other,
}

/// Where a picture comes from.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source {
    Base64 {
        media_type: String,
        data: String,
    },
    Url {
        url: String,
    },
    #[serde(other)]
    Other,
}

/// Reads a request for an answer.
pub(crate) fn read(body: &[u8]) -> Result<ChatBody, Violation> {
    let body = parse(body)?;
    let unfit = rules::check_length(&body);
    chat(body, unfit)
}

/// Reads a request to count; it need not say how long an answer may be.
pub(crate) fn count(body: &[u8]) -> Result<ChatBody, Violation> {
    chat(parse(body)?, Ok(()))
}

fn parse(body: &[u8]) -> Result<Body, Violation> {
    serde_json::from_slice(body).map_err(Violation::from)
}

fn chat(body: Body, length: Result<(), Unfit>) -> Result<ChatBody, Violation> {
    let messages = read_messages(&body)?;
    let unfit = length.and_then(|()| rules::check(&body, &messages)).err();
    let system = body.system.into_iter();
    let system = system.map(|system| json!({ "role": "system", "content": system }));
    let messages = messages.into_iter().flat_map(Message::into_chat);
    let tools = body.tools.into_iter();
    let tools = tools.map(|tool| json!({ "function": { "name": tool.name } }));
    let chat = json!({
        "model": body.model,
        "messages": system.chain(messages).collect::<Vec<_>>(),
        "stream": body.stream,
        "tools": tools.collect::<Vec<_>>(),
        "user": body.metadata.and_then(|metadata| metadata.user_id),
    });
    let mut chat: ChatBody = serde_json::from_value(chat)?;
    chat.unfit = unfit.map(Violation::from);
    Ok(chat)
}

fn read_messages(body: &Body) -> Result<Vec<Message>, Unfit> {
    let messages = body.messages.as_deref();
    let messages = messages.ok_or(Unfit::Missing { field: "messages" })?;
    let messages = messages.iter().enumerate();
    messages
        .map(|(place, message)| read_message(place, message))
        .collect()
}

fn read_message(place: usize, message: &Value) -> Result<Message, Unfit> {
    #[derive(Deserialize)]
    struct Envelope {
        role: Role,
        content: Value,
    }
    let unreadable = |place: String, fault: &serde_json::Error| Unfit::Unreadable {
        place,
        fault: fault.to_string(),
    };
    if message["role"] == "system" {
        return Err(Unfit::SystemRole);
    }
    let envelope = Envelope::deserialize(message)
        .map_err(|fault| unreadable(format!("messages.{place}"), &fault))?;
    let blocks = blocks(envelope.content).map_err(|(block, fault)| {
        unreadable(format!("messages.{place}.content.{block}"), &fault)
    })?;
    Ok(Message {
        role: envelope.role,
        blocks,
    })
}

/// A mistake comes with the place of its block.
fn blocks(content: Value) -> Result<Vec<Block>, (usize, serde_json::Error)> {
    if let Value::String(text) = content {
        return Ok(vec![Block::Text { text }]);
    }
    let list: Vec<Value> = serde_json::from_value(content).map_err(|fault| (0, fault))?;
    let blocks = list.into_iter().enumerate();
    blocks
        .map(|(place, block)| serde_json::from_value(block).map_err(|fault| (place, fault)))
        .collect()
}

impl Message {
    fn into_chat(self) -> Vec<Value> {
        match self.role {
            Role::User => heard(self.blocks),
            Role::Assistant => vec![said(self.blocks)],
        }
    }
}

/// What the user sent: each result is a message, the rest is one.
fn heard(blocks: Vec<Block>) -> Vec<Value> {
    let mut messages = Vec::new();
    let mut parts = Vec::new();
    for block in blocks {
        match block {
            Block::ToolResult {
                tool_use_id,
                content,
                is_error,
            } => messages.push(json!({
                "role": "tool",
                "tool_call_id": tool_use_id,
                "content": content,
                "is_error": is_error,
            })),
            Block::Text { text } => parts.push(json!({ "type": "text", "text": text })),
            Block::Image { source } => parts.push(json!({
                "type": "image_url",
                "image_url": { "url": source.into_url() },
            })),
            Block::ToolUse { .. }
            | Block::Thinking { .. }
            | Block::RedactedThinking { .. }
            | Block::Other => {}
        }
    }
    if !parts.is_empty() {
        messages.push(json!({ "role": "user", "content": parts }));
    }
    messages
}

/// What the model said before.
fn said(blocks: Vec<Block>) -> Value {
    let (mut parts, mut calls, mut thought) = (Vec::new(), Vec::new(), String::new());
    for block in blocks {
        match block {
            Block::Text { text } => parts.push(json!({ "type": "text", "text": text })),
            Block::ToolUse { id, name, input } => calls.push(json!({
                "id": id,
                "type": "function",
                "function": { "name": name, "arguments": input.to_string() },
            })),
            Block::Thinking { thinking, .. } => thought.push_str(&thinking),
            Block::RedactedThinking { data } => thought.push_str(&data),
            Block::Image { .. } | Block::ToolResult { .. } | Block::Other => {}
        }
    }
    let mut message = json!({ "role": "assistant", "content": parts });
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    if !thought.is_empty() {
        message["reasoning_content"] = thought.into();
    }
    message
}

impl Source {
    fn into_url(self) -> String {
        match self {
            Self::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
            Self::Url { url } => url,
            Self::Other => String::new(),
        }
    }
}
