//! An answer in the bytes of a dialect: one JSON document, or a stream of SSE frames.
//!
//! Shapes as recorded from OpenAI, OpenRouter and Moonshot: who sends the role, where the
//! usage rides and what the reasoning is called differ between the three.

use bytes::Bytes;
use serde::Serialize;

use crate::llm::dialect::pieces::Piece;
use crate::llm::dialect::sheet::Sheet;
use crate::llm::dialect::usage::UsageBody;
use crate::llm::dialect::{Dialect, Frame, FrameKind};
use crate::llm::score::lines::{Call, Reply};
use crate::llm::script::stream::UsagePlace;

/// Comes several times before the first frame of a stream.
pub(crate) const PROCESSING: &[u8] = b": OPENROUTER PROCESSING\n\n";
/// Keeps the connection of a client alive that waits for a whole document.
pub(crate) const WAITING: &[u8] = b"\n         \n";
const DONE: &[u8] = b"[DONE]";

/// What is sent before the model has said anything.
pub(crate) fn prelude(dialect: Dialect) -> Vec<Frame> {
    let comment = || Frame {
        kind: FrameKind::Comment,
        bytes: Bytes::from_static(PROCESSING),
    };
    match dialect {
        Dialect::OpenRouter => vec![comment(), comment()],
        Dialect::OpenAi
        | Dialect::Moonshot
        | Dialect::Kimi
        | Dialect::Anthropic
        | Dialect::Responses => Vec::new(),
    }
}

/// Writes the stream of one answer.
#[derive(Clone, Debug)]
pub(super) struct Scribe {
    dialect: Dialect,
    wants_usage: bool,
    head: Bytes,
}

impl Scribe {
    pub(super) fn of(
        reply: &Reply,
        dialect: Dialect,
        wants_usage: bool,
    ) -> serde_json::Result<Self> {
        let writer = Writer::new(reply, dialect, "chat.completion.chunk")?;
        Ok(Self {
            dialect,
            wants_usage,
            head: writer.head,
        })
    }

    /// The end mark comes behind the last piece, also if that is not sent.
    pub(super) fn write(
        &self,
        reply: &Reply,
        piece: &Piece<'_>,
        sheet: &mut Sheet,
    ) -> serde_json::Result<()> {
        let writer = Writer {
            reply,
            dialect: self.dialect,
            head: self.head.clone(),
        };
        if writer.sends(piece, self.wants_usage) {
            sheet.line(piece.kind(), |bytes| writer.write_piece(piece, bytes))?;
        }
        if !matches!(piece, Piece::Usage) {
            return Ok(());
        }
        sheet.line(FrameKind::Done, |bytes| {
            bytes.extend_from_slice(DONE);
            Ok(())
        })
    }
}

/// The whole answer as one document.
pub(crate) fn document(reply: &Reply, dialect: Dialect) -> serde_json::Result<Bytes> {
    let writer = Writer::new(reply, dialect, "chat.completion")?;
    let (finish_reason, native_finish_reason) = writer.reasons(true);
    let mut message = writer.delta("assistant");
    message.content = Some(reply.content.as_deref().into());
    writer.think(&mut message, reply.reasoning.as_deref());
    let calls = reply.calls.iter();
    message.tool_calls = calls.map(|call| writer.whole_call(call)).collect();
    let choice = Choice {
        index: 0,
        message: Some(message),
        delta: None,
        finish_reason,
        native_finish_reason,
        usage: None,
    };
    let mut sheet = match dialect {
        Dialect::OpenRouter => WAITING.to_vec(),
        Dialect::OpenAi
        | Dialect::Moonshot
        | Dialect::Kimi
        | Dialect::Anthropic
        | Dialect::Responses => Vec::new(),
    };
    writer.write(Some(&choice), Some(&writer.usage()), &mut sheet)?;
    Ok(sheet.into())
}

/// Writes documents that differ in their choices and begin alike.
struct Writer<'a> {
    reply: &'a Reply,
    dialect: Dialect,
    /// The beginning, up to the choices: the longest part, and the same in each frame.
    head: Bytes,
}

