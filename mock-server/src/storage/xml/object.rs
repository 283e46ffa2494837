//! Objects by their paths: read, put, copied, deleted.

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;

use super::call::Call;
use super::document;
use crate::storage::Storage;
use crate::storage::refusal::Refusal;
use crate::storage::store::object::{Address, Object};
use crate::storage::store::{Wanted, sessions};
use crate::storage::wire::download::{self, Api};
use crate::storage::wire::{body, date};

pub(super) fn get(storage: &Storage, at: Address, call: &Call) -> Result<Response, Refusal> {
    let wanted = call.wanted(at)?;
    let object = storage.with(|store, _| store.get(&wanted))?;
    let how = if call.method == "HEAD" { "head" } else { "xml" };
    storage.note("storage.get", how, &object);
    download::respond(&object, &call.headers, Api::Xml)
}

pub(super) async fn put(storage: &Storage, at: Address, call: Call) -> Result<Response, Refusal> {
    if let Some(source) = call.header("x-goog-copy-source") {
        return copy(storage, at, &call, &source);
    }
    let draft = call.draft(at)?;
    let content = body::content(&call.headers, call.body).await?;
    sessions::check(&body::promised(&call.headers), &content)?;
    let object = storage.with(|store, now| store.put(draft, content, now))?;
    storage.note("storage.put", "xml", &object);
    Ok(identity(&object).into_response())
}

/// What a client is told of the object that it has made.
pub(super) fn identity(object: &Object) -> HeaderMap {
    let mut headers = HeaderMap::new();
    download::identity(&mut headers, object, Api::Xml);
    headers
}

fn copy(storage: &Storage, at: Address, call: &Call, source: &str) -> Result<Response, Refusal> {
    let source = Wanted {
        at: source_address(source)?,
        generation: call.source_generation()?,
        conditions: call.source_conditions()?,
    };
    let draft = call.draft(at)?;
    let replaces = call.header("x-goog-metadata-directive");
    let replaces = replaces.is_some_and(|word| word.eq_ignore_ascii_case("replace"));
    let says = replaces.then(|| draft.attributes.clone());
    let object = storage.with(|store, now| store.copy(&source, draft, says, now))?;
    storage.note("storage.put", "copy", &object);
    let copied = document::Copied {
        last_modified: date::api(object.updated),
        etag: object.entity_tag(),
    };
    Ok((identity(&object), document::of(&copied)).into_response())
}

/// `bucket/object`, encoded like a path, with or without a slash before it.
fn source_address(source: &str) -> Result<Address, Refusal> {
    let invalid = || Refusal::invalid(format!("Invalid copy source: '{source}'"));
    let source = source.strip_prefix('/').unwrap_or(source);
    let (bucket, object) = source.split_once('/').ok_or_else(invalid)?;
    let decoded = |text| {
        percent_decode_str(text)
            .decode_utf8()
            .map_err(|_other| invalid())
    };
    Address::new(&decoded(bucket)?, &decoded(object)?)
}

pub(super) fn delete(storage: &Storage, at: Address, call: &Call) -> Result<Response, Refusal> {
    let wanted = call.wanted(at)?;
    let deleted = storage.with(|store, now| store.delete(&wanted, now))?;
    storage.note("storage.delete", "xml", &deleted);
    Ok(StatusCode::NO_CONTENT.into_response())
}
