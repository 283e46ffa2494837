//! An answer as it grows: frames in, one whole answer out, or the reason there is none.
//!
//! Plain code over plain data. Waiting, and giving up on waiting, is the client's.

use std::ops::ControlFlow;

use agent_protocol::{AgentErrorKind, Usage};
use serde_json::Value;

use super::refusal::judge_body;
use super::sse::SseDecoder;
use super::trouble::Trouble;
use super::wire::{CallFragment, Chunk, Delta, ErrorBody};

/// Far more than any model writes; an endpoint that sends more is not one.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// What the model said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub text: String,
    pub reasoning: String,
    pub calls: Vec<RequestedCall>,
    pub usage: Option<Usage>,
    /// The model's output limit ended the answer, not the model.
    pub cut_off: bool,
}

/// A tool call as the model wrote it; nothing in it is checked yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestedCall {
    pub id: String,
    pub name: String,
    pub arguments: String,
}

/// What the last piece brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Comments and empty frames: the line is alive, the model may not be.
    Nothing,
    Something,
    /// The model has finished; only its usage may follow.
    Finished,
}

/// Reads the body of a response, whichever of its two forms it has.
#[derive(Debug, Default)]
pub(super) struct AnswerReader {
    body: Body,
    taken: usize,
    draft: Draft,
}

#[derive(Debug, Default)]
enum Body {
    /// Only blanks so far: OpenRouter keeps a slow JSON answer alive with them.
    #[default]
    Unknown,
    Stream(SseDecoder),
    Whole(Vec<u8>),
}

#[derive(Debug, Default)]
struct Draft {
    answer: Answer,
    /// The index each call was opened with, in the order of `answer.calls`.
    indices: Vec<Option<u64>>,
    finish: Option<Finish>,
    done: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finish {
    Stop,
    ToolCalls,
    Length,
}

impl AnswerReader {
    /// Takes the next piece of the body. Breaks when nothing more need be read.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<ControlFlow<(), Progress>, Trouble> {
        self.taken += piece.len();
        if self.taken > MOST_BYTES {
            return Err(Trouble::lasting(
                AgentErrorKind::Protocol,
                format!("the model's answer is longer than {MOST_BYTES} bytes"),
            ));
        }
        let mut progress = Progress::Nothing;
        match self.body.form(piece)? {
            Body::Unknown => {}
            Body::Whole(body) => {
                body.extend_from_slice(piece);
                progress = Progress::Something;
            }
            Body::Stream(decoder) => {
                for event in decoder.push(piece) {
                    if self.draft.take(&event)? {
                        progress = Progress::Something;
                    }
                }
            }
        }
        Ok(match self.draft {
            Draft { done: true, .. } => ControlFlow::Break(()),
            Draft {
                finish: Some(_), ..
            } => ControlFlow::Continue(Progress::Finished),
            Draft { finish: None, .. } => ControlFlow::Continue(progress),
        })
    }

    /// The answer, once nothing more will come; `broken` says why nothing will, if not because
    /// the body has ended.
    pub(super) fn finish(mut self, broken: Option<Trouble>) -> Result<Answer, Trouble> {
        match self.body {
            Body::Unknown => {}
            Body::Whole(body) => return self.draft.take_whole(&body, broken),
            Body::Stream(decoder) => {
                if let Some(event) = decoder.finish().filter(|_| broken.is_none()) {
                    self.draft.take(&event)?;
                }
            }
        }
        self.draft.finish(broken)
    }
}

impl Body {
    /// Decides the form by the first byte that is not blank; headers are wrong too often.
    fn form(&mut self, piece: &[u8]) -> Result<&mut Self, Trouble> {
        if let Self::Unknown = self {
            match piece.trim_ascii_start().first() {
                None => {}
                Some(b'{') => *self = Self::Whole(Vec::new()),
                Some(b'<') => {
                    return Err(Trouble::lasting(
                        AgentErrorKind::Protocol,
                        "the model's endpoint answered with a web page: check the base URL",
                    ));
                }
                Some(_) => *self = Self::Stream(SseDecoder::default()),
            }
        }
        Ok(self)
    }
}

impl Draft {
    /// Takes one event; true when it brought something.
    fn take(&mut self, event: &str) -> Result<bool, Trouble> {
        match event.trim() {
            "[DONE]" => {
                self.done = true;
                return Ok(true);
            }
            "" => return Ok(false),
            _ => {}
        }
        let chunk = serde_json::from_str(event).map_err(|error| unreadable(&error))?;
        self.take_chunk(chunk)
    }

    /// Takes a body that is not a stream, though one was asked for.
    fn take_whole(mut self, body: &[u8], broken: Option<Trouble>) -> Result<Answer, Trouble> {
        let chunk: Chunk = match (serde_json::from_slice(body), broken) {
            (Ok(chunk), _) => chunk,
            // A body that broke off does not parse; that it broke off is the better reason.
            (Err(_), Some(broken)) => return Err(broken),
            (Err(error), None) => return Err(unreadable(&error)),
        };
        if chunk.choices.is_none() && chunk.error.is_none() {
            return Err(Trouble::lasting(
                AgentErrorKind::Protocol,
                "the model's endpoint answered with JSON that is no completion: check the base URL",
            ));
        }
        self.take_chunk(chunk)?;
        self.done = true;
        self.finish(None)
    }

