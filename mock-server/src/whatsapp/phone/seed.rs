//! Where the randomness of phones comes from: a seed and a few words, so that two runs make
//! the same keys. Never the machine's own randomness.

use rand::SeedableRng;
use rand::rngs::StdRng;
use wacore_libsignal::crypto::CryptographicHash;

/// What everything random is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seed([u8; 32]);

impl Seed {
    /// A scenario's seed.
    pub(crate) fn of_scenario(seed: u64) -> Self {
        Self(digest(&[b"scenario", &seed.to_be_bytes()]))
    }

    /// The same in every run: a store that was paired once stays valid under it.
    pub(crate) fn constant() -> Self {
        Self(digest(&[b"the account that owns the assistant"]))
    }

    /// A seed that follows from other bytes; whoever knows them knows it.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self(digest(&[bytes]))
    }

    /// The seed of a part, e.g. of one phone.
    pub(crate) fn of(&self, part: &str) -> Self {
        Self(digest(&[&self.0, part.as_bytes()]))
    }

    /// The seed of one of many like parts.
    pub(crate) fn nth(&self, part: &str, number: u32) -> Self {
        Self(digest(&[&self.0, part.as_bytes(), &number.to_be_bytes()]))
    }

    /// A stream of random numbers that starts over with each call.
    pub(crate) fn randomness(&self) -> StdRng {
        StdRng::from_seed(self.0)
    }

    pub(crate) fn bytes(&self) -> [u8; 32] {
        self.0
    }
}

/// SHA-256 over the parts, each with its length before it, so that `ab`,`c` and `a`,`bc` differ.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let framed = parts.iter().flat_map(|part| {
        let length = (part.len() as u64).to_be_bytes();
        length.into_iter().chain(part.iter().copied())
    });
    sha256(&framed.collect::<Vec<u8>>())
}

/// SHA-256.
#[expect(clippy::expect_used, reason = "the algorithm's name is right")]
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = CryptographicHash::new("SHA-256").expect("SHA-256 is there");
    hash.update(bytes);
    hash.finalize_sha256_array().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_seeds_of_their_own_that_stay_the_same() {
        let seed = Seed::of_scenario(7);
        assert_eq!(seed.of("ada"), Seed::of_scenario(7).of("ada"));
        assert_ne!(seed.of("ada"), Seed::of_scenario(8).of("ada"));
        assert_ne!(seed.of("ada"), seed.of("bob"));
        assert_ne!(seed.nth("key", 1), seed.nth("key", 2));
    }
}
