//! The body of a request: taken in with one copy, and its checksums with it.

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, HeaderName};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::storage::refusal::{Refusal, Wrong};
use crate::storage::store::content::{Content, Promised, Sums};
use crate::storage::wire::params;

/// In bytes. The service takes 5 TiB; all that lies here lies in memory.
const LARGEST: usize = 2 << 30;
/// How much room is made for a body on its word alone.
const ROOM: usize = 64 << 20;

const GOOG_HASH: HeaderName = HeaderName::from_static("x-goog-hash");
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// The whole body, with its checksums.
pub(crate) async fn content(headers: &HeaderMap, body: Body) -> Result<Content, Refusal> {
    let mut sums = Sums::default();
    let bytes = collect(headers, body, |frame| sums.update(frame)).await?;
    Ok(sums.over(bytes))
}

/// The whole body.
pub(crate) async fn bytes(headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
    collect(headers, body, |_| {}).await
}

async fn collect(
    headers: &HeaderMap,
    body: Body,
    mut see: impl FnMut(&[u8]),
) -> Result<Bytes, Refusal> {
    let announced = params::text(headers, &CONTENT_LENGTH);
    let announced = announced
        .and_then(|length| params::read(&length))
        .unwrap_or(0);
    if announced > LARGEST {
        return Err(too_large());
    }
    let mut bytes = BytesMut::with_capacity(announced.min(ROOM));
    let mut frames = body.into_data_stream();
    while let Some(frame) = frames.next().await {
        let frame =
            frame.map_err(|fault| Refusal::invalid(format!("The body broke off: {fault}")))?;
        if bytes.len() + frame.len() > LARGEST {
            return Err(too_large());
        }
        see(&frame);
        bytes.extend_from_slice(&frame);
    }
    Ok(bytes.freeze())
}

fn too_large() -> Refusal {
    let message = format!("The mock keeps objects of up to {LARGEST} bytes.");
    Refusal::new(Wrong::TooLarge, message)
}

/// Listens to the end, and keeps nothing: who is refused while they speak hears a broken line, and
/// not why.
pub(crate) async fn heard_out(request: Request) {
    let mut frames = request.into_body().into_data_stream();
    while let Some(Ok(_)) = frames.next().await {}
}

/// The checksums that the headers promise.
pub(crate) fn promised(headers: &HeaderMap) -> Promised {
    let mut promised = Promised::default();
    if let Some(sums) = params::text(headers, &GOOG_HASH) {
        promised.add(&sums);
    }
    promised.md5 = promised.md5.or_else(|| params::text(headers, &CONTENT_MD5));
    promised
}
