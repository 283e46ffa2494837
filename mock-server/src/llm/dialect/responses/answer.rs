//! The whole answer as one document: a response, and the items that it is made of.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::llm::dialect::Dialect;
use crate::llm::dialect::responses::Echo;
use crate::llm::score::lines::{Call, Reply, Usage};
use crate::llm::script::turn::FinishReason;

/// The whole answer.
pub(crate) fn document(reply: &Reply) -> serde_json::Result<Bytes> {
    serde_json::to_vec(&Response::ended(reply)).map(Bytes::from)
}

/// What the model said, item by item.
pub(super) fn output(reply: &Reply) -> Vec<Value> {
    let items = Item::all(reply).into_iter();
    items.map(|item| json!(item)).collect()
}

/// Why an answer failed.
#[derive(Debug, Serialize)]
struct Failure<'a> {
    code: &'a str,
    message: &'a str,
}

fn failure<'a>(code: &'a str, message: &'a str) -> Failure<'a> {
    Failure { code, message }
}

#[derive(Debug, Serialize)]
pub(super) struct Response<'a> {
    id: String,
    object: &'static str,
    created_at: i64,
    status: &'static str,
    background: bool,
    completed_at: Option<i64>,
    error: Option<Failure<'a>>,
    incomplete_details: Option<Incomplete>,
    model: &'a str,
    output: Vec<Item<'a>>,
    usage: Option<UsageBody>,
    #[serde(flatten)]
    echo: Option<&'a Echo>,
}

/// Why an answer stopped before its end.
#[derive(Debug, Serialize)]
struct Incomplete {
    reason: &'static str,
}

impl<'a> Response<'a> {
    /// Of which nothing has been said.
    pub(super) fn begun(reply: &'a Reply) -> Self {
        Self {
            id: Dialect::Responses.response_id(reply.created, &reply.letters),
            object: "response",
            created_at: reply.created,
            status: "in_progress",
            background: false,
            completed_at: None,
            error: None,
            incomplete_details: None,
            model: &reply.model,
            output: Vec::new(),
            usage: None,
            echo: reply.echo.as_deref(),
        }
    }

    /// Of which something may have been said, and the rest never will be.
    pub(super) fn failed(reply: &'a Reply, code: &'a str, message: &'a str) -> Self {
        Self {
            status: "failed",
            error: Some(failure(code, message)),
            ..Self::begun(reply)
        }
    }

    /// Of which all has been said.
    pub(super) fn ended(reply: &'a Reply) -> Self {
        let end = End::of(reply.finish_reason);
        let incomplete = end.incomplete();
        Self {
            status: end.status(),
            completed_at: (end == End::Completed).then_some(reply.created),
            error: (end == End::Failed)
                .then(|| failure("server_error", "The model failed to generate a response.")),
            incomplete_details: incomplete.map(|reason| Incomplete { reason }),
            output: Item::all(reply),
            usage: Some(UsageBody::new(reply.usage)),
            ..Self::begun(reply)
        }
    }
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Completed,
    TooLong,
    Filtered,
    Failed,
}

impl End {
    pub(super) fn of(reason: FinishReason) -> Self {
        match reason {
            FinishReason::Stop | FinishReason::ToolCalls => Self::Completed,
            FinishReason::Length => Self::TooLong,
            FinishReason::ContentFilter => Self::Filtered,
            FinishReason::Error => Self::Failed,
        }
    }

    pub(super) fn event(self) -> &'static str {
        match self {
            Self::Completed => "response.completed",
            Self::TooLong | Self::Filtered => "response.incomplete",
            Self::Failed => "response.failed",
        }
    }

    fn status(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::TooLong | Self::Filtered => "incomplete",
            Self::Failed => "failed",
        }
    }

    fn incomplete(self) -> Option<&'static str> {
        match self {
            Self::TooLong => Some("max_output_tokens"),
            Self::Filtered => Some("content_filter"),
            Self::Completed | Self::Failed => None,
        }
    }
}

/// A part of an answer.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item<'a> {
    Reasoning {
        id: String,
        summary: Vec<Part<'a>>,
    },
    Message {
        id: String,
        status: &'static str,
        role: &'static str,
        content: Vec<Part<'a>>,
    },
    FunctionCall {
        id: String,
        status: &'static str,
        arguments: &'a str,
        call_id: &'a str,
        name: &'a str,
    },
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Part<'a> {
    SummaryText {
        text: &'a str,
    },
    OutputText {
        text: &'a str,
        annotations: [(); 0],
        logprobs: [(); 0],
    },
}

impl<'a> Part<'a> {
    pub(super) fn output(text: &'a str) -> Self {
        Self::OutputText {
            text,
            annotations: [],
            logprobs: [],
        }
    }
}

impl<'a> Item<'a> {
    fn all(reply: &'a Reply) -> Vec<Self> {
        let said = |text: &&str| !text.is_empty();
        let reasoning = reply.reasoning.as_deref().filter(said);
        let reasoning =
            reasoning.map(|text| Self::reasoning(reply, vec![Part::SummaryText { text }]));
        let content = reply.content.as_deref().filter(said);
        let message = content
            .map(|text| Self::message(reply, message_status(reply), vec![Part::output(text)]));
        let calls = reply.calls.iter().enumerate();
        let calls = calls.map(|(place, call)| Self::call(reply, place, call, true));
        reasoning.into_iter().chain(message).chain(calls).collect()
    }

    pub(super) fn reasoning(reply: &Reply, summary: Vec<Part<'a>>) -> Self {
        Self::Reasoning {
            id: format!("rs_{}", reply.letters),
            summary,
        }
    }

    pub(super) fn message(reply: &Reply, status: &'static str, content: Vec<Part<'a>>) -> Self {
        Self::Message {
            id: format!("msg_{}", reply.letters),
            status,
            role: "assistant",
            content,
        }
    }

    pub(super) fn call(reply: &Reply, place: usize, call: &'a Call, is_done: bool) -> Self {
        Self::FunctionCall {
            id: format!("fc_{}{place}", reply.letters),
            status: if is_done { "completed" } else { "in_progress" },
            arguments: if is_done { &call.arguments } else { "" },
            call_id: &call.id,
            name: &call.name,
        }
    }

    pub(super) fn id(&self) -> &str {
        match self {
            Self::Reasoning { id, .. }
            | Self::Message { id, .. }
            | Self::FunctionCall { id, .. } => id,
        }
    }
}

/// An answer that was cut off breaks in its text.
pub(super) fn message_status(reply: &Reply) -> &'static str {
    match End::of(reply.finish_reason) {
        End::Completed => "completed",
        End::TooLong | End::Filtered | End::Failed => "incomplete",
    }
}

#[derive(Debug, Serialize)]
struct UsageBody {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Debug, Serialize)]
struct InputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Debug, Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

impl UsageBody {
    fn new(usage: Usage) -> Self {
        Self {
            input_tokens: usage.prompt,
            input_tokens_details: InputDetails {
                cached_tokens: usage.cached,
                cache_write_tokens: 0,
            },
            output_tokens: usage.completion,
            output_tokens_details: OutputDetails {
                reasoning_tokens: usage.reasoning,
            },
            total_tokens: usage.prompt.saturating_add(usage.completion),
        }
    }
}
