//! Uploads in parts.

use axum::http::header::ETAG;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::call::Call;
use super::document::{self, Completion, NAMESPACE};
use super::object::identity;
use crate::storage::Storage;
use crate::storage::refusal::Refusal;
use crate::storage::store::object::Address;
use crate::storage::store::sessions;
use crate::storage::wire::download::{self, Api};
use crate::storage::wire::{base, body, date};

pub(super) fn begin(storage: &Storage, at: &Address, call: &Call) -> Result<Response, Refusal> {
    let draft = call.draft(at.clone())?;
    let id = storage.with(|store, now| store.begin_parts(draft, now))?;
    Ok(document::of(&document::Initiated {
        namespace: NAMESPACE,
        bucket: &at.bucket,
        key: &at.object,
        upload_id: &id,
    }))
}

fn id(call: &Call) -> Result<String, Refusal> {
    call.params.required("uploadId").map(str::to_owned)
}

pub(super) async fn put_part(
    storage: &Storage,
    at: &Address,
    call: Call,
) -> Result<Response, Refusal> {
    let id = id(&call)?;
    call.params.required("partNumber")?;
    let number = call.params.number("partNumber")?.unwrap_or(0);
    let content = body::content(&call.headers, call.body).await?;
    sessions::check(&body::promised(&call.headers), &content)?;
    let part = (number, content);
    let part = storage.with(|store, now| store.put_part(at, &id, part, now))?;
    let mut headers = HeaderMap::new();
    download::hashes(&mut headers, &part.content, Api::Xml);
    Ok(([(ETAG, part.entity_tag())], headers).into_response())
}

pub(super) async fn complete(
    storage: &Storage,
    at: &Address,
    call: Call,
) -> Result<Response, Refusal> {
    let (id, base) = (id(&call)?, base(storage, &call.headers));
    let conditions = call.conditions()?;
    let text = body::bytes(&call.headers, call.body).await?;
    let parts = Completion::read(&text)?;
    let object = storage.with(|store, now| store.complete(at, &id, (&parts, &conditions), now))?;
    storage.write("storage.finalize", [("upload", Value::from(id))]);
    storage.note("storage.put", "multipart", &object);
    let completed = document::Completed {
        namespace: NAMESPACE,
        location: format!("{base}/{}/{}", at.bucket, at.object),
        bucket: &at.bucket,
        key: &at.object,
        etag: object.entity_tag(),
    };
    let headers: HeaderMap = identity(&object);
    Ok((headers, document::of(&completed)).into_response())
}

pub(super) fn list_parts(
    storage: &Storage,
    at: &Address,
    call: &Call,
) -> Result<Response, Refusal> {
    let id = id(call)?;
    let upload = storage.with(|store, _| store.parts(at, &id).cloned())?;
    let part = upload.parts.iter().map(|(number, part)| document::Part {
        part_number: *number,
        last_modified: date::api(part.uploaded),
        etag: part.entity_tag(),
        size: part.content.len(),
    });
    Ok(document::of(&document::Parts {
        namespace: NAMESPACE,
        bucket: &at.bucket,
        key: &at.object,
        upload_id: &id,
        is_truncated: false,
        part: part.collect(),
    }))
}

pub(super) fn abort(storage: &Storage, at: &Address, call: &Call) -> Result<Response, Refusal> {
    let id = id(call)?;
    storage.with(|store, _| store.abort_parts(at, &id))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
