//! What is measured: how many turns the script has, and in which form the answer comes.

use std::num::NonZeroUsize;

/// Words of a streamed answer; every peer can send one word in a frame.
pub(crate) const WORDS: usize = 100;
/// One word of it. Peers that cut by letters are told its length.
pub(crate) const WORD: &str = "word ";
/// The answer that is not streamed.
const SHORT: &str = "hello there";

/// One block of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) turns: NonZeroUsize,
    pub(crate) is_streamed: bool,
}

impl Case {
    pub(crate) const ALL: [Self; 4] = [
        Self::new(1, false),
        Self::new(1_000, false),
        Self::new(1, true),
        Self::new(1_000, true),
    ];

    const fn new(turns: usize, is_streamed: bool) -> Self {
        let turns = match NonZeroUsize::new(turns) {
            Some(turns) => turns,
            None => NonZeroUsize::MIN,
        };
        Self { turns, is_streamed }
    }

    pub(crate) fn name(self) -> String {
        let turns = match self.turns.get() {
            1 => "1 turn".to_owned(),
            several => format!("the last of {several} turns"),
        };
        let form = match self.is_streamed {
            true => format!("streamed in {WORDS} chunks"),
            false => "one document".to_owned(),
        };
        format!("{turns}, {form}")
    }

    /// The text that a turn answers to; each has its own.
    pub(crate) fn question(self, turn: usize) -> String {
        // The space behind keeps 1 from being found in 10.
        format!("question {turn} ")
    }

    /// What the client asks: the question of the last turn.
    pub(crate) fn asked(self) -> String {
        format!("{}please", self.question(self.turns.get()))
    }

    /// The answer of every turn.
    pub(crate) fn answer(self) -> String {
        match self.is_streamed {
            true => WORD.repeat(WORDS),
            false => SHORT.to_owned(),
        }
    }

    /// How many requests at most: streams cost a multiple.
    pub(crate) fn requests(self) -> usize {
        match self.is_streamed {
            true => 8_000,
            false => 40_000,
        }
    }

    /// The body of a request.
    pub(crate) fn body(self) -> String {
        let messages = [serde_json::json!({ "role": "user", "content": self.asked() })];
        serde_json::json!({ "model": "gpt-4o", "stream": self.is_streamed, "messages": messages })
            .to_string()
    }

    /// Whether an answer is the one that was asked for, as far as can be told of any peer.
    pub(crate) fn is_answered_by(self, answer: &str) -> bool {
        match self.is_streamed {
            true => answer.matches(WORD.trim_end()).count() >= WORDS,
            false => answer.contains(SHORT),
        }
    }
}
