//! An answer as a stream of named events, block by block.
//!
//! A block ends with its last piece, so that parallel calls may take turns.

use serde::Serialize;
use serde_json::json;

use crate::llm::dialect::FrameKind;
use crate::llm::dialect::anthropic::answer::{
    BROKEN, Block, Message, UsageBody, signature, stop_reason,
};
use crate::llm::dialect::anthropic::error;
use crate::llm::dialect::pieces::Piece;
use crate::llm::dialect::sheet::Sheet;
use crate::llm::score::lines::{Call, Reply};
use crate::llm::script::turn::FinishReason;

/// Writes the stream of one answer: which blocks are under way.
#[derive(Clone, Debug, Default)]
pub(in crate::llm::dialect) struct Scribe {
    /// How many blocks have begun.
    begun: usize,
    thinking: Option<Open>,
    text: Option<Open>,
    calls: Vec<Open>,
}

impl Scribe {
    pub(in crate::llm::dialect) fn write(
        &mut self,
        reply: &Reply,
        piece: &Piece<'_>,
        sheet: &mut Sheet,
    ) -> serde_json::Result<()> {
        let mut stream = Stream {
            reply,
            scribe: self,
            sheet,
        };
        stream.write(piece)
    }
}

struct Stream<'a> {
    reply: &'a Reply,
    scribe: &'a mut Scribe,
    sheet: &'a mut Sheet,
}

/// A block under way.
#[derive(Clone, Copy, Debug)]
struct Open {
    index: usize,
    /// How many bytes are still to come.
    left: usize,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event<'a> {
    MessageStart {
        message: Message<'a>,
    },
    Ping,
    ContentBlockStart {
        index: usize,
        content_block: Block<'a>,
    },
    ContentBlockDelta {
        index: usize,
        delta: Delta<'a>,
    },
    ContentBlockStop {
        index: usize,
    },
    MessageDelta {
        delta: Ending,
        usage: UsageBody,
    },
    MessageStop,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Delta<'a> {
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: String },
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'a str },
}

#[derive(Serialize)]
struct Ending {
    stop_reason: Option<&'static str>,
    stop_sequence: Option<&'static str>,
}

impl Event<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::MessageStart { .. } => "message_start",
            Self::Ping => "ping",
            Self::ContentBlockStart { .. } => "content_block_start",
            Self::ContentBlockDelta { .. } => "content_block_delta",
            Self::ContentBlockStop { .. } => "content_block_stop",
            Self::MessageDelta { .. } => "message_delta",
            Self::MessageStop => "message_stop",
        }
    }
}

impl Stream<'_> {
    fn write(&mut self, piece: &Piece<'_>) -> serde_json::Result<()> {
        match piece {
            Piece::Role => {
                let message = Message::begun(self.reply);
                self.event(FrameKind::Role, &Event::MessageStart { message })
            }
            Piece::Reasoning(text) => self.think(text),
            Piece::Content(text) => self.say(text),
            Piece::Call(_place, call) => self.call(call),
            Piece::Arguments(place, text) => self.go_on(*place, text),
            Piece::Finish => self.finish(),
            // It is told with the finish.
            Piece::Usage => Ok(()),
        }
    }

    fn think(&mut self, thinking: &str) -> serde_json::Result<()> {
        let kind = FrameKind::Reasoning;
        let whole = self.reply.reasoning.as_deref().unwrap_or_default();
        let open = match self.scribe.thinking {
            Some(open) => open,
            None => self.begin(kind, whole.len(), Block::nothing_thought())?,
        };
        let delta = Delta::Thinking { thinking };
        let open = self.more(kind, open, delta, thinking.len())?;
        self.scribe.thinking = Some(open);
        if open.left == 0 {
            let delta = Delta::Signature {
                signature: signature(whole),
            };
            self.more(FrameKind::Close, open, delta, 0)?;
        }
        self.close(open)
    }

    fn say(&mut self, text: &str) -> serde_json::Result<()> {
        let kind = FrameKind::Content;
        let whole = self.reply.content.as_deref().map_or(0, str::len);
        let open = match self.scribe.text {
            Some(open) => open,
            None => self.begin(kind, whole, Block::Text { text: "" })?,
        };
        let open = self.more(kind, open, Delta::Text { text }, text.len())?;
        self.scribe.text = Some(open);
        self.close(open)
    }

    fn call(&mut self, call: &Call) -> serde_json::Result<()> {
        let block = Block::ToolUse {
            id: &call.id,
            name: &call.name,
            input: json!({}),
        };
        let open = self.begin(FrameKind::Call, call.arguments.len(), block)?;
        self.scribe.calls.push(open);
        self.close(open)
    }

    fn go_on(&mut self, place: usize, partial_json: &str) -> serde_json::Result<()> {
        let kind = FrameKind::Arguments;
        let delta = Delta::InputJson { partial_json };
        let open = self.more(kind, self.scribe.calls[place], delta, partial_json.len())?;
        self.scribe.calls[place] = open;
        self.close(open)
    }

    fn begin(
        &mut self,
        kind: FrameKind,
        left: usize,
        content_block: Block<'_>,
    ) -> serde_json::Result<Open> {
        let index = self.scribe.begun;
        self.scribe.begun += 1;
        let start = Event::ContentBlockStart {
            index,
            content_block,
        };
        self.event(kind, &start)?;
        if index == 0 {
            self.event(FrameKind::Comment, &Event::Ping)?;
        }
        Ok(Open { index, left })
    }

    fn more(
        &mut self,
        kind: FrameKind,
        open: Open,
        delta: Delta<'_>,
        bytes: usize,
    ) -> serde_json::Result<Open> {
        let index = open.index;
        self.event(kind, &Event::ContentBlockDelta { index, delta })?;
        let left = open.left.saturating_sub(bytes);
        Ok(Open { index, left })
    }

    /// Ends the block if nothing more is to come of it.
    fn close(&mut self, open: Open) -> serde_json::Result<()> {
        if open.left > 0 {
            return Ok(());
        }
        let index = open.index;
        self.event(FrameKind::Close, &Event::ContentBlockStop { index })
    }

    fn finish(&mut self) -> serde_json::Result<()> {
        if self.reply.finish_reason == FinishReason::Error {
            let (kind, message) = BROKEN;
            let error = error(kind, message);
            return self.sheet.event(FrameKind::Finish, "error", &error);
        }
        let ending = Event::MessageDelta {
            delta: Ending {
                stop_reason: stop_reason(self.reply.finish_reason),
                stop_sequence: None,
            },
            usage: UsageBody::total(self.reply.usage),
        };
        self.event(FrameKind::Finish, &ending)?;
        self.event(FrameKind::Done, &Event::MessageStop)
    }

    fn event(&mut self, kind: FrameKind, event: &Event<'_>) -> serde_json::Result<()> {
        self.sheet.event(kind, event.name(), event)
    }
}

impl Block<'_> {
    fn nothing_thought() -> Self {
        Self::Thinking {
            thinking: "",
            signature: String::new(),
        }
    }
}
