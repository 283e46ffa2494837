//! In which order a stream says what, and how it is framed.

use std::fmt;

use serde_json::Value;

use crate::record::{Frame, frames};

use super::shape::Shape;

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Comment,
    Role,
    Reasoning,
    Content,
    Call,
    Arguments,
    Finish,
    Usage,
    Error,
    Done,
    /// Nothing that is known.
    Other,
}

/// A stream without what it says.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// All its documents together.
    pub(crate) shape: Shape,
    /// Frames of one kind that follow each other are one: how an answer is cut is no matter.
    pub(crate) order: Order,
    /// Facts about its frames; which of them, and how each is.
    pub(crate) framing: Vec<(&'static str, String)>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Order(Vec<Kind>);

impl Stream {
    pub(crate) fn read(body: &str) -> Self {
        let frames = frames(body);
        let mut stream = Self {
            framing: framing(&frames),
            ..Self::default()
        };
        for frame in &frames {
            stream.see(frame);
        }
        stream
    }

    fn see(&mut self, frame: &Frame) {
        let Some(data) = &frame.data else {
            return self.order.comment();
        };
        if frame.is_done() {
            return self.order.add(Kind::Done);
        }
        match serde_json::from_str(data) {
            Ok(document) => {
                self.shape.see(&document);
                kinds(&document)
                    .into_iter()
                    .for_each(|kind| self.order.add(kind));
            }
            Err(_no_document) => self.order.add(Kind::Other),
        }
    }
}

impl Order {
    fn add(&mut self, kind: Kind) {
        if self.0.last() != Some(&kind) {
            self.0.push(kind);
        }
    }

    /// Comments keep a slow stream alive; only one before everything else has a place.
    fn comment(&mut self) {
        if self.0.is_empty() {
            self.0.push(Kind::Comment);
        }
    }
}

/// Usually one; a frame that finishes may tell the usage too.
fn kinds(document: &Value) -> Vec<Kind> {
    let choice = &document["choices"][0];
    let delta = &choice["delta"];
    let is_said = |text: &Value| text.as_str().is_some_and(|text| !text.is_empty());
    let call = &delta["tool_calls"][0];
    let marks = [
        (Kind::Error, !document["error"].is_null()),
        (
            Kind::Reasoning,
            is_said(&delta["reasoning"]) || is_said(&delta["reasoning_content"]),
        ),
        (Kind::Content, is_said(&delta["content"])),
        (Kind::Call, !call["id"].is_null()),
        (Kind::Arguments, call["id"].is_null() && call.is_object()),
        (Kind::Finish, !choice["finish_reason"].is_null()),
        (
            Kind::Usage,
            document["usage"].is_object() || choice["usage"].is_object(),
        ),
    ];
    let marked = marks.into_iter().filter(|(_, is_there)| *is_there);
    let kinds: Vec<_> = marked.map(|(kind, _)| kind).collect();
    match (kinds.is_empty(), delta["role"].is_string()) {
        (false, _) => kinds,
        (true, true) => vec![Kind::Role],
        (true, false) => vec![Kind::Other],
    }
}

fn framing(frames: &[Frame]) -> Vec<(&'static str, String)> {
    let line_ends = distinct(
        frames
            .iter()
            .map(|frame| frame.line_end.as_str().to_owned()),
    );
    let names = frames.iter().filter_map(|frame| frame.name.clone());
    let spaced = frames.iter().map(|frame| {
        let spaced = if frame.is_spaced { "`: `" } else { "`:`" };
        spaced.to_owned()
    });
    vec![
        ("line ends", line_ends),
        ("after a field", distinct(spaced)),
        ("event names", distinct(names)),
    ]
}

/// Each once, in the order they came.
fn distinct(words: impl Iterator<Item = String>) -> String {
    let mut seen: Vec<String> = Vec::new();
    for word in words {
        if !seen.contains(&word) {
            seen.push(word);
        }
    }
    if seen.is_empty() {
        return "none".to_owned();
    }
    seen.join(", ")
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Comment => "comment",
            Self::Role => "role",
            Self::Reasoning => "reasoning",
            Self::Content => "content",
            Self::Call => "call",
            Self::Arguments => "arguments",
            Self::Finish => "finish",
            Self::Usage => "usage",
            Self::Error => "error",
            Self::Done => "[DONE]",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<_> = self.0.iter().map(|kind| kind.as_str()).collect();
        out.write_str(&kinds.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_read_as_the_order_of_its_kinds() {
        #[track_caller]
        fn check(frames: &[&str], expected: &str) {
            let body: String = frames.iter().map(|frame| format!("{frame}\n\n")).collect();
            assert_eq!(Stream::read(&body).order.to_string(), expected);
        }
        let delta = |delta: &str| format!(r#"data: {{"choices":[{{"delta":{delta}}}]}}"#);
        let (word, call) = (
            delta(r#"{"role":"assistant","content":"a"}"#),
            delta(r#"{"tool_calls":[{"id":"c","function":{"name":"f","arguments":""}}]}"#),
        );
        let more = delta(r#"{"tool_calls":[{"function":{"arguments":"{"}}]}"#);
        let finish = r#"data: {"choices":[{"delta":{},"finish_reason":"stop","usage":{}}]}"#;
        check(
            &[
                ": x",
                ": x",
                &word,
                ": x",
                &word,
                &call,
                &more,
                &more,
                finish,
                "data: [DONE]",
            ],
            "comment content call arguments finish usage [DONE]",
        );
        check(
            &[&delta(r#"{"role":"assistant","content":""}"#), "data: x"],
            "role other",
        );
    }
}
