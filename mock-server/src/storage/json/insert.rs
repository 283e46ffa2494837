//! Uploads in one request: the content alone, or with what is said of it before it.

use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;

use super::call::{Call, read_resource};
use super::{related, resumable};
use crate::storage::Storage;
use crate::storage::refusal::Refusal;
use crate::storage::store::content::{Content, Promised};
use crate::storage::store::object::Attributes;
use crate::storage::store::{Draft, sessions};
use crate::storage::wire::{body, params};
use serde_json::{Map, Value};

pub(super) async fn insert(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    call: Call,
) -> Result<Response, Refusal> {
    // There are clients that send the chunks so as well.
    if call.params.has("upload_id") {
        return resumable::receive(State(storage), call).await;
    }
    match call.params.required("uploadType")? {
        "media" => media(&storage, &bucket, call).await,
        "multipart" => multipart(&storage, &bucket, call).await,
        "resumable" => resumable::begin(&storage, &bucket, call).await,
        other => Err(Refusal::invalid(format!(
            "Invalid value for uploadType: '{other}'"
        ))),
    }
}

async fn media(storage: &Storage, bucket: &str, mut call: Call) -> Result<Response, Refusal> {
    let body = call.take_body();
    let content = body::content(&call.headers, body).await?;
    let mut draft = draft(&call, bucket, &Map::new())?;
    draft.attributes.content_type = params::text(&call.headers, &CONTENT_TYPE);
    let promised = body::promised(&call.headers);
    finish(storage, &call, "media", (draft, content, promised))
}

async fn multipart(storage: &Storage, bucket: &str, mut call: Call) -> Result<Response, Refusal> {
    let kind = params::text(&call.headers, &CONTENT_TYPE).unwrap_or_default();
    let body = call.take_body();
    let bytes = body::bytes(&call.headers, body).await?;
    let related = related::read(&kind, &bytes)?;
    let resource = read_resource(&related.resource)?;
    let mut draft = draft(&call, bucket, &resource)?;
    let kind = &mut draft.attributes.content_type;
    *kind = kind.take().or(related.content_type);
    let trailer = Promised {
        crc32c: related.trailer.crc32c,
        md5: related.trailer.md5_hash,
    };
    let promised = trailer
        .or(promised(&resource))
        .or(body::promised(&call.headers));
    let content = Content::of(related.media);
    finish(storage, &call, "multipart", (draft, content, promised))
}

fn finish(
    storage: &Storage,
    call: &Call,
    how: &'static str,
    (draft, content, promised): (Draft, Content, Promised),
) -> Result<Response, Refusal> {
    sessions::check(&promised, &content)?;
    let object = storage.with(|store, now| store.put(draft, content, now))?;
    storage.note("storage.put", how, &object);
    Ok(call.object(storage, &object))
}

/// The object to be, of the request and the resource in it.
pub(super) fn draft(
    call: &Call,
    bucket: &str,
    resource: &Map<String, Value>,
) -> Result<Draft, Refusal> {
    let name = match call.params.text("name") {
        Some(name) => name,
        None => match resource.get("name").and_then(Value::as_str) {
            Some(name) => name,
            None => call.params.required("name")?,
        },
    };
    let mut draft = call.target(bucket, name)?;
    draft.attributes = Attributes::of(resource)?;
    if let Some(encoding) = call.params.text("contentEncoding") {
        draft.attributes.content_encoding = Some(encoding.to_owned());
    }
    Ok(draft)
}

/// The checksums that stand in a resource.
pub(super) fn promised(resource: &Map<String, Value>) -> Promised {
    let text = |name| {
        resource
            .get(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    Promised {
        crc32c: text("crc32c"),
        md5: text("md5Hash"),
    }
}
