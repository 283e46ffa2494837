//! An answer as a stream of numbered events, item by item.
//!
//! An item ends with its last piece, so that parallel calls may take turns.

use serde::Serialize;
use serde_json::{Value, json};

use crate::llm::dialect::FrameKind;
use crate::llm::dialect::pieces::Piece;
use crate::llm::dialect::responses::answer::{End, Item, Part, Response, message_status};
use crate::llm::dialect::sheet::Sheet;
use crate::llm::score::lines::{Call, Reply};

/// Writes the stream of one answer: which items are under way.
#[derive(Clone, Debug, Default)]
pub(in crate::llm::dialect) struct Scribe {
    /// How many events were written.
    events: usize,
    /// How many items have begun.
    begun: usize,
    reasoning: Option<Open>,
    message: Option<Open>,
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

/// An item under way.
#[derive(Clone, Debug)]
struct Open {
    id: String,
    index: usize,
    /// How many bytes are still to come.
    left: usize,
}

#[derive(Serialize)]
struct Event<'a> {
    r#type: &'static str,
    sequence_number: usize,
    #[serde(flatten)]
    told: Told<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Told<'a> {
    Response { response: Box<Response<'a>> },
    Item { output_index: usize, item: Item<'a> },
    Within(Within<'a>),
}

/// Something within an item; what an event does not have is not sent.
#[derive(Default, Serialize)]
struct Within<'a> {
    item_id: &'a str,
    output_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<Part<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<[(); 0]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a str>,
}

impl<'a> Within<'a> {
    fn with(mut self, part: Part<'a>) -> Self {
        self.part = Some(part);
        self
    }
}

impl Open {
    fn within(&self) -> Within<'_> {
        Within {
            item_id: &self.id,
            output_index: self.index,
            ..Within::default()
        }
    }

    fn in_summary(&self) -> Within<'_> {
        Within {
            summary_index: Some(0),
            ..self.within()
        }
    }

    fn in_content(&self) -> Within<'_> {
        Within {
            content_index: Some(0),
            ..self.within()
        }
    }
}

