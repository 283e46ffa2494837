//! An answer as a stream, its frames made as they are wanted.
//!
//! A client may take hours to read, and a thousand of them may: only a few frames of each
//! answer are ever held.

use std::sync::Arc;
use std::vec;

use crate::llm::dialect::pieces::{Cursor, Piece};
use crate::llm::dialect::sheet::Sheet;
use crate::llm::dialect::{Dialect, Frame, anthropic, chat, responses};
use crate::llm::score::lines::Reply;

/// The frames that are still to come. A copy goes through them without taking them.
#[derive(Clone, Debug)]
pub(crate) struct Frames {
    /// Made, and not yet wanted.
    ready: vec::IntoIter<Frame>,
    reply: Arc<Reply>,
    cursor: Cursor,
    scribe: Scribe,
}

/// Who writes them, in the protocol of the answer.
#[derive(Clone, Debug)]
enum Scribe {
    Chat(chat::Scribe),
    Anthropic(anthropic::Scribe),
    Responses(responses::Scribe),
}

impl Dialect {
    /// The answer as a stream.
    pub(crate) fn frames(
        self,
        reply: &Arc<Reply>,
        wants_usage: bool,
    ) -> serde_json::Result<Frames> {
        let scribe = match self {
            Self::Anthropic => Scribe::Anthropic(anthropic::Scribe::default()),
            Self::Responses => Scribe::Responses(responses::Scribe::default()),
            Self::OpenAi | Self::OpenRouter | Self::Moonshot | Self::Kimi => {
                Scribe::Chat(chat::Scribe::of(reply, self, wants_usage)?)
            }
        };
        Ok(Frames {
            ready: vec::IntoIter::default(),
            reply: Arc::clone(reply),
            cursor: Cursor::before(reply),
            scribe,
        })
    }
}

impl Frames {
    /// With others before them, at the beginning.
    pub(crate) fn behind(mut self, prelude: Vec<Frame>) -> Self {
        self.ready = prelude.into_iter();
        self
    }

    fn made(&mut self) -> serde_json::Result<Option<Frame>> {
        let ready = self.ready.next();
        if ready.is_some() {
            return Ok(ready);
        }
        self.ready = self.sheet()?.into_frames().into_iter();
        Ok(self.ready.next())
    }

    /// The next sheet; an empty one if all is written.
    fn sheet(&mut self) -> serde_json::Result<Sheet> {
        let mut sheet = Sheet::blank();
        while !sheet.is_full()
            && let Some(piece) = self.cursor.next(&self.reply)
        {
            self.scribe.write(&self.reply, &piece, &mut sheet)?;
        }
        Ok(sheet)
    }
}

impl Iterator for Frames {
    type Item = serde_json::Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        self.made().transpose()
    }
}

impl Scribe {
    fn write(
        &mut self,
        reply: &Reply,
        piece: &Piece<'_>,
        sheet: &mut Sheet,
    ) -> serde_json::Result<()> {
        match self {
            Self::Chat(scribe) => scribe.write(reply, piece, sheet),
            Self::Anthropic(scribe) => scribe.write(reply, piece, sheet),
            Self::Responses(scribe) => scribe.write(reply, piece, sheet),
        }
    }
}
