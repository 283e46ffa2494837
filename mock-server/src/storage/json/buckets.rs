//! Operations on buckets.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use serde_json::{Value, json};

use super::call::Call;
use super::resource;
use crate::storage::Storage;
use crate::storage::refusal::{Refusal, Wrong};
use crate::storage::wire::base;

type Answer = Result<Response, Refusal>;

pub(super) async fn insert(State(storage): State<Storage>, mut call: Call) -> Answer {
    let settings = call.resource().await?;
    let name = settings.get("name").and_then(Value::as_str);
    let missing = || Refusal::new(Wrong::Required, "Required parameter: name");
    let name = name.ok_or_else(missing)?.to_owned();
    let base = base(&storage, &call.headers);
    let made = storage.with(|store, now| {
        let bucket = store.create_bucket(&name, settings, now);
        bucket.map(|bucket| resource::bucket(bucket, &base))
    })?;
    Ok(call.answer(&made))
}

pub(super) async fn list(State(storage): State<Storage>, call: Call) -> Answer {
    let base = base(&storage, &call.headers);
    let limit = call
        .params
        .number("maxResults")?
        .unwrap_or(1_000)
        .clamp(1, 1_000);
    let prefix = call.params.text("prefix").unwrap_or("");
    let behind = call.params.text("pageToken").unwrap_or("");
    let mut items: Vec<_> = storage.with(|store, _| {
        let named = store
            .buckets()
            .filter(|bucket| bucket.name.starts_with(prefix));
        let named = named
            .filter(|bucket| *bucket.name > *behind)
            .take(limit + 1);
        named
            .map(|bucket| resource::bucket(bucket, &base))
            .collect()
    });
    let mut answer = json!({ "kind": "storage#buckets" });
    if items.len() > limit {
        items.truncate(limit);
        answer["nextPageToken"] = items[limit - 1]["name"].clone();
    }
    if !items.is_empty() {
        answer["items"] = items.into();
    }
    Ok(call.answer(&answer))
}

pub(super) async fn get(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    call: Call,
) -> Answer {
    let base = base(&storage, &call.headers);
    let conditions = call.conditions()?;
    let found = storage.with(|store, _| {
        let bucket = store.bucket(&bucket)?;
        conditions.allow_bucket(bucket.metageneration, true)?;
        Ok(resource::bucket(bucket, &base))
    })?;
    Ok(call.answer(&found))
}

pub(super) async fn patch(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    call: Call,
) -> Answer {
    change(&storage, &bucket, call, false).await
}

/// Replaces all that was told of it.
pub(super) async fn update(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    call: Call,
) -> Answer {
    change(&storage, &bucket, call, true).await
}

async fn change(storage: &Storage, bucket: &str, mut call: Call, replaces: bool) -> Answer {
    let patch = call.resource().await?;
    let base = base(storage, &call.headers);
    let conditions = call.conditions()?;
    let changed = storage.with(|store, now| {
        let bucket = store.bucket_mut(bucket)?;
        conditions.allow_bucket(bucket.metageneration, false)?;
        if replaces {
            bucket.settings.clear();
        }
        bucket.patch(&patch, now);
        Ok(resource::bucket(bucket, &base))
    })?;
    Ok(call.answer(&changed))
}

pub(super) async fn delete(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    call: Call,
) -> Answer {
    let conditions = call.conditions()?;
    storage.with(|store, _| store.delete_bucket(&bucket, &conditions))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Nobody is kept out, so there is nothing to tell.
pub(super) async fn policy(State(storage): State<Storage>, Path(bucket): Path<String>) -> Answer {
    storage.with(|store, _| store.bucket(&bucket).map(|_| ()))?;
    let resource = format!("projects/_/buckets/{bucket}");
    let policy = json!({ "kind": "storage#policy", "resourceId": resource, "version": 1, "etag": "CAE=", "bindings": [] });
    Ok(Json(policy).into_response())
}

/// A policy is taken, said back, and not heeded.
pub(super) async fn set_policy(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    mut call: Call,
) -> Answer {
    storage.with(|store, _| store.bucket(&bucket).map(|_| ()))?;
    let policy = call.resource().await?;
    Ok(call.answer(&policy))
}

/// All permissions that are asked for are there.
pub(super) async fn permissions(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    axum::extract::RawQuery(query): axum::extract::RawQuery,
) -> Answer {
    storage.with(|store, _| store.bucket(&bucket).map(|_| ()))?;
    let query = query.unwrap_or_default();
    let asked = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("permissions="));
    let asked: Vec<_> = asked.collect();
    let answer = json!({ "kind": "storage#testIamPermissionsResponse", "permissions": asked });
    Ok(Json(answer).into_response())
}

pub(super) async fn service_account(Path(project): Path<String>) -> Json<Value> {
    let address = format!("service-{project}@gs-project-accounts.iam.gserviceaccount.com");
    Json(json!({ "kind": "storage#serviceAccount", "email_address": address }))
}
