//! OpenAI's responses: the items of one document, with which a stream ends too.

use serde::Deserialize;
use serde_json::Value;

use super::refusal::late;
use super::{Answer, Called, append, document};
use crate::llm::{FinishReason, ScriptedUsage};
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
}

pub(super) fn read(received: &Received) -> Result<Answer, Unfit> {
    if !received.is_stream() {
        return answer(document(&received.body)?);
    }
    let mut spoken = Vec::new();
    for frame in sse::frames(&received.body) {
        let Some(data) = frame.data.as_deref().filter(|data| *data != sse::DONE) else {
            continue;
        };
        let event: Event = document(data)?;
        match (event.r#type.as_str(), event.response) {
            ("error", _) => return late(&document(data)?, !spoken.is_empty()),
            ("response.failed", response) => {
                let error = response.and_then(|response| response.error);
                return late(&error.unwrap_or(Value::Null), !spoken.is_empty());
            }
            ("response.completed" | "response.incomplete", Some(response)) => {
                let pace = Pace::of(&spoken, &received.arrivals);
                let answer = answer(response)?;
                return Ok(Answer { pace, ..answer });
            }
            (other, _) if other.ends_with(".delta") => spoken.push(frame.end),
            _ => {}
        }
    }
    Err(Unfit::Truncated)
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
