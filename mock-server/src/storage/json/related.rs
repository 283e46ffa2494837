//! A body of two parts: a resource, and the content that it is about. A third may hold the
//! checksums of the content, by a client that learns them only while it sends.
//!
//! Contents may hold line ends and what looks like a boundary, so only the last boundary ends
//! the last part. There are clients that quote the boundary with `'` and end lines with a line
//! feed alone.

use bytes::Bytes;
use serde::Deserialize;

use crate::storage::refusal::Refusal;

#[derive(Debug)]
pub(super) struct Related {
    pub(super) resource: Bytes,
    pub(super) media: Bytes,
    /// What the third part says of the content.
    pub(super) trailer: Trailer,
    /// The type that the second part says it has.
    pub(super) content_type: Option<String>,
}

/// Checksums that come behind the content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Trailer {
    pub(super) crc32c: Option<String>,
    pub(super) md5_hash: Option<String>,
}

/// Within how many bytes of the end a third part begins, if there is one.
const NEAR: usize = 1 << 10;

/// The boundary that a content type of several parts names.
pub(super) fn boundary(content_type: &str) -> Option<String> {
    let (kind, rest) = content_type.split_once(';')?;
    if !kind.trim().to_ascii_lowercase().starts_with("multipart/") {
        return None;
    }
    let parameter = |part: &str| {
        let (name, value) = part.split_once('=')?;
        let is_it = name.trim().eq_ignore_ascii_case("boundary");
        is_it.then(|| value.trim().trim_matches(['"', '\'']).to_owned())
    };
    let boundary = rest.split(';').find_map(parameter)?;
    (!boundary.is_empty()).then_some(boundary)
}

pub(super) fn read(content_type: &str, body: &Bytes) -> Result<Related, Refusal> {
    let boundary = boundary(content_type);
    let missing =
        || Refusal::invalid("Missing or invalid boundary in the content type of the request.");
    let delimiter = format!("--{}", boundary.ok_or_else(missing)?);
    let malformed = || Refusal::invalid("Malformed multipart body.");
    parse(body, delimiter.as_bytes()).ok_or_else(malformed)
}

fn parse(body: &Bytes, delimiter: &[u8]) -> Option<Related> {
    let start = find(body, delimiter)?;
    let first = after_line(body, start + delimiter.len())?;
    let second = line_start(body, first, delimiter)?;
    let media_from = after_line(body, second + delimiter.len())?;
    let end = last_line_start(body, media_from, delimiter)?;
    let (end, trailer) =
        trailer(body, (media_from, end), delimiter).unwrap_or((end, Trailer::default()));
    let media = part(body, media_from, end)?;
    Some(Related {
        resource: part(body, first, second)?.1,
        content_type: header(&media.0, "content-type"),
        media: media.1,
        trailer,
    })
}

/// Where the third part begins, and what it says: nothing but checksums, or it is content.
fn trailer(body: &Bytes, (from, to): (usize, usize), delimiter: &[u8]) -> Option<(usize, Trailer)> {
    let near = from.max(to.saturating_sub(NEAR));
    let begins = last_line_start(&body[..to], near, delimiter)?;
    let (_, told) = part(body, after_line(body, begins + delimiter.len())?, to)?;
    match serde_json::from_slice(&told) {
        Ok(trailer) if trailer != Trailer::default() => Some((begins, trailer)),
        Ok(_) | Err(_) => None,
    }
}

/// The headers and the content of the part between two places; the line end before the
/// delimiter is not the content's.
fn part(body: &Bytes, from: usize, to: usize) -> Option<(Bytes, Bytes)> {
    let whole = body.get(from..to)?;
    let (headers, content) = if whole.starts_with(b"\r\n") {
        (0, 2)
    } else if whole.starts_with(b"\n") {
        (0, 1)
    } else {
        let crlf = find(whole, b"\r\n\r\n").map(|at| (at, at + 4));
        let lf = find(whole, b"\n\n").map(|at| (at, at + 2));
        [crlf, lf].into_iter().flatten().min()?
    };
    let line_end = match whole {
        [.., b'\r', b'\n'] => 2,
        [.., b'\n'] => 1,
        _ => return None,
    };
    let content_end = (whole.len() - line_end).max(content);
    Some((
        body.slice(from..from + headers),
        body.slice(from + content..from + content_end),
    ))
}

