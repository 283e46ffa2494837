//! The frames of an answer, dressed as its turn wants its stream. They are made as they are
//! wanted.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::llm::dialect::{Frame, FrameKind};
use crate::llm::script::stream::{LineEnd, StreamShape};

/// What a stream is dressed with.
#[derive(Clone, Debug)]
pub(crate) struct Dress {
    pub(crate) shape: StreamShape,
    /// A comment as the service writes it.
    pub(crate) comment: &'static [u8],
}

/// Frames in their dress. A copy goes through them without taking them.
#[derive(Clone, Debug)]
pub(crate) struct Dressed<F> {
    frames: F,
    dress: Dress,
    /// How many were taken that are no comments.
    place: usize,
    /// What comes next: a frame, and what comes beside it.
    ready: VecDeque<Frame>,
}

impl Dress {
    pub(crate) fn on<F>(self, frames: F) -> Dressed<F> {
        Dressed {
            frames,
            dress: self,
            place: 0,
            ready: VecDeque::new(),
        }
    }

    pub(crate) fn comment(&self) -> Frame {
        self.in_lines(Frame {
            kind: FrameKind::Comment,
            bytes: Bytes::from_static(self.comment),
        })
    }

    pub(crate) fn in_lines(&self, frame: Frame) -> Frame {
        match self.shape.line_end {
            LineEnd::Lf => frame,
            LineEnd::Crlf => Frame {
                kind: frame.kind,
                bytes: with_crlf(&frame.bytes),
            },
        }
    }
}

impl<F> Dressed<F> {
    /// Puts a frame behind the others, with what comes beside it.
    fn put(&mut self, frame: Frame) {
        let shape = &self.dress.shape;
        if frame.kind == FrameKind::Done && !shape.done {
            return;
        }
        let frame = self.dress.in_lines(frame);
        if frame.kind == FrameKind::Comment {
            self.ready.push_back(frame);
            return;
        }
        self.place += 1;
        let twice = shape.duplicate.as_ref();
        let twice = twice.is_some_and(|frames| frames.holds(self.place));
        self.ready.extend(twice.then(|| frame.clone()));
        self.ready.push_back(frame);
        let comments = shape.comments;
        if comments.is_some_and(|every| self.place.is_multiple_of(every.get())) {
            self.ready.push_back(self.dress.comment());
        }
    }
}

impl<F: Iterator<Item = serde_json::Result<Frame>>> Iterator for Dressed<F> {
    type Item = serde_json::Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(Ok(frame));
            }
            match self.frames.next()? {
                Ok(frame) => self.put(frame),
                Err(fault) => return Some(Err(fault)),
            }
        }
    }
}

fn with_crlf(frame: &Bytes) -> Bytes {
    let lines = frame.split(|byte| *byte == b'\n').collect::<Vec<_>>();
    lines.join(&b"\r\n"[..]).into()
}
