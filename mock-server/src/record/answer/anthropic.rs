//! Anthropic's messages: blocks in one document, or event by event.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::refusal::late;
use super::{Answer, Called, append, document};
use crate::llm::{Dialect, FinishReason, ScriptedUsage};
use crate::record::exchange::Received;
use crate::record::pace::Pace;
use crate::record::sse;
use crate::record::unfit::Unfit;

/// The whole answer, and the beginning of a stream.
#[derive(Debug, Default, Deserialize)]
struct Message {
    #[serde(default)]
    content: Vec<Block>,
    stop_reason: Option<String>,
    usage: Option<Usage>,
}

/// A part of an answer, or the beginning of one.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        #[serde(default)]
        text: String,
    },
    Thinking {
        #[serde(default)]
        thinking: String,
    },
    ToolUse {
        name: String,
        #[serde(default)]
        input: Value,
    },
    #[serde(other)]
    Other,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Usage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Message,
    },
    ContentBlockStart {
        index: usize,
        content_block: Block,
    },
    ContentBlockDelta {
        index: usize,
        delta: Delta,
    },
    MessageDelta {
        delta: Ending,
        usage: Option<Usage>,
    },
    MessageStop,
    Error {
        error: Value,
    },
    /// The end of a block, and what keeps the line alive.
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: String },
    #[serde(rename = "input_json_delta")]
    Input { partial_json: String },
    /// A signature, or the place of a quotation.
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Ending {
    stop_reason: Option<String>,
}

pub(super) fn read(received: &Received) -> Result<Answer, Unfit> {
    let mut heard = Heard::default();
    if !received.is_stream() {
        let message: Message = document(&received.body)?;
        heard.begin(&message);
        for (place, block) in message.content.into_iter().enumerate() {
            heard.block(place, block)?;
        }
        return heard.whole();
    }
    let mut spoken = Vec::new();
    for frame in sse::frames(&received.body) {
        let Some(data) = &frame.data else { continue };
        let event: Event = document(data)?;
        if let Event::Error { error } = event {
            let pace = Pace::of(&spoken, &received.arrivals);
            let answer = Answer {
                pace,
                ..heard.answer()?
            };
            return answer.ending_in(late(Dialect::Anthropic, &error, !spoken.is_empty()));
        }
        if heard.event(event)? {
            spoken.push(frame.end);
        }
    }
    if !heard.is_over {
        return Err(Unfit::Truncated);
    }
    let pace = Pace::of(&spoken, &received.arrivals);
    let answer = heard.whole()?;
    Ok(Answer { pace, ..answer })
}

/// An answer as far as it was heard.
#[derive(Default)]
struct Heard {
    content: Option<String>,
    reasoning: Option<String>,
    calls: BTreeMap<usize, Called>,
    stop_reason: Option<String>,
    usage: Usage,
    is_over: bool,
}

impl Heard {
    /// Returns whether something is said.
    fn event(&mut self, event: Event) -> Result<bool, Unfit> {
        match event {
            Event::MessageStart { message } => self.begin(&message),
            Event::ContentBlockStart {
                index,
                content_block,
            } => return self.block(index, content_block),
            Event::ContentBlockDelta { index, delta } => return self.delta(index, delta),
            Event::MessageDelta { delta, usage } => {
                self.stop_reason = delta.stop_reason.or(self.stop_reason.take());
                self.count(usage);
            }
            Event::MessageStop => self.is_over = true,
            Event::Error { .. } | Event::Other => {}
        }
        Ok(false)
    }

    fn begin(&mut self, message: &Message) {
        self.stop_reason.clone_from(&message.stop_reason);
        self.count(message.usage);
    }

    fn block(&mut self, place: usize, block: Block) -> Result<bool, Unfit> {
        Ok(match block {
            Block::Text { text } => append(&mut self.content, Some(text)),
            Block::Thinking { thinking } => append(&mut self.reasoning, Some(thinking)),
            Block::ToolUse { name, input } => {
                // In a stream the input begins as an empty object, and its text follows.
                let has_input = input.as_object().is_some_and(|input| !input.is_empty());
                let arguments = has_input.then(|| input.to_string());
                let arguments = arguments.unwrap_or_else(String::new);
                self.calls.insert(place, Called { name, arguments });
                true
            }
            Block::Other => {
                let fault = "a block that is no text, thought or use of a tool";
                return Err(Unfit::Unsayable(fault.to_owned()));
            }
        })
    }

    fn delta(&mut self, place: usize, delta: Delta) -> Result<bool, Unfit> {
        Ok(match delta {
            Delta::Text { text } => append(&mut self.content, Some(text)),
            Delta::Thinking { thinking } => append(&mut self.reasoning, Some(thinking)),
            Delta::Input { partial_json } => {
                let called = self.calls.get_mut(&place).ok_or_else(|| {
                    Unfit::Unreadable(format!("block {place} has an input and is no tool's"))
                })?;
                called.arguments.push_str(&partial_json);
                !partial_json.is_empty()
            }
            Delta::Other => false,
        })
    }

    /// What is told later replaces what was told before.
    fn count(&mut self, usage: Option<Usage>) {
        let told = usage.unwrap_or(Usage {
            input_tokens: None,
            output_tokens: None,
            cache_creation_input_tokens: None,
            cache_read_input_tokens: None,
        });
        let before = self.usage;
        self.usage = Usage {
            input_tokens: told.input_tokens.or(before.input_tokens),
            output_tokens: told.output_tokens.or(before.output_tokens),
            cache_creation_input_tokens: told
                .cache_creation_input_tokens
                .or(before.cache_creation_input_tokens),
            cache_read_input_tokens: told
                .cache_read_input_tokens
                .or(before.cache_read_input_tokens),
        };
    }

    /// The answer at its end: a call that was given nothing is one without arguments.
    fn whole(mut self) -> Result<Answer, Unfit> {
        let calls = self.calls.values_mut();
        for call in calls.filter(|call| call.arguments.is_empty()) {
            "{}".clone_into(&mut call.arguments);
        }
        self.answer()?.whole()
    }

    fn answer(self) -> Result<Answer, Unfit> {
        let calls = self.calls.into_values().collect();
        Ok(Answer {
            content: self.content,
            reasoning: self.reasoning,
            calls,
            finish_reason: self.stop_reason.as_deref().map(finish_reason).transpose()?,
            usage: self.usage.scripted(),
            ..Answer::default()
        })
    }
}

fn finish_reason(word: &str) -> Result<FinishReason, Unfit> {
    match word {
        "end_turn" => Ok(FinishReason::Stop),
        "tool_use" => Ok(FinishReason::ToolCalls),
        "max_tokens" => Ok(FinishReason::Length),
        "refusal" => Ok(FinishReason::ContentFilter),
        other => Err(Unfit::FinishReason(other.to_owned())),
    }
}

impl Usage {
    /// None if it does not tell both. What came from a cache, or went into one, is not
    /// counted among what was read.
    fn scripted(self) -> Option<ScriptedUsage> {
        let cached = self.cache_read_input_tokens.unwrap_or(0);
        let kept = self.cache_creation_input_tokens.unwrap_or(0);
        Some(ScriptedUsage {
            prompt_tokens: self
                .input_tokens?
                .saturating_add(cached)
                .saturating_add(kept),
            completion_tokens: self.output_tokens?,
            cached_tokens: cached,
        })
    }
}
