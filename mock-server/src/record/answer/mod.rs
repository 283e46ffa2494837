//! What a model said, read from its answer: one document, or a stream put together again.
//!
//! Only whole answers and errors are read, and what was said before an error. A recording with
//! an empty or truncated answer in it would be replayed for years before anybody wonders.

mod anthropic;
mod chat;
mod refusal;
mod responses;

pub(crate) use responses::response;

use serde::de::DeserializeOwned;

use crate::llm::{Dialect, ErrorMoment, Fault, FinishReason, ScriptedUsage, StreamError};
use crate::record::exchange::Received;
use crate::record::pace::Pace;
use crate::record::secrets::Secrets;
use crate::record::unfit::Unfit;

/// An answer of a model, in no dialect.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) content: Option<String>,
    pub(crate) reasoning: Option<String>,
    pub(crate) calls: Vec<Called>,
    /// None if the stream ended well and gave no reason.
    pub(crate) finish_reason: Option<FinishReason>,
    pub(crate) usage: Option<ScriptedUsage>,
    /// Of a stream.
    pub(crate) pace: Option<Pace>,
    /// What went wrong: instead of an answer, or behind what was said of it.
    pub(crate) fault: Option<Fault>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Called {
    pub(crate) name: String,
    pub(crate) arguments: String,
}

impl Answer {
    pub(crate) fn read(dialect: Dialect, received: &Received) -> Result<Self, Unfit> {
        check_encoding(received)?;
        if received.status >= 400 {
            return Ok(Self::broken(refusal::refusal(dialect, received)));
        }
        if received.body.trim().is_empty() {
            return Err(Unfit::Empty);
        }
        if !received.is_stream()
            && let Some(fault) = refusal::in_document(dialect, received)
        {
            return Ok(Self::broken(fault));
        }
        match dialect {
            Dialect::Anthropic => anthropic::read(received),
            Dialect::Responses => responses::read(received),
            Dialect::OpenAi | Dialect::OpenRouter | Dialect::Moonshot | Dialect::Kimi => {
                chat::read(dialect, received)
            }
        }
    }

    fn broken(fault: Fault) -> Self {
        Self {
            fault: Some(fault),
            ..Self::default()
        }
    }

    /// As far as it came before this error. An error that comes before a word is all there is.
    fn ending_in(self, error: StreamError) -> Result<Self, Unfit> {
        if error.after != ErrorMoment::Said {
            return Ok(Self::broken(Fault::Error(error)));
        }
        self.check_calls()?;
        Ok(Self {
            fault: Some(Fault::Error(error)),
            ..self
        })
    }

    /// Whether something is said, though it may go wrong behind that.
    pub(crate) fn is_begun(&self) -> bool {
        self.content.is_some() || self.reasoning.is_some() || !self.calls.is_empty()
    }

    fn check_calls(&self) -> Result<(), Unfit> {
        if self.calls.iter().any(|call| call.name.is_empty()) {
            return Err(Unfit::Unreadable("a call has no name".to_owned()));
        }
        Ok(())
    }

    /// As it is, if a script can say it.
    fn whole(self) -> Result<Self, Unfit> {
        self.check_calls()?;
        // Who was filtered says nothing, and means it.
        let is_filtered = self.finish_reason == Some(FinishReason::ContentFilter);
        let is_whole = self.is_begun() || is_filtered;
        is_whole.then_some(self).ok_or(Unfit::Empty)
    }

    pub(crate) fn masked(self, secrets: &Secrets) -> Self {
        let masked = |text: String| secrets.masked(&text);
        let calls = self.calls.into_iter();
        Self {
            content: self.content.map(masked),
            reasoning: self.reasoning.map(masked),
            calls: calls.map(|call| call.masked(secrets)).collect(),
            fault: self.fault.map(|fault| refusal::masked(fault, secrets)),
            ..self
        }
    }

    /// Whether both say the same; what it cost and how long it took may differ.
    pub(crate) fn says_as(&self, other: &Self) -> bool {
        let said = |answer: &Self| Self {
            usage: None,
            pace: None,
            ..answer.clone()
        };
        said(self) == said(other)
    }
}

impl Called {
    fn masked(self, secrets: &Secrets) -> Self {
        Self {
            arguments: secrets.masked_document(&self.arguments),
            name: self.name,
        }
    }
}

fn check_encoding(received: &Received) -> Result<(), Unfit> {
    match received.headers.get("content-encoding") {
        Some(encoding) if encoding != "identity" => Err(Unfit::Encoded(encoding.clone())),
        Some(_) | None => Ok(()),
    }
}

fn document<T: DeserializeOwned>(text: &str) -> Result<T, Unfit> {
    serde_json::from_str(text).map_err(|fault| Unfit::Unreadable(fault.to_string()))
}

fn append(text: &mut Option<String>, more: Option<String>) -> bool {
    let Some(more) = more.filter(|more| !more.is_empty()) else {
        return false;
    };
    text.get_or_insert_default().push_str(&more);
    true
}
