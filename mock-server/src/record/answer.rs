//! What a model said, read from its answer: one document, or a stream put together again.
//!
//! Only whole answers are read. A recording with an empty or broken answer in it would be
//! replayed for years before anybody wonders.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::llm::{FinishReason, ScriptedUsage};
use crate::record::exchange::Received;
use crate::record::pace::Pace;
use crate::record::secrets::Secrets;
use crate::record::sse::{self, Frame};

/// No model makes so many calls at once.
const TOO_MANY_CALLS: usize = 128;

/// An answer of a model, in no dialect.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) content: Option<String>,
    pub(crate) reasoning: Option<String>,
    pub(crate) calls: Vec<Called>,
    /// None if the stream ended well and gave no reason.
    pub(crate) finish_reason: Option<FinishReason>,
    pub(crate) usage: Option<ScriptedUsage>,
    /// Of a stream.
    pub(crate) pace: Option<Pace>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Called {
    pub(crate) name: String,
    pub(crate) arguments: String,
}

/// Why an answer is not recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("the upstream cannot be reached: {0}")]
    Unreachable(String),
    #[error("the answer is an error, status {0}; errors are not recorded yet")]
    Status(u16),
    #[error("the answer is an error with status 200: {0}; errors are not recorded yet")]
    ErrorBody(String),
    #[error("the stream ends in an error: {0}; errors are not recorded yet")]
    ErrorInStream(String),
    #[error("the answer was cut off: {0}")]
    Cut(String),
    #[error("the answer is empty")]
    Empty,
    #[error("the stream is truncated: no finish_reason, and no [DONE]")]
    Truncated,
    #[error("the answer is encoded as `{0}`, although the recorder asked for plain text")]
    Encoded(String),
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
    #[error("a script cannot say the finish_reason `{0}`")]
    FinishReason(String),
    #[error("only chat/completions are recorded so far")]
    Dialect,
    #[error("the request is none that a mock would take: {0}")]
    Request(String),
    #[error("the request was cut off, or is too large: {0}")]
    RequestCut(String),
}

/// A document, or one chunk of a stream.
#[derive(Debug, Deserialize)]
struct Body {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
    error: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default)]
    index: usize,
    #[serde(alias = "delta")]
    message: Option<Said>,
    finish_reason: Option<String>,
    usage: Option<Usage>,
}

#[derive(Debug, Default, Deserialize)]
struct Said {
    content: Option<String>,
    reasoning: Option<String>,
    /// What OpenRouter calls `reasoning`; some send both.
    reasoning_content: Option<String>,
    tool_calls: Option<Vec<Call>>,
}

#[derive(Debug, Deserialize)]
struct Call {
    index: Option<usize>,
    #[serde(default)]
    function: Function,
}

#[derive(Debug, Default, Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    cached_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Details {
    cached_tokens: Option<u64>,
}

impl Answer {
    pub(crate) fn read(received: &Received) -> Result<Self, Unfit> {
        check_readable(received)?;
        if received.is_stream() {
            return streamed(received);
        }
        let body = document(&received.body)?;
        if let Some(error) = body.error {
            return Err(Unfit::ErrorBody(crate::text::shorten(
                &error.to_string(),
                120,
            )));
        }
        let mut heard = Heard::default();
        heard.take(body)?;
        heard.answer(None)
    }

    pub(crate) fn masked(self, secrets: &Secrets) -> Self {
        let masked = |text: String| secrets.masked(&text);
        let calls = self.calls.into_iter();
        Self {
            content: self.content.map(masked),
            reasoning: self.reasoning.map(masked),
            calls: calls.map(|call| call.masked(secrets)).collect(),
            ..self
        }
    }

