//! What a client asks, with what it asked before, put into the shape that all dialects share.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::llm::dialect::responses::items::Talk;
use crate::llm::dialect::responses::{Conversations, Echo, rules};
use crate::llm::question::protocol::Violation;
use crate::llm::question::request::ChatBody;

/// The body of `POST responses`, as far as it is not only repeated.
#[derive(Debug, Deserialize)]
pub(super) struct Body {
    pub(super) model: Option<String>,
    pub(super) input: Option<Input>,
    pub(super) previous_response_id: Option<String>,
    instructions: Option<String>,
    store: Option<bool>,
    stream: Option<bool>,
    prompt_cache_key: Option<String>,
    user: Option<String>,
    #[serde(default)]
    pub(super) tools: Vec<Tool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Input {
    Text(String),
    Items(Vec<Value>),
}

/// A tool that is offered. Only functions and free-form tools have a name of their own.
#[derive(Debug, Deserialize)]
pub(super) struct Tool {
    pub(super) r#type: String,
    pub(super) name: Option<String>,
}

/// What is kept of a request until its answer is known.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) echo: Arc<Echo>,
    /// Whether the client may come back to it.
    pub(super) is_stored: bool,
    /// How many messages at the beginning hold for this request only.
    pub(super) instructions: usize,
    /// What was asked, item by item.
    pub(super) input: Vec<Value>,
}

/// Reads a request; what it goes on from is looked up.
pub(crate) fn read(body: &[u8], conversations: &Conversations) -> Result<ChatBody, Violation> {
    let fields: Map<String, Value> = serde_json::from_slice(body)?;
    let echo = Arc::new(Echo::of(&fields));
    let body = Body::deserialize(Value::Object(fields))?;
    rules::check_body(&body)?;
    let input = items(body.input);
    let mut talk = Talk::after(match &body.previous_response_id {
        Some(id) => conversations.messages(id)?,
        None => Vec::new(),
    });
    for (place, item) in input.iter().enumerate() {
        talk.add(place, conversations.resolve(item)?)?;
    }
    let unfit = rules::check(&input, &talk.messages).err();
    let instructions = body.instructions.iter();
    let instructions = instructions.map(|text| json!({ "role": "system", "content": text }));
    let instructions: Vec<_> = instructions.collect();
    let request = Request {
        echo,
        is_stored: body.store != Some(false),
        instructions: instructions.len(),
        input,
    };
    let names = body.tools.into_iter().filter_map(|tool| tool.name);
    let tools = names.map(|name| json!({ "function": { "name": name } }));
    let chat = json!({
        "model": body.model,
        "messages": instructions.into_iter().chain(talk.messages).collect::<Vec<_>>(),
        "stream": body.stream,
        "tools": tools.collect::<Vec<_>>(),
        "prompt_cache_key": body.prompt_cache_key,
        "user": body.user,
    });
    let mut chat: ChatBody = serde_json::from_value(chat)?;
    chat.unfit = unfit.map(Violation::from);
    chat.responses = Some(request);
    Ok(chat)
}

fn items(input: Option<Input>) -> Vec<Value> {
    match input {
        None => Vec::new(),
        Some(Input::Items(items)) => items,
        Some(Input::Text(text)) => vec![json!({
            "type": "message",
            "role": "user",
            "content": [{ "type": "input_text", "text": text }],
        })],
    }
}