impl<'a> Writer<'a> {
    fn new(reply: &'a Reply, dialect: Dialect, object: &'static str) -> serde_json::Result<Self> {
        let mut head = serde_json::to_vec(&Head {
            id: &dialect.response_id(reply.created, &reply.letters),
            object,
            created: reply.created,
            model: &reply.model,
            provider: reply.route.as_deref().map(|route| route.provider.as_str()),
            system_fingerprint: dialect.is_moonshots().then_some("fpv0_mock"),
        })?;
        // The object goes on.
        head.pop();
        head.extend_from_slice(b",\"choices\":");
        Ok(Self {
            reply,
            dialect,
            head: head.into(),
        })
    }

    /// OpenRouter always tells the usage; OpenAI tells it to who asks; Moonshot tells it with
    /// the finish.
    fn usage_place(&self, wants_usage: bool) -> UsagePlace {
        let usual = match self.dialect {
            Dialect::OpenRouter => UsagePlace::Last,
            Dialect::OpenAi if wants_usage => UsagePlace::Final,
            Dialect::OpenAi => UsagePlace::None,
            Dialect::Moonshot | Dialect::Kimi | Dialect::Anthropic | Dialect::Responses => {
                UsagePlace::Choice
            }
        };
        self.reply.stream.usage.unwrap_or(usual)
    }

    /// OpenRouter puts the role on each frame instead of before them.
    fn sends(&self, piece: &Piece<'_>, wants_usage: bool) -> bool {
        match piece {
            Piece::Role => self.dialect != Dialect::OpenRouter,
            Piece::Usage => match self.usage_place(wants_usage) {
                UsagePlace::Last | UsagePlace::Final => true,
                UsagePlace::Choice | UsagePlace::None => false,
            },
            Piece::Reasoning(_)
            | Piece::Content(_)
            | Piece::Call(..)
            | Piece::Arguments(..)
            | Piece::Finish => true,
        }
    }

    fn write_piece(&self, piece: &Piece<'a>, sheet: &mut Vec<u8>) -> serde_json::Result<()> {
        let is_usage = matches!(piece, Piece::Usage);
        let alone = is_usage && self.usage_place(true) == UsagePlace::Final;
        let choice = (!alone).then(|| self.choice(piece));
        let usage = is_usage.then(|| self.usage());
        self.write(choice.as_ref(), usage.as_ref(), sheet)
    }

    fn write(
        &self,
        choice: Option<&Choice<'_>>,
        usage: Option<&UsageBody>,
        sheet: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        sheet.extend_from_slice(&self.head);
        serde_json::to_writer(&mut *sheet, choice.as_slice())?;
        if let Some(usage) = usage {
            sheet.extend_from_slice(b",\"usage\":");
            serde_json::to_writer(&mut *sheet, usage)?;
            self.tell_way(sheet)?;
        }
        sheet.push(b'}');
        Ok(())
    }

    /// What OpenRouter tells about its way to who asks, in the last word it says.
    fn tell_way(&self, sheet: &mut Vec<u8>) -> serde_json::Result<()> {
        let route = self.reply.route.as_deref();
        let Some(metadata) = route.and_then(|route| route.metadata.as_ref()) else {
            return Ok(());
        };
        sheet.extend_from_slice(b",\"openrouter_metadata\":");
        serde_json::to_writer(sheet, metadata)
    }

