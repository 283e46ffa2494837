//! An answer cut into the pieces that a stream sends one by one.

use crate::llm::dialect::FrameKind;
use crate::llm::score::lines::{Call, Reply};
use crate::llm::script::stream::Word;
use crate::llm::script::wording::NumberOr;

/// What one frame carries. Calls are known by their place among the calls.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    Role,
    Reasoning(&'a str),
    Content(&'a str),
    /// The beginning of a call: id and name, and no arguments yet.
    Call(usize, &'a Call),
    Arguments(usize, &'a str),
    Finish,
    Usage,
}

impl Piece<'_> {
    pub(super) fn kind(&self) -> FrameKind {
        match self {
            Self::Role => FrameKind::Role,
            Self::Reasoning(_) => FrameKind::Reasoning,
            Self::Content(_) => FrameKind::Content,
            Self::Call(..) => FrameKind::Call,
            Self::Arguments(..) => FrameKind::Arguments,
            Self::Finish => FrameKind::Finish,
            Self::Usage => FrameKind::Usage,
        }
    }
}

/// How far an answer is cut. It does not hold the answer, so that it can stand beside it.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    part: Part,
    /// Where the next piece of the text begins.
    at: usize,
    /// The call whose turn it is.
    turn: usize,
    /// Where the next fragment of each call begins; none of one that has not begun.
    calls: Vec<Option<usize>>,
}

/// In the order models were seen to send them.
#[derive(Clone, Copy, Debug)]
enum Part {
    Role,
    Reasoning,
    Content,
    Calls,
    Finish,
    Usage,
    Nothing,
}

impl Cursor {
    pub(super) fn before(reply: &Reply) -> Self {
        Self {
            part: Part::Role,
            at: 0,
            turn: 0,
            calls: vec![None; reply.calls.len()],
        }
    }

    /// The next piece of the answer that the cursor was made for.
    pub(super) fn next<'a>(&mut self, reply: &'a Reply) -> Option<Piece<'a>> {
        loop {
            let (piece, then) = match self.part {
                Part::Role => (Some(Piece::Role), Part::Reasoning),
                Part::Reasoning => {
                    let text = self.more(reply.reasoning.as_deref(), reply);
                    (text.map(Piece::Reasoning), Part::Content)
                }
                Part::Content => {
                    let text = self.more(reply.content.as_deref(), reply);
                    (text.map(Piece::Content), Part::Calls)
                }
                Part::Calls => (self.call(reply), Part::Finish),
                Part::Finish => (Some(Piece::Finish), Part::Usage),
                Part::Usage => (Some(Piece::Usage), Part::Nothing),
                Part::Nothing => return None,
            };
            let goes_on = matches!(self.part, Part::Reasoning | Part::Content | Part::Calls);
            if piece.is_none() || !goes_on {
                (self.part, self.at) = (then, 0);
            }
            if piece.is_some() {
                return piece;
            }
        }
    }

    fn more<'a>(&mut self, text: Option<&'a str>, reply: &Reply) -> Option<&'a str> {
        let piece = first(&text?[self.at..], reply.stream.chunk)?;
        self.at += piece.len();
        Some(piece)
    }

    /// One call after the other, or all of them in turns.
    fn call<'a>(&mut self, reply: &'a Reply) -> Option<Piece<'a>> {
        for _ended in 0..=reply.calls.len() {
            let place = self.turn;
            let piece = self.more_of_call(place, reply.calls.get(place)?, reply);
            if piece.is_none() || reply.stream.interleave {
                self.turn += 1;
            }
            if reply.stream.interleave {
                self.turn %= reply.calls.len();
            }
            if piece.is_some() {
                return piece;
            }
        }
        None
    }

    fn more_of_call<'a>(
        &mut self,
        place: usize,
        call: &'a Call,
        reply: &Reply,
    ) -> Option<Piece<'a>> {
        let Some(at) = &mut self.calls[place] else {
            self.calls[place] = Some(0);
            return Some(Piece::Call(place, call));
        };
        let fragment = letters(&call.arguments[*at..], reply.stream.arguments.get())?;
        *at += fragment.len();
        Some(Piece::Arguments(place, fragment))
    }
}

/// The first piece of a text, if there is any.
fn first(text: &str, chunk: NumberOr<Word>) -> Option<&str> {
    match chunk {
        NumberOr::Word(Word::Word) => text.split_inclusive(char::is_whitespace).next(),
        NumberOr::Number(number) => letters(text, number.get() as usize),
    }
}

/// So many characters, or all if there are fewer.
fn letters(text: &str, number: usize) -> Option<&str> {
    let end = text.char_indices().nth(number);
    let end = end.map_or(text.len(), |(end, _)| end);
    (end > 0).then(|| &text[..end])
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[track_caller]
    fn check(text: &str, chunk: NumberOr<Word>, pieces: &[&str]) {
        let mut rest = text;
        for piece in pieces {
            assert_eq!(first(rest, chunk), Some(*piece));
            rest = &rest[piece.len()..];
        }
        assert_eq!(first(rest, chunk), None);
    }

    #[test]
    fn nothing_is_lost_between_the_pieces() {
        check(
            "one two\nthree",
            NumberOr::default(),
            &["one ", "two\n", "three"],
        );
        check("", NumberOr::default(), &[]);
        let two = NumberOr::Number(NonZeroU32::new(2).unwrap());
        check("日本語", two, &["日本", "語"]);
    }
}