    fn take_chunk(&mut self, chunk: Chunk) -> Result<bool, Trouble> {
        if let Some(error) = chunk.error {
            return Err(judge_body(&error.into()));
        }
        let mut useful = false;
        if let Some(usage) = chunk.usage {
            self.answer.usage = Some(usage.into());
            useful = true;
        }
        for choice in chunk.choices.unwrap_or_default() {
            if let Some(error) = choice.error {
                return Err(judge_body(&error.into()));
            }
            if let Some(usage) = choice.usage {
                self.answer.usage = Some(usage.into());
            }
            if let Some(delta) = choice.delta {
                useful |= self.take_delta(delta);
            }
            // Some providers send an empty reason until they have one.
            if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
                self.finish = Some(finish(&reason)?);
                useful = true;
            }
        }
        Ok(useful)
    }

    fn take_delta(&mut self, delta: Delta) -> bool {
        let text = delta.content.unwrap_or_default();
        // A provider that has both fields sends the same thought in both.
        let thought = delta.reasoning_content.or(delta.reasoning);
        let thought = thought.unwrap_or_default();
        let fragments = delta.tool_calls.unwrap_or_default();
        let useful = !(text.is_empty() && thought.is_empty() && fragments.is_empty());
        self.answer.text.push_str(&text);
        self.answer.reasoning.push_str(&thought);
        for fragment in fragments {
            self.take_fragment(fragment);
        }
        useful
    }

    fn take_fragment(&mut self, fragment: CallFragment) {
        let id = fragment.id.unwrap_or_default();
        let at = self.call_at(fragment.index, &id).unwrap_or_else(|| {
            self.answer.calls.push(RequestedCall::default());
            self.indices.push(fragment.index);
            self.answer.calls.len() - 1
        });
        let call = &mut self.answer.calls[at];
        if call.id.is_empty() {
            call.id = id;
        }
        let Some(function) = fragment.function else {
            return;
        };
        // Some providers repeat the name in every fragment.
        if let Some(name) = function.name.filter(|_| call.name.is_empty()) {
            call.name = name;
        }
        match function.arguments {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => call.arguments.push_str(&text),
            Some(value) => call.arguments.push_str(&value.to_string()),
        }
    }

    /// The open call a fragment continues: the latest with its index, or the latest of all when
    /// it has none, unless it brings an id that says otherwise.
    fn call_at(&self, index: Option<u64>, id: &str) -> Option<usize> {
        let mut calls = self
            .answer
            .calls
            .iter()
            .zip(&self.indices)
            .enumerate()
            .rev();
        let (at, (call, _)) =
            calls.find(|(_, (_, opened))| index.is_none() || **opened == index)?;
        let is_another = !id.is_empty() && !call.id.is_empty() && call.id != id;
        (!is_another).then_some(at)
    }

    fn finish(mut self, broken: Option<Trouble>) -> Result<Answer, Trouble> {
        let said_something = self.answer != Answer::default();
        match (self.finish, self.done && said_something, broken) {
            (Some(Finish::Length), _, _) => self.answer.cut_off = true,
            (Some(Finish::ToolCalls), _, _) if self.answer.calls.is_empty() => {
                return Err(Trouble::passing(
                    AgentErrorKind::Protocol,
                    "the model's answer announces a tool call and holds none",
                ));
            }
            (Some(Finish::Stop | Finish::ToolCalls), _, _) | (None, true, _) => {}
            (None, false, Some(broken)) => return Err(broken),
            (None, false, None) => {
                let message = if said_something {
                    "the model's answer broke off before its end"
                } else {
                    "the model's answer is empty"
                };
                return Err(Trouble::passing(AgentErrorKind::Network, message));
            }
        }
        name_calls(&mut self.answer.calls);
        Ok(self.answer)
    }
}

/// Gives every call an id of its own: results are matched to calls by it.
fn name_calls(calls: &mut [RequestedCall]) {
    for at in 0..calls.len() {
        let (before, rest) = calls.split_at_mut(at);
        let Some(call) = rest.first_mut() else {
            continue;
        };
        let taken = |id: &str| before.iter().any(|earlier| earlier.id == id);
        if call.id.is_empty() || taken(&call.id) {
            let stem = if call.id.is_empty() { "call" } else { &call.id };
            let mut number = at;
            while taken(&format!("{stem}_{number}")) {
                number += 1;
            }
            call.id = format!("{stem}_{number}");
        }
    }
}

fn finish(reason: &str) -> Result<Finish, Trouble> {
    // Some providers pass their own spelling on, such as `STOP`.
    match reason.to_ascii_lowercase().as_str() {
        "stop" => Ok(Finish::Stop),
        "tool_calls" | "function_call" => Ok(Finish::ToolCalls),
        "length" => Ok(Finish::Length),
        "content_filter" => Err(Trouble::lasting(
            AgentErrorKind::ContentFilter,
            "the model's provider withheld the answer (content filter)",
        )),
        "error" => Err(judge_body(&ErrorBody {
            message: Some("the answer ended with finish reason `error`".to_owned()),
            ..ErrorBody::default()
        })),
        _other => Err(Trouble::lasting(
            AgentErrorKind::Protocol,
            format!("the model's endpoint ended the answer for an unknown reason, `{reason}`"),
        )),
    }
}

fn unreadable(error: &serde_json::Error) -> Trouble {
    // Damage on the way is more likely than an endpoint that cannot write JSON.
    Trouble::passing(
        AgentErrorKind::Protocol,
        format!("the model's endpoint sent a frame that cannot be read: {error}"),
    )
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