pub(super) fn header(headers: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(headers);
    text.lines().find_map(|line| {
        let (known, value) = line.split_once(':')?;
        let is_it = known.trim().eq_ignore_ascii_case(name);
        is_it.then(|| value.trim().to_owned())
    })
}

pub(super) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// What follows the line in which a place is.
fn after_line(bytes: &[u8], place: usize) -> Option<usize> {
    let end = bytes.get(place..)?.iter().position(|byte| *byte == b'\n')?;
    Some(place + end + 1)
}

/// The first line that begins so.
fn line_start(bytes: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    let mut place = from;
    while !bytes.get(place..)?.starts_with(wanted) {
        place = after_line(bytes, place)?;
    }
    Some(place)
}

/// The last one.
fn last_line_start(bytes: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    let mut end = bytes.len();
    loop {
        let place = from
            + bytes
                .get(from..end)?
                .windows(wanted.len())
                .rposition(|window| window == wanted)?;
        if place == from || bytes[place - 1] == b'\n' {
            return Some(place);
        }
        end = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(content_type: &str, body: &[u8]) -> Option<(String, Vec<u8>, Option<String>)> {
        let related = match read(content_type, &Bytes::copy_from_slice(body)) {
            Ok(related) => related,
            Err(_malformed) => return None,
        };
        let resource = String::from_utf8(related.resource.to_vec()).unwrap();
        Some((resource, related.media.to_vec(), related.content_type))
    }

    const ONE: &str = "multipart/related; boundary=one";

    #[test]
    fn both_parts_are_read_whatever_ends_the_lines() {
        let text = "--one\r\ncontent-type: application/json\r\n\r\n{}\r\n--one\r\nContent-Type: a/b\r\n\r\nMiso\r\n--one--";
        let expected = Some(("{}".to_owned(), b"Miso".to_vec(), Some("a/b".to_owned())));
        assert_eq!(parts(ONE, text.as_bytes()), expected);
        assert_eq!(parts(ONE, format!("{text}\r\n").as_bytes()), expected);
        let plain = text.replace('\r', "");
        assert_eq!(
            parts("multipart/related; boundary='one'", plain.as_bytes()),
            expected
        );
        assert_eq!(
            parts("Multipart/Related; BOUNDARY=\"one\"; x=y", plain.as_bytes()),
            expected
        );
    }

    #[test]
    fn a_content_may_look_like_a_boundary() {
        for content in [
            &b""[..],
            b"\r\n",
            b"--one",
            b"\r\n--one\r\n\r\nx",
            b"\n--one--\n",
            b"\0\xff--one",
        ] {
            let body = [
                b"--one\r\n\r\n{}\r\n--one\r\n\r\n",
                content,
                b"\r\n--one--\r\n",
            ]
            .concat();
            let expected = Some(("{}".to_owned(), content.to_vec(), None));
            assert_eq!(parts(ONE, &body), expected, "{content:?}");
        }
    }

    #[test]
    fn a_third_part_is_one_only_if_it_holds_checksums() {
        let body = |last: &str| {
            format!("--one\r\n\r\n{{}}\r\n--one\r\n\r\nMiso\r\n--one\r\n\r\n{last}\r\n--one--\r\n")
        };
        let read = |last: &str| {
            let read = read(ONE, &body(last).into()).unwrap();
            (
                String::from_utf8(read.media.to_vec()).unwrap(),
                read.trailer.crc32c,
            )
        };
        let told = Some("AAAA".to_owned());
        assert_eq!(read(r#"{"crc32c":"AAAA"}"#), ("Miso".to_owned(), told));
        for last in ["{}", "x", r#"{"crc32c":"AAAA","size":"4"}"#] {
            let content = format!("Miso\r\n--one\r\n\r\n{last}");
            assert_eq!(read(last), (content, None));
        }
    }

    #[test]
    fn what_is_not_two_parts_is_refused() {
        for body in [
            "",
            "--one",
            "--one\r\n",
            "--one\r\n\r\n{}\r\n--one--",
            "--two\r\n\r\n{}\r\n--two\r\n\r\nx\r\n--two--",
        ] {
            assert_eq!(parts(ONE, body.as_bytes()), None, "{body:?}");
        }
        for kind in [
            "",
            "application/json",
            "multipart/related",
            "multipart/related; boundary=",
        ] {
            assert_eq!(boundary(kind), None, "{kind}");
        }
    }
}
