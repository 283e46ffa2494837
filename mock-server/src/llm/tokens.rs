//! How long a text is in tokens: one for every four bytes, rounded up. Crude, but anybody can
//! check it, and it is the same on every machine.

use crate::llm::question::Question;

pub(crate) fn in_bytes(bytes: usize) -> u64 {
    bytes.div_ceil(4) as u64
}

/// What the conversation costs to read: the texts of its messages, together.
pub(crate) fn asked(question: &Question<'_>) -> u64 {
    let texts = question.messages.iter().map(|said| said.text.text().len());
    in_bytes(texts.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_begun_token_counts() {
        assert_eq!([0, 1, 4, 5].map(in_bytes), [0, 1, 1, 2]);
    }
}
