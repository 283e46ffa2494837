//! The items of a conversation, put into the messages of chat completions.
//!
//! What the model sends in one go comes as several items (thoughts, texts, calls), which
//! are one message there. The server's own tools are left out: no script can ask for them.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::llm::dialect::responses::Unfit;
use crate::llm::score::lines::Reply;

/// An item as a client sends it.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item {
    Message {
        role: Role,
        content: Value,
    },
    Reasoning {
        #[serde(default)]
        summary: Vec<Summary>,
    },
    FunctionCall {
        call_id: String,
        name: String,
        arguments: String,
    },
    CustomToolCall {
        call_id: String,
        name: String,
        input: String,
    },
    #[serde(alias = "custom_tool_call_output")]
    FunctionCallOutput {
        call_id: String,
        output: Value,
    },
    #[serde(other)]
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    User,
    Assistant,
    System,
    Developer,
}

#[derive(Debug, Deserialize)]
struct Summary {
    text: String,
}

/// A conversation as it grows item by item.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) messages: Vec<Value>,
    /// Whether the last message is the model's and may grow.
    is_speaking: bool,
}

impl Talk {
    pub(super) fn after(messages: Vec<Value>) -> Self {
        Self {
            messages,
            is_speaking: false,
        }
    }

    pub(super) fn add(&mut self, place: usize, mut item: Value) -> Result<(), Unfit> {
        // A message need not say that it is one.
        if let Value::Object(fields) = &mut item
            && fields.contains_key("role")
        {
            fields.entry("type").or_insert("message".into());
        }
        let item = serde_json::from_value(item).map_err(|fault| Unfit::Unreadable {
            place: format!("input[{place}]"),
            fault: fault.to_string(),
        })?;
        match item {
            Item::Message {
                role: Role::Assistant,
                content,
            } => append(self.model(), "content", parts(content)),
            Item::Message { role, content } => self.hear(role, content),
            Item::Reasoning { summary } => self.think(&summary),
            Item::FunctionCall {
                call_id,
                name,
                arguments,
            } => self.call(&call_id, &name, &arguments),
            Item::CustomToolCall {
                call_id,
                name,
                input,
            } => self.call(&call_id, &name, &json!({ "input": input }).to_string()),
            Item::FunctionCallOutput { call_id, output } => self.push(json!({
                "role": "tool",
                "tool_call_id": call_id,
                "content": output,
            })),
            Item::Other => {}
        }
        Ok(())
    }

    /// The model goes on.
    pub(super) fn answer(&mut self, reply: &Reply) {
        if let Some(text) = &reply.reasoning {
            let text = text.to_string();
            self.think(&[Summary { text }]);
        }
        if let Some(text) = &reply.content {
            append(self.model(), "content", parts(json!(**text)));
        }
        for call in &reply.calls {
            self.call(&call.id, &call.name, &call.arguments);
        }
    }

    fn hear(&mut self, role: Role, content: Value) {
        let role = match role {
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::System => "system",
            Role::Developer => "developer",
        };
        self.push(json!({ "role": role, "content": parts(content) }));
    }

    fn push(&mut self, message: Value) {
        self.is_speaking = false;
        self.messages.push(message);
    }

    fn call(&mut self, id: &str, name: &str, arguments: &str) {
        let call = json!({
            "id": id,
            "type": "function",
            "function": { "name": name, "arguments": arguments },
        });
        append(self.model(), "tool_calls", vec![call]);
    }

    fn think(&mut self, summary: &[Summary]) {
        let texts: Vec<_> = summary.iter().map(|part| part.text.as_str()).collect();
        let message = self.model();
        message["reasoning_content"] = texts.join("\n").into();
    }

    /// The message of the model that is under way.
    fn model(&mut self) -> &mut Value {
        if !self.is_speaking {
            self.push(json!({ "role": "assistant" }));
            self.is_speaking = true;
        }
        let last = self.messages.len() - 1;
        &mut self.messages[last]
    }
}

fn append(message: &mut Value, field: &str, more: Vec<Value>) {
    let field = &mut message[field];
    match field.as_array_mut() {
        Some(list) => list.extend(more),
        None => *field = more.into(),
    }
}

/// A content as the parts that chat completions know.
fn parts(content: Value) -> Vec<Value> {
    match content {
        Value::String(text) => vec![json!({ "type": "text", "text": text })],
        Value::Array(parts) => parts.into_iter().map(part).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

fn part(part: Value) -> Value {
    if let Some(text) = part.get("text").or_else(|| part.get("refusal")) {
        return json!({ "type": "text", "text": text });
    }
    match part.get("image_url") {
        Some(url) => json!({ "type": "image_url", "image_url": { "url": url } }),
        None => part,
    }
}
