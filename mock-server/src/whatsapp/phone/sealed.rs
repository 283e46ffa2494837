//! Ciphertexts as stanzas carry them in `<enc>`, and the padding below them.

use rand::{Rng, RngExt as _};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wacore_libsignal::protocol::PreKeySignalMessage;

/// The longest padding, in bytes.
const LONGEST_PADDING: u8 = 16;

/// How a message was encrypted: the `type` of an `<enc>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cipher {
    /// `pkmsg`: the first messages of a session, with the keys to begin it.
    Prekey,
    /// `msg`: within a session.
    Session,
    /// `skmsg`: for a whole group, with the key its sender handed out.
    SenderKey,
}

impl Cipher {
    /// None: no type of an `<enc>` that phones know.
    pub(crate) fn read(word: &str) -> Option<Self> {
        match word {
            "pkmsg" => Some(Self::Prekey),
            "msg" => Some(Self::Session),
            "skmsg" => Some(Self::SenderKey),
            _ => None,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Prekey => "pkmsg",
            Self::Session => "msg",
            Self::SenderKey => "skmsg",
        }
    }
}

/// A message that only its reader can open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) cipher: Cipher,
    pub(crate) bytes: Vec<u8>,
}

impl Sealed {
    /// `<enc v="2" type>`.
    pub(crate) fn node(&self) -> Node {
        let node = NodeBuilder::new("enc")
            .attr("v", "2")
            .attr("type", self.cipher.word());
        node.bytes(self.bytes.clone()).build()
    }

    /// The same with a wrong MAC or signature, so that nobody can open it; the keys that come
    /// with it are as they were.
    pub(crate) fn spoiled(mut self) -> Self {
        let last = self.end_of_proof().checked_sub(1);
        if let Some(byte) = last.and_then(|last| self.bytes.get_mut(last)) {
            *byte ^= 1;
        }
        self
    }

    /// Where the MAC or signature ends: at the end of everything, but for a first message, in
    /// which the session's own message stands between the keys.
    fn end_of_proof(&self) -> usize {
        let whole = self.bytes.len();
        match self.cipher {
            Cipher::Session | Cipher::SenderKey => whole,
            Cipher::Prekey => match PreKeySignalMessage::try_from(self.bytes.as_slice()) {
                Ok(first) => end_of(first.message().serialized(), &self.bytes).unwrap_or(whole),
                // It is none, and so spoiled already.
                Err(_broken) => whole,
            },
        }
    }
}

fn end_of(part: &[u8], whole: &[u8]) -> Option<usize> {
    let start = whole
        .windows(part.len())
        .position(|window| window == part)?;
    Some(start + part.len())
}

/// Adds 1 to 16 bytes, each of which is their number, so that the length tells little.
pub(super) fn pad(mut plain: Vec<u8>, randomness: &mut impl Rng) -> Vec<u8> {
    let length = randomness.random_range(1..=LONGEST_PADDING);
    plain.extend(std::iter::repeat_n(length, length.into()));
    plain
}

/// None: the padding is none.
pub(super) fn unpad(padded: &[u8]) -> Option<&[u8]> {
    let length = *padded.last()?;
    let end = padded.len().checked_sub(length.into())?;
    let (plain, padding) = padded.split_at(end);
    let whole =
        (1..=LONGEST_PADDING).contains(&length) && padding.iter().all(|byte| *byte == length);
    whole.then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::whatsapp::phone::seed::Seed;

    #[test]
    fn padding_comes_off_again_and_varies() {
        let mut randomness = Seed::of_scenario(1).randomness();
        let padded: Vec<_> = (0..40)
            .map(|_| pad(b"hi".to_vec(), &mut randomness))
            .collect();
        assert!(padded.iter().all(|padded| unpad(padded) == Some(b"hi")));
        let lengths: std::collections::BTreeSet<_> = padded.iter().map(Vec::len).collect();
        assert!(lengths.len() > 5, "{lengths:?}");
    }

    #[test]
    fn what_is_no_padding_is_refused() {
        for broken in [&b""[..], &[0], &[17; 17], &[1, 2, 3], &[9]] {
            assert_eq!(unpad(broken), None, "{broken:?}");
        }
    }
}
