//! An answer cut into the pieces that a stream sends one by one.

use crate::llm::dialect::FrameKind;
use crate::llm::score::lines::{Call, Reply};
use crate::llm::script::stream::Word;
use crate::llm::script::wording::NumberOr;

/// What one frame carries. Calls are known by their place among the calls.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
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
    pub(crate) fn kind(&self) -> FrameKind {
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

/// In the order models were seen to send them.
pub(crate) fn pieces(reply: &Reply) -> impl Iterator<Item = Piece<'_>> {
    let chunk = reply.stream.chunk;
    let reasoning = reply
        .reasoning
        .iter()
        .flat_map(move |text| cut(text, chunk));
    let content = reply.content.iter().flat_map(move |text| cut(text, chunk));
    std::iter::once(Piece::Role)
        .chain(reasoning.map(Piece::Reasoning))
        .chain(content.map(Piece::Content))
        .chain(called(reply))
        .chain([Piece::Finish, Piece::Usage])
}

/// One call after the other, or all of them in turns.
fn called(reply: &Reply) -> Vec<Piece<'_>> {
    let fragment = reply.stream.arguments.get();
    let calls = reply.calls.iter().enumerate();
    let mut pieces: Vec<_> = calls
        .flat_map(|(place, call)| spelt(place, call, fragment).enumerate())
        .collect();
    if reply.stream.interleave {
        // Stable: within a round the calls keep their order.
        pieces.sort_by_key(|(round, _)| *round);
    }
    pieces.into_iter().map(|(_, piece)| piece).collect()
}

fn spelt(place: usize, call: &Call, fragment: usize) -> impl Iterator<Item = Piece<'_>> {
    let fragments = every(&call.arguments, fragment);
    let fragments = fragments
        .into_iter()
        .map(move |text| Piece::Arguments(place, text));
    std::iter::once(Piece::Call(place, call)).chain(fragments)
}

fn cut(text: &str, chunk: NumberOr<Word>) -> Vec<&str> {
    match chunk {
        NumberOr::Word(Word::Word) => text.split_inclusive(char::is_whitespace).collect(),
        NumberOr::Number(letters) => every(text, letters.get() as usize),
    }
}

/// Pieces of `letters` characters; the last may be shorter.
fn every(text: &str, letters: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest
            .char_indices()
            .nth(letters)
            .map_or(rest.len(), |(end, _)| end);
        let (piece, left) = rest.split_at(end);
        pieces.push(piece);
        rest = left;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[track_caller]
    fn check(text: &str, chunk: NumberOr<Word>, pieces: &[&str]) {
        assert_eq!(cut(text, chunk), pieces);
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
