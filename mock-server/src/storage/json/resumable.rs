//! Uploads in several requests.

use axum::extract::State;
use axum::http::header::{CONTENT_RANGE, LOCATION, RANGE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::call::{Call, read_resource};
use super::{insert, resource};
use crate::storage::Storage;
use crate::storage::refusal::Refusal;
use crate::storage::store::sessions::{Chunk, Progress, Span};
use crate::storage::wire::{base, body, params};

const CONTENT_TYPE: HeaderName = HeaderName::from_static("x-upload-content-type");
const CONTENT_LENGTH: HeaderName = HeaderName::from_static("x-upload-content-length");
const UPLOAD_ID: HeaderName = HeaderName::from_static("x-guploader-uploadid");

/// Tells the place to which the chunks go.
pub(super) async fn begin(
    storage: &Storage,
    bucket: &str,
    mut call: Call,
) -> Result<Response, Refusal> {
    let body = call.take_body();
    let resource = read_resource(&body::bytes(&call.headers, body).await?)?;
    let mut draft = insert::draft(&call, bucket, &resource)?;
    let kind = &mut draft.attributes.content_type;
    *kind = kind.take().or(params::text(&call.headers, &CONTENT_TYPE));
    let size = match params::text(&call.headers, &CONTENT_LENGTH) {
        None => None,
        Some(text) => {
            let invalid =
                |_| Refusal::invalid(format!("Invalid X-Upload-Content-Length: '{text}'"));
            Some(text.parse().map_err(invalid)?)
        }
    };
    let promised = insert::promised(&resource);
    let name = draft.at.object.to_string();
    let id = storage.with(|store, _| store.begin(draft, promised, size))?;
    let base = base(storage, &call.headers);
    let place = format!(
        "{base}/upload/storage/v1/b/{}/o?uploadType=resumable&name={}&upload_id={id}",
        resource::escaped(bucket),
        resource::escaped(&name),
    );
    Ok((StatusCode::OK, [(LOCATION, place), (UPLOAD_ID, id)]).into_response())
}

pub(super) async fn receive(
    State(storage): State<Storage>,
    mut call: Call,
) -> Result<Response, Refusal> {
    let id = call.params.required("upload_id")?.to_owned();
    let body = call.take_body();
    let bytes = body::bytes(&call.headers, body).await?;
    let chunk = Chunk {
        span: span(&call, bytes.len() as u64)?,
        bytes,
        promised: body::promised(&call.headers),
    };
    let progress = storage.with(|store, now| store.receive(&id, &chunk, now))?;
    match progress {
        Progress::Received(count) => Ok(incomplete(count, id)),
        Progress::WasFinished(object) => Ok(call.object(&storage, &object)),
        Progress::Finished(object) => {
            storage.write("storage.finalize", [("upload", Value::from(id))]);
            storage.note("storage.put", "resumable", &object);
            Ok(call.object(&storage, &object))
        }
    }
}

/// What is not said to be a part is the whole.
fn span(call: &Call, length: u64) -> Result<Span, Refusal> {
    if let Some(told) = params::text(&call.headers, &CONTENT_RANGE) {
        let invalid = || Refusal::invalid(format!("Invalid Content-Range: '{told}'"));
        return Span::parse(&told, length).ok_or_else(invalid);
    }
    Ok(Span {
        range: length.checked_sub(1).map(|last| (0, last)),
        size: Some(length),
    })
}

/// 308, and what is kept; of nothing there is no range.
fn incomplete(count: u64, id: String) -> Response {
    let kept = count
        .checked_sub(1)
        .map(|last| [(RANGE, format!("bytes=0-{last}"))]);
    let id = [(UPLOAD_ID, id)];
    match kept {
        Some(kept) => (StatusCode::PERMANENT_REDIRECT, id, kept).into_response(),
        None => (StatusCode::PERMANENT_REDIRECT, id).into_response(),
    }
}

/// "Client closed request": the service's answer to a cancelled upload.
const CLOSED: u16 = 499;

pub(super) async fn cancel(
    State(storage): State<Storage>,
    call: Call,
) -> Result<Response, Refusal> {
    let id = call.params.required("upload_id")?;
    storage.with(|store, _| store.cancel(id))?;
    let closed = StatusCode::from_u16(CLOSED).unwrap_or(StatusCode::NO_CONTENT);
    Ok(closed.into_response())
}
