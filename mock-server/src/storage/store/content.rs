//! The bytes of an object, and the checksums by which clients know them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use md5::{Digest, Md5};

/// A body and its checksums. A clone shares the bytes.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) bytes: Bytes,
    /// CRC32C (Castagnoli), as every object has it.
    pub(crate) crc32c: u32,
    /// None for an object that was composed: nobody has seen all its bytes in one go.
    pub(crate) md5: Option<[u8; 16]>,
}

impl Content {
    pub(crate) fn of(bytes: Bytes) -> Self {
        let mut sums = Sums::default();
        sums.update(&bytes);
        sums.over(bytes)
    }

    /// One after the other. As with the real service, the MD5 is lost, and the CRC32C is
    /// computed from those of the parts.
    pub(crate) fn joined(parts: &[Self]) -> Self {
        let whole = parts.iter().map(|part| part.bytes.len()).sum();
        let mut bytes = BytesMut::with_capacity(whole);
        let mut crc32c = 0;
        for part in parts {
            bytes.extend_from_slice(&part.bytes);
            crc32c = crc32c::crc32c_combine(crc32c, part.crc32c, part.bytes.len());
        }
        Self {
            bytes: bytes.freeze(),
            crc32c,
            md5: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// As it stands in JSON and in headers: big-endian, in base64.
    pub(crate) fn crc32c_text(&self) -> String {
        STANDARD.encode(self.crc32c.to_be_bytes())
    }

    pub(crate) fn md5_text(&self) -> Option<String> {
        self.md5.map(|md5| STANDARD.encode(md5))
    }
}

/// Checksums of bytes that are still arriving.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    crc32c: u32,
    md5: Md5,
}

impl Sums {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        self.md5.update(bytes);
    }

    /// These bytes are all that was seen.
    pub(crate) fn over(self, bytes: Bytes) -> Content {
        Content {
            bytes,
            crc32c: self.crc32c,
            md5: Some(self.md5.finalize().into()),
        }
    }
}

/// What a client says that its bytes must have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Promised {
    pub(crate) crc32c: Option<String>,
    pub(crate) md5: Option<String>,
}

impl Promised {
    /// `crc32c=…,md5=…`, as it stands in `x-goog-hash`; it may also come in several headers.
    pub(crate) fn add(&mut self, header: &str) {
        for part in header.split(',') {
            match part.trim().split_once('=') {
                Some(("crc32c", sum)) => self.crc32c = Some(sum.to_owned()),
                Some(("md5", sum)) => self.md5 = Some(sum.to_owned()),
                // The service ignores sums that it does not know.
                Some(_) | None => {}
            }
        }
    }

    /// These, and where they say nothing those.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            crc32c: self.crc32c.or(other.crc32c),
            md5: self.md5.or(other.md5),
        }
    }

    /// The first sum that the content does not have: its name, what was promised, what it is.
    pub(crate) fn broken_by(&self, content: &Content) -> Option<(&'static str, String, String)> {
        let crc32c = Some(content.crc32c_text());
        let sums = [
            ("CRC32C", &self.crc32c, crc32c),
            ("MD5", &self.md5, content.md5_text()),
        ];
        sums.into_iter().find_map(|(name, promised, real)| {
            let (promised, real) = (promised.as_ref()?, real?);
            (*promised != real).then(|| (name, promised.clone(), real))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of RFC 3720 and RFC 1321.
    #[test]
    fn the_checksums_are_those_of_the_standards() {
        let content = Content::of(Bytes::from_static(b"123456789"));
        assert_eq!(content.crc32c, 0xe306_9283);
        assert_eq!(
            content.md5_text().as_deref(),
            Some("JfnnlDI7RTiF9RgfG2JNCw==")
        );
    }

    #[test]
    fn a_joined_content_has_the_checksum_of_the_whole() {
        let part = |text: &'static str| Content::of(Bytes::from_static(text.as_bytes()));
        let joined = Content::joined(&[part("1234"), part(""), part("56789")]);
        assert_eq!((joined.crc32c, joined.md5), (0xe306_9283, None));
        assert_eq!(joined.bytes, "123456789");
    }

    #[test]
    fn a_promise_is_broken_by_the_first_sum_that_differs() {
        let content = Content::of(Bytes::from_static(b"123456789"));
        let check = |header: &str, broken: Option<&str>| {
            let mut promised = Promised::default();
            promised.add(header);
            let found = promised.broken_by(&content);
            assert_eq!(found.map(|(name, ..)| name), broken, "{header}");
        };
        check("crc32c=4waSgw==", None);
        check("crc32c=4waSgw==,md5=JfnnlDI7RTiF9RgfG2JNCw==", None);
        check("crc32c=AAAAAA==", Some("CRC32C"));
        check("md5=AAAA, crc32c=4waSgw==", Some("MD5"));
        check("sha256=AAAA", None);
    }
}
