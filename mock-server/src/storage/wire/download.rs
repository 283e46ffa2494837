//! An object's content as a response: whole, a range of it, or unpacked.

use std::io::Read;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING,
    CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, RANGE,
    WARNING,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;

use crate::storage::refusal::Refusal;
use crate::storage::store::content::Content;
use crate::storage::store::object::Object;
use crate::storage::wire::{date, params};

/// How an object's tag reads in this API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Json,
    Xml,
}

/// What of an object is answered.
#[derive(Debug)]
enum Part {
    Whole(Bytes),
    Range(u64, u64, Bytes),
    Unpacked(Bytes),
}

/// The content, as the headers ask for it. `HEAD` gets the same; its body is dropped on the
/// way.
pub(crate) fn respond(object: &Object, asked: &HeaderMap, api: Api) -> Result<Response, Refusal> {
    let part = part(object, asked)?;
    let mut headers = headers(object, api);
    let whole = object.content.len();
    let (status, bytes) = match part {
        Part::Whole(bytes) => (StatusCode::OK, bytes),
        Part::Range(first, last, bytes) => {
            put(
                &mut headers,
                CONTENT_RANGE,
                &format!("bytes {first}-{last}/{whole}"),
            );
            (StatusCode::PARTIAL_CONTENT, bytes)
        }
        Part::Unpacked(bytes) => {
            headers.remove(CONTENT_ENCODING);
            headers.remove(ACCEPT_RANGES);
            put(&mut headers, WARNING, "214 UploadServer gunzipped");
            let transformed = HeaderName::from_static("x-guploader-response-body-transformations");
            put(&mut headers, transformed, "gunzipped");
            (StatusCode::OK, bytes)
        }
    };
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    Ok((status, headers, Body::from(bytes)).into_response())
}

fn part(object: &Object, asked: &HeaderMap) -> Result<Part, Refusal> {
    let bytes = object.content.bytes.clone();
    if let Some(unpacked) = unpacked(object, asked) {
        // Of what is unpacked there are no ranges.
        return Ok(Part::Unpacked(unpacked));
    }
    let range = params::text(asked, &RANGE).as_deref().and_then(Span::parse);
    let Some(range) = range else {
        return Ok(Part::Whole(bytes));
    };
    let size = bytes.len() as u64;
    let Some((first, last)) = range.within(size) else {
        return Err(Refusal::range(size));
    };
    let index = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX);
    let slice = bytes.slice(index(first)..=index(last));
    Ok(Part::Range(first, last, slice))
}

/// What is kept packed is unpacked for a client that does not take it so. What only says that
/// it is packed is left alone.
fn unpacked(object: &Object, asked: &HeaderMap) -> Option<Bytes> {
    let attributes = &object.attributes;
    let is_packed = attributes.content_encoding.as_deref() == Some("gzip");
    let cache = attributes.cache_control.as_deref().unwrap_or("");
    let takes = params::text(asked, &ACCEPT_ENCODING).is_some_and(|names| {
        names
            .split(',')
            .any(|name| matches!(name.split(';').next().map(str::trim), Some("gzip" | "*")))
    });
    if !is_packed || takes || cache.contains("no-transform") {
        return None;
    }
    let mut unpacked = Vec::new();
    match MultiGzDecoder::new(&*object.content.bytes).read_to_end(&mut unpacked) {
        Ok(_) => Some(unpacked.into()),
        Err(_not_packed) => None,
    }
}

/// What is said of an object beside its content.
pub(crate) fn headers(object: &Object, api: Api) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let attributes = &object.attributes;
    put(&mut headers, CONTENT_TYPE, object.content_type());
    let told = [
        (CONTENT_ENCODING, &attributes.content_encoding),
        (CONTENT_DISPOSITION, &attributes.content_disposition),
        (CONTENT_LANGUAGE, &attributes.content_language),
        (CACHE_CONTROL, &attributes.cache_control),
    ];
    for (name, value) in told {
        if let Some(value) = value {
            put(&mut headers, name, value);
        }
    }
    put(&mut headers, LAST_MODIFIED, &date::http(object.updated));
    put(&mut headers, ACCEPT_RANGES, "bytes");
    let encoding = attributes.content_encoding.as_deref().unwrap_or("identity");
    goog(&mut headers, "stored-content-encoding", encoding);
    goog(
        &mut headers,
        "stored-content-length",
        &object.content.len().to_string(),
    );
    goog(&mut headers, "storage-class", object.storage_class());
    if let Some(components) = object.components {
        goog(&mut headers, "component-count", &components.to_string());
    }
    identity(&mut headers, object, api);
    for (name, value) in &attributes.metadata {
        goog(&mut headers, &format!("meta-{name}"), value);
    }
    headers
}