impl Stream<'_> {
    fn write(&mut self, piece: &Piece<'_>) -> serde_json::Result<()> {
        match piece {
            Piece::Role => self.begin(),
            Piece::Reasoning(text) => self.think(text),
            Piece::Content(text) => self.say(text),
            Piece::Call(place, call) => self.call(*place, call),
            Piece::Arguments(place, text) => self.go_on(*place, text),
            Piece::Finish => self.finish(),
            // It is told with the finish.
            Piece::Usage => Ok(()),
        }
    }

    fn begin(&mut self) -> serde_json::Result<()> {
        for name in ["response.created", "response.in_progress"] {
            let response = Box::new(Response::begun(self.reply));
            self.event(FrameKind::Role, name, Told::Response { response })?;
        }
        Ok(())
    }

    fn think(&mut self, delta: &str) -> serde_json::Result<()> {
        let kind = FrameKind::Reasoning;
        let whole = self.reply.reasoning.as_deref().unwrap_or_default();
        let mut open = match self.scribe.reasoning.take() {
            Some(open) => open,
            None => {
                let item = Item::reasoning(self.reply, Vec::new());
                let open = self.open(kind, item, whole.len())?;
                let part = Part::SummaryText { text: "" };
                let within = open.in_summary().with(part);
                self.within(kind, "response.reasoning_summary_part.added", within)?;
                open
            }
        };
        let said = Within {
            delta: Some(delta),
            ..open.in_summary()
        };
        self.within(kind, "response.reasoning_summary_text.delta", said)?;
        open.left = open.left.saturating_sub(delta.len());
        if open.left == 0 {
            let text = Within {
                text: Some(whole),
                ..open.in_summary()
            };
            self.within(
                FrameKind::Close,
                "response.reasoning_summary_text.done",
                text,
            )?;
            let part = Part::SummaryText { text: whole };
            let within = open.in_summary().with(part.clone());
            self.within(
                FrameKind::Close,
                "response.reasoning_summary_part.done",
                within,
            )?;
            let item = Item::reasoning(self.reply, vec![part]);
            self.close(&open, item)?;
        }
        self.scribe.reasoning = Some(open);
        Ok(())
    }

    fn say(&mut self, delta: &str) -> serde_json::Result<()> {
        let kind = FrameKind::Content;
        let whole = self.reply.content.as_deref().unwrap_or_default();
        let mut open = match self.scribe.message.take() {
            Some(open) => open,
            None => {
                let item = Item::message(self.reply, "in_progress", Vec::new());
                let open = self.open(kind, item, whole.len())?;
                let within = open.in_content().with(Part::output(""));
                self.within(kind, "response.content_part.added", within)?;
                open
            }
        };
        let said = Within {
            delta: Some(delta),
            logprobs: Some([]),
            ..open.in_content()
        };
        self.within(kind, "response.output_text.delta", said)?;
        open.left = open.left.saturating_sub(delta.len());
        if open.left == 0 {
            let text = Within {
                text: Some(whole),
                logprobs: Some([]),
                ..open.in_content()
            };
            self.within(FrameKind::Close, "response.output_text.done", text)?;
            let part = Part::output(whole);
            let within = open.in_content().with(part.clone());
            self.within(FrameKind::Close, "response.content_part.done", within)?;
            let status = message_status(self.reply);
            let item = Item::message(self.reply, status, vec![part]);
            self.close(&open, item)?;
        }
        self.scribe.message = Some(open);
        Ok(())
    }

    fn call(&mut self, place: usize, call: &Call) -> serde_json::Result<()> {
        let item = Item::call(self.reply, place, call, false);
        let open = self.open(FrameKind::Call, item, call.arguments.len())?;
        self.scribe.calls.push(open);
        self.end_call(place)
    }

    fn go_on(&mut self, place: usize, delta: &str) -> serde_json::Result<()> {
        let name = "response.function_call_arguments.delta";
        let mut open = self.scribe.calls[place].clone();
        let said = Within {
            delta: Some(delta),
            ..open.within()
        };
        self.within(FrameKind::Arguments, name, said)?;
        open.left = open.left.saturating_sub(delta.len());
        self.scribe.calls[place] = open;
        self.end_call(place)
    }

    /// Ends the call if nothing more is to come of it.
    fn end_call(&mut self, place: usize) -> serde_json::Result<()> {
        let (open, call) = (self.scribe.calls[place].clone(), &self.reply.calls[place]);
        if open.left > 0 {
            return Ok(());
        }
        let arguments = Within {
            name: Some(&call.name),
            arguments: Some(&call.arguments),
            ..open.within()
        };
        self.within(
            FrameKind::Close,
            "response.function_call_arguments.done",
            arguments,
        )?;
        let item = Item::call(self.reply, place, call, true);
        self.close(&open, item)
    }

    fn finish(&mut self) -> serde_json::Result<()> {
        let end = End::of(self.reply.finish_reason);
        let response = Box::new(Response::ended(self.reply));
        self.event(FrameKind::Done, end.event(), Told::Response { response })
    }

    fn open(&mut self, kind: FrameKind, item: Item<'_>, left: usize) -> serde_json::Result<Open> {
        let open = Open {
            id: item.id().to_owned(),
            index: self.scribe.begun,
            left,
        };
        self.scribe.begun += 1;
        let output_index = open.index;
        let added = Told::Item { output_index, item };
        self.event(kind, "response.output_item.added", added)?;
        Ok(open)
    }

    fn close(&mut self, open: &Open, item: Item<'_>) -> serde_json::Result<()> {
        let output_index = open.index;
        let done = Told::Item { output_index, item };
        self.event(FrameKind::Close, "response.output_item.done", done)
    }

    fn within(
        &mut self,
        kind: FrameKind,
        name: &'static str,
        within: Within<'_>,
    ) -> serde_json::Result<()> {
        self.event(kind, name, Told::Within(within))
    }

    fn event(
        &mut self,
        kind: FrameKind,
        name: &'static str,
        told: Told<'_>,
    ) -> serde_json::Result<()> {
        let event = Event {
            r#type: name,
            sequence_number: self.scribe.events,
            told,
        };
        self.scribe.events += 1;
        self.sheet.event(kind, name, &event)
    }
}

/// The event of an answer that broke after so many.
pub(in crate::llm::dialect) fn error_event(code: &str, message: &str, events: usize) -> Value {
    json!({
        "type": "error",
        "code": code,
        "message": message,
        "param": null,
        "sequence_number": events,
    })
}

/// The same, with the response once more. Nobody says how far it came.
pub(in crate::llm::dialect) fn failed_event(
    reply: &Reply,
    code: &str,
    message: &str,
    events: usize,
) -> Value {
    json!({
        "type": "response.failed",
        "sequence_number": events,
        "response": Response::failed(reply, code, message),
    })
}
