//! Chat completions, of OpenAI's and of all who speak like it: one document, or chunks.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::refusal::late;
use super::{Answer, Called, append, document};
use crate::llm::{Dialect, FinishReason, ScriptedUsage};
use crate::record::exchange::Received;
use crate::record::pace::Pace;
use crate::record::sse::{self, Frame};
use crate::record::unfit::Unfit;

/// No model makes so many calls at once.
const TOO_MANY_CALLS: usize = 128;

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

pub(super) fn read(dialect: Dialect, received: &Received) -> Result<Answer, Unfit> {
    if received.is_stream() {
        return streamed(dialect, received);
    }
    let mut heard = Heard::default();
    heard.take(document(&received.body)?)?;
    heard.answer()?.whole()
}

fn streamed(dialect: Dialect, received: &Received) -> Result<Answer, Unfit> {
    let frames = sse::frames(&received.body);
    let mut heard = Heard::default();
    // Where the frames end that say something.
    let mut spoken = Vec::new();
    for frame in frames.iter().filter(|frame| !frame.is_done()) {
        let Some(data) = &frame.data else { continue };
        let body: Body = document(data)?;
        if let Some(error) = body.error {
            // The reason that comes with it is the error.
            heard.finish_reason = None;
            let pace = Pace::of(&spoken, &received.arrivals);
            let answer = Answer {
                pace,
                ..heard.answer()?
            };
            return answer.ending_in(late(dialect, &error, !spoken.is_empty()));
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
    let pace = Pace::of(&spoken, &received.arrivals);
    let answer = heard.answer()?.whole()?;
    Ok(Answer { pace, ..answer })
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

    fn answer(self) -> Result<Answer, Unfit> {
        let reason = self.finish_reason.as_deref();
        Ok(Answer {
            content: self.said.content,
            reasoning: self.said.reasoning,
            calls: self.calls.into_values().collect(),
            finish_reason: reason.map(finish_reason).transpose()?,
            usage: self.usage.and_then(Usage::scripted),
            ..Answer::default()
        })
    }
}

fn finish_reason(word: &str) -> Result<FinishReason, Unfit> {
    let word = serde_json::Value::from(word);
    match FinishReason::deserialize(&word) {
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
    use crate::llm::{ErrorMoment, Fault, StreamError};

    fn read(content_type: &str, body: &str) -> Result<Answer, Unfit> {
        Answer::read(
            Dialect::OpenAi,
            &Received {
                status: 200,
                headers: [("content-type".to_owned(), content_type.to_owned())].into(),
                body: body.to_owned(),
                arrivals: Vec::new(),
            },
        )
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
    }

    #[test]
    fn an_answer_may_end_in_an_error_without_words() {
        let answer = stream(&[r#"{"content":"a"}"#], "error").unwrap();
        assert_eq!(answer.finish_reason, Some(FinishReason::Error));
        assert_eq!(answer.content.as_deref(), Some("a"));
    }

    #[test]
    fn what_was_said_before_an_error_stays_said() {
        let call = r#"{"tool_calls":[{"index":0,"function":{"name":"bash","arguments":"{\"c"}}]}"#;
        let said = ["{\"content\":\"a\"}", call];
        let said = said.map(|delta| format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n"));
        let error = r#"{"error":{"code":429,"message":"slow down"},"choices":[{"delta":{},"finish_reason":"error"}]}"#;
        let body = format!("{}data: {error}\n\n", said.concat());
        let answer = read("text/event-stream", &body).unwrap();
        assert_eq!(answer.content.as_deref(), Some("a"));
        assert_eq!(answer.calls[0].arguments, "{\"c");
        assert_eq!(answer.finish_reason, None);
        let fault = StreamError {
            after: ErrorMoment::Said,
            error_type: Some("rate_limit_exceeded".to_owned()),
            message: Some("slow down".to_owned()),
            ..StreamError::default()
        };
        assert_eq!(answer.fault, Some(Fault::Error(fault)));
    }
}
