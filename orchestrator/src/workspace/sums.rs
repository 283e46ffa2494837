//! What tells one content from another, computed while it passes by.

use std::io::{self, Read};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::entry::Sha256Hex;

/// How much is read at a time: the memory that a file of any size takes.
pub(crate) const CHUNK: usize = 256 * 1024;

/// Size, SHA-256 and CRC32C of a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sums {
    pub size: u64,
    pub sha256: Sha256Hex,
    pub crc32c: String,
}

/// Sums in the making.
pub(crate) struct Summing {
    size: u64,
    sha256: Sha256,
    crc32c: u32,
}

impl Summing {
    pub(crate) fn new() -> Self {
        Self {
            size: 0,
            sha256: Sha256::new(),
            crc32c: 0,
        }
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.sha256.update(bytes);
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
    }

    /// How many bytes have passed by.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn finish(self) -> Sums {
        Sums {
            size: self.size,
            sha256: Sha256Hex::of_digest(&self.sha256.finalize()),
            crc32c: format!("{:08x}", self.crc32c),
        }
    }
}

/// What comes next, up to so many bytes and to a chunk; empty at the end.
pub(crate) fn next_chunk(content: impl Read, most: u64) -> io::Result<Bytes> {
    let length = usize::try_from(most).map_or(CHUNK, |most| most.min(CHUNK));
    // All of it at once: a buffer that grows is copied, and larger than what it holds.
    let mut chunk = Vec::with_capacity(length);
    content.take(length as u64).read_to_end(&mut chunk)?;
    Ok(chunk.into())
}

/// The sums of all that can be read, whatever its size.
pub(crate) fn sums_of(mut content: impl Read) -> io::Result<Sums> {
    let mut summing = Summing::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match content.read(&mut chunk) {
            Ok(0) => return Ok(summing.finish()),
            Ok(length) => summing.add(&chunk[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of RFC 3720 (appendix B.4) and of FIPS 180-2.
    #[test]
    fn sums_are_those_of_the_standards() {
        let zeros = sums_of(&[0_u8; 32][..]).unwrap();
        assert_eq!((zeros.size, zeros.crc32c.as_str()), (32, "8a9136aa"));
        let abc = sums_of(&b"abc"[..]).unwrap();
        assert_eq!(
            abc.sha256.as_str(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
