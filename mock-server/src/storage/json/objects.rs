//! Reading objects, and changing what is said of them.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::call::Call;
use crate::storage::Storage;
use crate::storage::refusal::Refusal;
use crate::storage::store::object::Attributes;
use crate::storage::wire::download::{self, Api};

type Answer = Result<Response, Refusal>;
type Named = Path<(String, String)>;

pub(super) async fn get(state: State<Storage>, named: Named, call: Call) -> Answer {
    if call.params.text("alt") == Some("media") {
        return download(state, named, call).await;
    }
    let (State(storage), Path((bucket, object))) = (state, named);
    let wanted = call.wanted(&bucket, &object)?;
    let object = storage.with(|store, _| store.get(&wanted))?;
    storage.note("storage.get", "metadata", &object);
    Ok(call.object(&storage, &object))
}

pub(super) async fn download(
    State(storage): State<Storage>,
    Path((bucket, object)): Named,
    call: Call,
) -> Answer {
    let wanted = call.wanted(&bucket, &object)?;
    let object = storage.with(|store, _| store.get(&wanted))?;
    storage.note("storage.get", "media", &object);
    download::respond(&object, &call.headers, Api::Json)
}

pub(super) async fn patch(
    State(storage): State<Storage>,
    Path((bucket, object)): Named,
    mut call: Call,
) -> Answer {
    let patch = call.resource().await?;
    let wanted = call.wanted(&bucket, &object)?;
    let amended =
        storage.with(|store, now| store.amend(&wanted, now, |said| said.patched(&patch)))?;
    storage.note("storage.put", "patch", &amended);
    Ok(call.object(&storage, &amended))
}

/// Replaces all that was said of it.
pub(super) async fn update(
    State(storage): State<Storage>,
    Path((bucket, object)): Named,
    mut call: Call,
) -> Answer {
    let said = Attributes::of(&call.resource().await?)?;
    let wanted = call.wanted(&bucket, &object)?;
    let amended = storage.with(|store, now| store.amend(&wanted, now, |_| Ok(said)))?;
    storage.note("storage.put", "update", &amended);
    Ok(call.object(&storage, &amended))
}

pub(super) async fn delete(
    State(storage): State<Storage>,
    Path((bucket, object)): Named,
    call: Call,
) -> Answer {
    let wanted = call.wanted(&bucket, &object)?;
    let deleted = storage.with(|store, now| store.delete(&wanted, now))?;
    storage.note("storage.delete", "json", &deleted);
    Ok(StatusCode::NO_CONTENT.into_response())
}