    /// Whether both say the same; what it cost and how long it took may differ.
    pub(crate) fn says_as(&self, other: &Self) -> bool {
        (
            &self.content,
            &self.reasoning,
            &self.calls,
            self.finish_reason,
        ) == (
            &other.content,
            &other.reasoning,
            &other.calls,
            other.finish_reason,
        )
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

impl Unfit {
    /// What services and libraries say may quote a key.
    pub(crate) fn masked(self, secrets: &Secrets) -> Self {
        let masked = |text: String| secrets.masked(&text);
        match self {
            Self::Unreachable(text) => Self::Unreachable(masked(text)),
            Self::ErrorBody(text) => Self::ErrorBody(masked(text)),
            Self::ErrorInStream(text) => Self::ErrorInStream(masked(text)),
            Self::Cut(text) => Self::Cut(masked(text)),
            Self::Encoded(text) => Self::Encoded(masked(text)),
            Self::Unreadable(text) => Self::Unreadable(masked(text)),
            Self::FinishReason(text) => Self::FinishReason(masked(text)),
            Self::Request(text) => Self::Request(masked(text)),
            Self::RequestCut(text) => Self::RequestCut(masked(text)),
            Self::Status(_) | Self::Empty | Self::Truncated | Self::Dialect => self,
        }
    }
}

fn check_readable(received: &Received) -> Result<(), Unfit> {
    if received.status >= 400 {
        return Err(Unfit::Status(received.status));
    }
    if received.body.trim().is_empty() {
        return Err(Unfit::Empty);
    }
    match received.headers.get("content-encoding") {
        Some(encoding) if encoding != "identity" => Err(Unfit::Encoded(encoding.clone())),
        Some(_) | None => Ok(()),
    }
}

fn document(text: &str) -> Result<Body, Unfit> {
    serde_json::from_str(text).map_err(|fault| Unfit::Unreadable(fault.to_string()))
}

fn streamed(received: &Received) -> Result<Answer, Unfit> {
    let frames = sse::frames(&received.body);
    let mut heard = Heard::default();
    // Where the frames end that say something.
    let mut spoken = Vec::new();
    for frame in frames.iter().filter(|frame| !frame.is_done()) {
        let Some(data) = &frame.data else { continue };
        let body = document(data)?;
        if let Some(error) = body.error {
            return Err(Unfit::ErrorInStream(crate::text::shorten(
                &error.to_string(),
                120,
            )));
        }
        if heard.take(body)? {
            spoken.push(frame.end);
        }
    }
    if !heard.has_spoken {
        return Err(Unfit::Empty);
    }
    if heard.finish_reason.is_none() && !frames.iter().any(Frame::is_done) {
        return Err(Unfit::Truncated);
    }
    heard.answer(Pace::of(&spoken, &received.arrivals))
}

/// An answer as far as it was heard.
#[derive(Default)]
struct Heard {
    said: Said,
    /// By their index: some services count from 1.
    calls: BTreeMap<usize, Called>,
    finish_reason: Option<String>,
    usage: Option<Usage>,
    /// Whether there was any choice at all.
    has_spoken: bool,
}

impl Heard {
    /// Returns whether the body says something. Of several choices only the first counts.
    fn take(&mut self, body: Body) -> Result<bool, Unfit> {
        self.usage = body.usage.or(self.usage);
        let mut says = false;
        for choice in body.choices.into_iter().filter(|choice| choice.index == 0) {
            self.has_spoken = true;
            self.usage = choice.usage.or(self.usage);
            self.finish_reason = choice.finish_reason.or(self.finish_reason.take());
            if let Some(message) = choice.message {
                says |= self.hear(message)?;
            }
        }
        Ok(says)
    }

    fn hear(&mut self, said: Said) -> Result<bool, Unfit> {
        let calls = said.tool_calls.unwrap_or_default();
        let mut says = !calls.is_empty();
        says |= append(&mut self.said.content, said.content);
        let thought = said.reasoning.or(said.reasoning_content);
        says |= append(&mut self.said.reasoning, thought);
        for (place, call) in calls.into_iter().enumerate() {
            let place = call.index.unwrap_or(place);
            if place >= TOO_MANY_CALLS {
                let fault = format!("a call has the index {place}");
                return Err(Unfit::Unreadable(fault));
            }
            let called = self.calls.entry(place).or_default();
            // Some services repeat the name in each fragment.
            if called.name.is_empty() {
                called.name = call.function.name.unwrap_or_else(String::new);
            }
            called.arguments.extend(call.function.arguments);
        }
        Ok(says)
    }

    fn answer(self, pace: Option<Pace>) -> Result<Answer, Unfit> {
        let reason = self.finish_reason.as_deref();
        let answer = Answer {
            content: self.said.content,
            reasoning: self.said.reasoning,
            calls: self.calls.into_values().collect(),
            finish_reason: reason.map(finish_reason).transpose()?,
            usage: self.usage.and_then(Usage::scripted),
            pace,
        };
        if answer.calls.iter().any(|call| call.name.is_empty()) {
            return Err(Unfit::Unreadable("a call has no name".to_owned()));
        }
        let says = answer.content.is_some() || answer.reasoning.is_some();
        // Who was filtered says nothing, and means it.
        let is_filtered = answer.finish_reason == Some(FinishReason::ContentFilter);
        let is_whole = says || !answer.calls.is_empty() || is_filtered;
        is_whole.then_some(answer).ok_or(Unfit::Empty)
    }
}

fn append(text: &mut Option<String>, more: Option<String>) -> bool {
    let Some(more) = more.filter(|more| !more.is_empty()) else {
        return false;
    };
    text.get_or_insert_default().push_str(&more);
    true
}

fn finish_reason(word: &str) -> Result<FinishReason, Unfit> {
    let word = serde_json::Value::from(word);
    match FinishReason::deserialize(&word) {
        Ok(FinishReason::Error) => Err(Unfit::ErrorInStream("finish_reason `error`".to_owned())),
        Ok(reason) => Ok(reason),
        Err(_unknown) => Err(Unfit::FinishReason(
            word.as_str().unwrap_or_default().to_owned(),
        )),
    }
}

impl Usage {
    /// None if it does not tell both.
    fn scripted(self) -> Option<ScriptedUsage> {
        let details = self.prompt_tokens_details;
        let cached = details.and_then(|details| details.cached_tokens);
        Some(ScriptedUsage {
            prompt_tokens: self.prompt_tokens?,
            completion_tokens: self.completion_tokens?,
            cached_tokens: cached.or(self.cached_tokens).unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content_type: &str, body: &str) -> Result<Answer, Unfit> {
        Answer::read(&Received {
            status: 200,
            headers: [("content-type".to_owned(), content_type.to_owned())].into(),
            body: body.to_owned(),
            arrivals: Vec::new(),
        })
    }

    fn stream(deltas: &[&str], reason: &str) -> Result<Answer, Unfit> {
        let chunks = deltas.iter().map(|delta| format!(r#"{{"delta":{delta}}}"#));
        let end = format!(r#"{{"delta":{{}},"finish_reason":"{reason}"}}"#);
        let frames = chunks.chain([end]);
        let frames = frames.map(|choice| format!("data: {{\"choices\":[{choice}]}}\n\n"));
        read(
            "text/event-stream; charset=utf-8",
            &frames.collect::<String>(),
        )
    }

    #[test]
    fn calls_that_are_told_in_turns_are_put_together() {
        let call = |index: usize, name: &str, arguments: &str| {
            format!(
                r#"{{"tool_calls":[{{"index":{index},"function":{{"name":"{name}","arguments":"{arguments}"}}}}]}}"#
            )
        };
        let deltas = [
            call(0, "bash", "{"),
            call(1, "read", "["),
            call(0, "bash", "}"),
            r#"{"tool_calls":[{"index":1,"function":{"arguments":"]"}}]}"#.to_owned(),
        ];
        let deltas: Vec<_> = deltas.iter().map(String::as_str).collect();
        let answer = stream(&deltas, "tool_calls").unwrap();
        let called = |name: &str, arguments: &str| Called {
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        };
        assert_eq!(answer.calls, [called("bash", "{}"), called("read", "[]")]);
        assert_eq!(answer.finish_reason, Some(FinishReason::ToolCalls));
    }

    #[test]
    fn a_thought_is_heard_once_whatever_it_is_called() {
        for thought in [
            r#"{"reasoning":"hm","reasoning_content":"hm"}"#,
            r#"{"reasoning_content":"hm","content":""}"#,
        ] {
            let answer = stream(&[thought, r#"{"content":"yes"}"#], "stop").unwrap();
            assert_eq!(answer.reasoning.as_deref(), Some("hm"));
            assert_eq!(answer.content.as_deref(), Some("yes"));
        }
    }

    #[test]
    fn usage_is_taken_from_where_it_stands_if_it_is_whole() {
        #[track_caller]
        fn check(usage: &str, expected: Option<(u64, u64, u64)>) {
            let choice = r#"{"message":{"content":"hi"},"finish_reason":"stop"}"#;
            let body = format!(r#"{{"choices":[{choice}],"usage":{usage}}}"#);
            let usage = read("application/json", &body).unwrap().usage;
            let usage = usage.map(|usage| {
                let told = (usage.prompt_tokens, usage.completion_tokens);
                (told.0, told.1, usage.cached_tokens)
            });
            assert_eq!(usage, expected);
        }
        check("null", None);
        check(r#"{"total_tokens":3}"#, None);
        check(
            r#"{"prompt_tokens":1,"completion_tokens":2,"cached_tokens":1}"#,
            Some((1, 2, 1)),
        );
        check(
            r#"{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1}}"#,
            Some((1, 2, 1)),
        );
    }

    #[test]
    fn what_a_script_cannot_say_is_refused() {
        assert_eq!(
            stream(&[r#"{"content":"a"}"#], "function_call"),
            Err(Unfit::FinishReason("function_call".to_owned()))
        );
        assert!(matches!(
            stream(&[r#"{"content":"a"}"#], "error"),
            Err(Unfit::ErrorInStream(_))
        ));
    }
}