    fn choice(&self, piece: &Piece<'a>) -> Choice<'a> {
        let ends = matches!(piece, Piece::Finish | Piece::Usage);
        let (finish_reason, native_finish_reason) = self.reasons(ends);
        let at_finish = ends && self.usage_place(true) == UsagePlace::Choice;
        Choice {
            index: 0,
            message: None,
            delta: Some(self.piece(piece)),
            finish_reason,
            native_finish_reason,
            usage: at_finish.then(|| self.usage()),
        }
    }

    /// The finish reason, and OpenRouter's second one.
    fn reasons(&self, ends: bool) -> (Option<&'static str>, Option<OrNull<'static>>) {
        let reason = ends.then(|| self.reply.finish_reason.as_str());
        (
            reason,
            (self.dialect == Dialect::OpenRouter).then(|| reason.into()),
        )
    }

    fn piece(&self, piece: &Piece<'a>) -> Delta<'a> {
        let mut delta = match (piece, self.dialect) {
            (Piece::Role, _) | (_, Dialect::OpenRouter) => self.delta("assistant"),
            (
                _said,
                Dialect::OpenAi
                | Dialect::Moonshot
                | Dialect::Kimi
                | Dialect::Anthropic
                | Dialect::Responses,
            ) => Delta::default(),
        };
        match piece {
            Piece::Reasoning(text) => self.think(&mut delta, Some(text)),
            Piece::Content(text) => delta.content = Some(OrNull::Text(text)),
            Piece::Call(place, call) => {
                delta.content = delta.role.map(|_each| OrNull::Null);
                delta.tool_calls = vec![self.opened_call(*place, call)];
            }
            Piece::Arguments(place, text) => {
                delta.content = delta.role.map(|_each| OrNull::Null);
                delta.tool_calls = vec![more_of_call(*place, text)];
            }
            Piece::Role | Piece::Finish | Piece::Usage => {}
        }
        delta
    }

    /// With the role OpenRouter sends an empty content.
    fn delta(&self, role: &'static str) -> Delta<'a> {
        Delta {
            role: Some(role),
            content: Some(OrNull::Text("")),
            ..Delta::default()
        }
    }

    fn think(&self, delta: &mut Delta<'a>, thought: Option<&'a str>) {
        match self.dialect {
            Dialect::OpenAi
            | Dialect::Moonshot
            | Dialect::Kimi
            | Dialect::Anthropic
            | Dialect::Responses => {
                delta.reasoning_content = thought;
            }
            Dialect::OpenRouter => {
                delta.reasoning = thought;
                delta.reasoning_details = thought.into_iter().map(Thought::new).collect();
            }
        }
    }

    fn usage(&self) -> UsageBody {
        UsageBody::new(self.reply, self.dialect)
    }

    fn whole_call(&self, call: &'a Call) -> CallBody<'a> {
        CallBody {
            index: None,
            ..self.opened_call(0, call).with(&call.arguments)
        }
    }

    fn opened_call(&self, place: usize, call: &'a Call) -> CallBody<'a> {
        // What Moonshot can do itself, it calls by a name with a dollar.
        let is_builtin = self.dialect.is_moonshots() && call.name.starts_with('$');
        CallBody {
            index: Some(place),
            id: Some(&call.id),
            r#type: Some(if is_builtin {
                "builtin_function"
            } else {
                "function"
            }),
            function: FunctionBody {
                name: Some(&call.name),
                arguments: "",
            },
        }
    }
}

/// What all documents of an answer have in common.
#[derive(Serialize)]
struct Head<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_fingerprint: Option<&'static str>,
}

/// Distinguishes what is sent as null from what is not sent.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum OrNull<'a> {
    Null,
    Text(&'a str),
}

impl<'a> From<Option<&'a str>> for OrNull<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}

#[derive(Serialize)]
struct Choice<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Delta<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<Delta<'a>>,
    finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    native_finish_reason: Option<OrNull<'static>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageBody>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<OrNull<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasoning_details: Vec<Thought<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<CallBody<'a>>,
}

#[derive(Serialize)]
struct Thought<'a> {
    r#type: &'static str,
    text: &'a str,
    format: &'static str,
    index: usize,
}

impl<'a> Thought<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            r#type: "reasoning.text",
            text,
            format: "unknown",
            index: 0,
        }
    }
}

#[derive(Serialize)]
struct CallBody<'a> {
    /// Only in streams, where the parts of a call must find each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    function: FunctionBody<'a>,
}

#[derive(Serialize)]
struct FunctionBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

impl<'a> CallBody<'a> {
    fn with(mut self, arguments: &'a str) -> Self {
        self.function.arguments = arguments;
        self
    }
}

fn more_of_call(place: usize, text: &str) -> CallBody<'_> {
    CallBody {
        index: Some(place),
        id: None,
        r#type: None,
        function: FunctionBody {
            name: None,
            arguments: text,
        },
    }
}
