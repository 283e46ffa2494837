//! OpenAI's responses: the items of one document, with which a stream ends too. Where it ends
//! in an error, they are what its events have told.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::refusal::{late, read_json};
use super::{Answer, Called, append, document};
use crate::llm::{Dialect, ErrorEvent, FinishReason, ScriptedUsage, StreamError};
use crate::record::exchange::Received;
use crate::record::pace::Pace;
use crate::record::sse;
use crate::record::unfit::Unfit;

#[derive(Debug, Deserialize)]
struct Response {
    status: Option<String>,
    incomplete_details: Option<Incomplete>,
    #[serde(default)]
    output: Vec<Item>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item {
    Reasoning {
        #[serde(default)]
        summary: Vec<Part>,
    },
    Message {
        #[serde(default)]
        content: Vec<Part>,
    },
    FunctionCall {
        name: String,
        arguments: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part {
    SummaryText {
        text: String,
    },
    OutputText {
        text: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Usage {
    input_tokens: u64,
    output_tokens: u64,
    input_tokens_details: Option<Details>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Details {
    cached_tokens: Option<u64>,
}

/// What a stream tells of itself.
#[derive(Debug, Deserialize)]
struct Event {
    r#type: String,
    response: Option<Response>,
    /// The place of the item that is told of.
    output_index: Option<usize>,
    item: Option<Item>,
    delta: Option<Value>,
}

pub(super) fn read(received: &Received) -> Result<Answer, Unfit> {
    if !received.is_stream() {
        return answer(document(&received.body)?);
    }
    let mut spoken = Vec::new();
    let mut begun = Begun::default();
    for frame in sse::frames(&received.body) {
        let Some(data) = frame.data.as_deref().filter(|data| *data != sse::DONE) else {
            continue;
        };
        let mut event: Event = document(data)?;
        let pace = || Pace::of(&spoken, &received.arrivals);
        match (event.r#type.as_str(), event.response.take()) {
            ("error" | "response.failed", response) => {
                let told = match response {
                    Some(response) => response.error.unwrap_or(Value::Null),
                    None => document(data)?,
                };
                let error = failure(&event.r#type, &told, !spoken.is_empty());
                let answer = Answer {
                    pace: pace(),
                    ..begun.answer()?
                };
                return answer.ending_in(error);
            }
            ("response.completed" | "response.incomplete", Some(response)) => {
                let answer = answer(response)?;
                return Ok(Answer {
                    pace: pace(),
                    ..answer
                });
            }
            _ => {}
        }
        if begun.hear(event) {
            spoken.push(frame.end);
        }
    }
    Err(Unfit::Truncated)
}

/// The response that a client may go on from by its id: the whole document, which a stream
/// has at its end.
pub(crate) fn response(dialect: Dialect, received: &Received) -> Option<Value> {
    if dialect != Dialect::Responses || received.status >= 400 {
        return None;
    }
    if !received.is_stream() {
        return read_json(&received.body);
    }
    let frames = sse::frames(&received.body).into_iter();
    let mut events = frames.filter_map(|frame| read_json(&frame.data?));
    let mut last = events.find(|event| {
        let kind = event["type"].as_str();
        kind.is_some_and(|kind| ["response.completed", "response.incomplete"].contains(&kind))
    })?;
    Some(last["response"].take())
}

/// The error in which a stream ends, in the event of this type.
fn failure(event: &str, told: &Value, has_spoken: bool) -> StreamError {
    // It stands in its event as it is, or as what the answer of a request would be.
    let inner = told.get("error").filter(|error| error.is_object());
    let mut error = late(Dialect::Responses, inner.unwrap_or(told), has_spoken);
    // The type is that of the event, or a family; what is wrong stands beside it.
    let code = told["code"].as_str().or(told["error"]["code"].as_str());
    if code.is_some() || inner.is_none() {
        error.error_type = code.map(str::to_owned);
    }
    if event == "response.failed" {
        error.event = ErrorEvent::ResponseFailed;
    }
    error
}

/// The items as far as they were told, by their place.
#[derive(Debug, Default)]
struct Begun {
    items: BTreeMap<usize, (Item, String)>,
}

impl Begun {
    /// Returns whether the event says something.
    fn hear(&mut self, event: Event) -> bool {
        let place = event.output_index.unwrap_or(0);
        if event.r#type == "response.output_item.added"
            && let Some(item) = event.item
        {
            let is_call = matches!(item, Item::FunctionCall { .. });
            self.items.insert(place, (item, String::new()));
            return is_call;
        }
        if !event.r#type.ends_with(".delta") {
            return false;
        }
        if let Some(Value::String(delta)) = event.delta
            && let Some((_, said)) = self.items.get_mut(&place)
        {
            said.push_str(&delta);
        }
        true
    }

    fn answer(self) -> Result<Answer, Unfit> {
        let mut answer = Answer::default();
        for (item, said) in self.items.into_values() {
            let item = match item {
                Item::Reasoning { .. } => Item::Reasoning {
                    summary: vec![Part::SummaryText { text: said }],
                },
                Item::Message { .. } => Item::Message {
                    content: vec![Part::OutputText { text: said }],
                },
                Item::FunctionCall { name, .. } => Item::FunctionCall {
                    name,
                    arguments: said,
                },
                Item::Other => Item::Other,
            };
            take(&mut answer, item)?;
        }
        Ok(answer)
    }
}

fn answer(response: Response) -> Result<Answer, Unfit> {
    let finish_reason = finish_reason(&response)?;
    let mut answer = Answer {
        finish_reason,
        usage: response.usage.map(Usage::scripted),
        ..Answer::default()
    };
    for item in response.output {
        take(&mut answer, item)?;
    }
    answer.whole()
}

fn take(answer: &mut Answer, item: Item) -> Result<(), Unfit> {
    let unsayable = |what: &str| Err(Unfit::Unsayable(what.to_owned()));
    let parts = match item {
        Item::FunctionCall { name, arguments } => {
            answer.calls.push(Called { name, arguments });
            return Ok(());
        }
        Item::Reasoning { summary: parts } | Item::Message { content: parts } => parts,
        Item::Other => return unsayable("an item that is no message, thought or call"),
    };
    for part in parts {
        match part {
            Part::SummaryText { text } => append(&mut answer.reasoning, Some(text)),
            Part::OutputText { text } => append(&mut answer.content, Some(text)),
            Part::Other => return unsayable("a part of a message that is no text"),
        };
    }
    Ok(())
}

fn finish_reason(response: &Response) -> Result<Option<FinishReason>, Unfit> {
    let incomplete = response.incomplete_details.as_ref();
    let reason = incomplete.and_then(|incomplete| incomplete.reason.as_deref());
    match (response.status.as_deref(), reason) {
        (Some("completed") | None, _) => Ok(None),
        (Some("incomplete"), Some("max_output_tokens")) => Ok(Some(FinishReason::Length)),
        (Some("incomplete"), Some("content_filter")) => Ok(Some(FinishReason::ContentFilter)),
        (Some(status), reason) => {
            let reason = reason.map_or_else(String::new, |reason| format!(", {reason}"));
            Err(Unfit::FinishReason(format!("{status}{reason}")))
        }
    }
}

impl Usage {
    fn scripted(self) -> ScriptedUsage {
        let details = self.input_tokens_details;
        let cached = details.and_then(|details| details.cached_tokens);
        ScriptedUsage {
            prompt_tokens: self.input_tokens,
            completion_tokens: self.output_tokens,
            cached_tokens: cached.unwrap_or(0),
        }
    }
}