/// By what an object is known: its numbers, tag and checksums.
pub(crate) fn identity(headers: &mut HeaderMap, object: &Object, api: Api) {
    goog(headers, "generation", &object.generation.to_string());
    goog(
        headers,
        "metageneration",
        &object.metageneration.to_string(),
    );
    let tag = match api {
        Api::Json => object.etag(),
        Api::Xml => object.entity_tag(),
    };
    put(headers, ETAG, &tag);
    hashes(headers, &object.content, api);
}

/// The checksums of a content. There are clients that read those of the JSON API only if they
/// are one header.
pub(crate) fn hashes(headers: &mut HeaderMap, content: &Content, api: Api) {
    let crc32c = format!("crc32c={}", content.crc32c_text());
    let md5 = content.md5_text().map(|md5| format!("md5={md5}"));
    let sums = match (api, md5) {
        (Api::Json, Some(md5)) => vec![format!("{crc32c},{md5}")],
        (Api::Json | Api::Xml, md5) => [crc32c].into_iter().chain(md5).collect(),
    };
    sums.iter().for_each(|sum| goog(headers, "hash", sum));
}

/// What cannot stand in a header is left out: the object is of more use without it.
fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(name, value);
    }
}

fn goog(headers: &mut HeaderMap, name: &str, value: &str) {
    let name = HeaderName::try_from(format!("x-goog-{name}"));
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
        headers.append(name, value);
    }
}

/// A range of bytes as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Span {
    From(u64),
    Between(u64, u64),
    Last(u64),
}

impl Span {
    /// One range. What is none, or several, is not heeded, as with the service.
    fn parse(header: &str) -> Option<Self> {
        let (first, last) = header.trim().strip_prefix("bytes=")?.split_once('-')?;
        match (first.trim(), last.trim()) {
            ("", last) => Some(Self::Last(params::read(last)?)),
            (first, "") => Some(Self::From(params::read(first)?)),
            (first, last) => {
                let (first, last) = (params::read(first)?, params::read(last)?);
                (first <= last).then_some(Self::Between(first, last))
            }
        }
    }

    /// First and last byte of it in so many; none if it is outside.
    fn within(self, size: u64) -> Option<(u64, u64)> {
        let end = size.checked_sub(1)?;
        let (first, last) = match self {
            Self::From(first) => (first, end),
            Self::Between(first, last) => (first, last.min(end)),
            Self::Last(0) => return None,
            Self::Last(count) => (size.saturating_sub(count), end),
        };
        (first <= last).then_some((first, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_what_is_there() {
        #[track_caller]
        fn check(header: &str, size: u64, expected: Option<(u64, u64)>) {
            let span = Span::parse(header).unwrap();
            assert_eq!(span.within(size), expected, "{header} of {size}");
        }
        check("bytes=0-3", 10, Some((0, 3)));
        check("bytes=8-", 10, Some((8, 9)));
        check("bytes=-3", 10, Some((7, 9)));
        check("bytes=-30", 10, Some((0, 9)));
        check("bytes=0-99", 10, Some((0, 9)));
        check("bytes=10-", 10, None);
        check("bytes=-0", 10, None);
        check("bytes=0-", 0, None);
        for none in [
            "bytes=",
            "bytes=3-1",
            "bytes=a-b",
            "items=0-1",
            "bytes=0-1,3-4",
            "",
        ] {
            assert_eq!(Span::parse(none), None, "{none}");
        }
    }
}
