//! What is asked of a bucket: its objects and its uploads under way.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::call::Call;
use super::document::{self, NAMESPACE};
use crate::storage::Storage;
use crate::storage::json;
use crate::storage::refusal::{Refusal, Wrong};
use crate::storage::store::listing::{LARGEST_PAGE, Page, PageToken, Query};
use crate::storage::store::object::Object;
use crate::storage::wire::date;

pub(super) fn answer(storage: &Storage, bucket: &str, call: &Call) -> Result<Response, Refusal> {
    match call.method.as_str() {
        "HEAD" => Ok(StatusCode::OK.into_response()),
        "GET" if call.params.has("uploads") => uploads(storage, bucket),
        "GET" => list(storage, bucket, call),
        "PUT" => Err(Refusal::new(
            Wrong::BucketExists,
            "Your previous request to create the named bucket succeeded and you already own it.",
        )),
        "DELETE" => {
            storage.with(|store, _| store.delete_bucket(bucket, &Default::default()))?;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        _ => Err(Refusal::new(
            Wrong::Unserved,
            "The specified method is not allowed against this resource.",
        )),
    }
}

fn list(storage: &Storage, bucket: &str, call: &Call) -> Result<Response, Refusal> {
    let query = query(call)?;
    let page = storage.with(|store, _| store.list(bucket, &query))?;
    let fields = [
        ("bucket", Value::from(bucket)),
        ("prefix", Value::from(&*query.prefix)),
        ("objects", Value::from(page.objects.len())),
        ("prefixes", Value::from(page.prefixes.len())),
        ("more", Value::from(page.next.is_some())),
    ];
    storage.write("storage.list", fields);
    Ok(document::of(&listing(bucket, call, &query, page)))
}

fn query(call: &Call) -> Result<Query, Refusal> {
    let own = |name| call.params.text(name).map(str::to_owned);
    let behind = match own("start-after") {
        Some(behind) => Some(behind),
        None => own("marker"),
    };
    let token = call.params.text("continuation-token");
    let limit: Option<usize> = call.params.number("max-keys")?;
    Ok(Query {
        prefix: own("prefix").unwrap_or_default(),
        delimiter: own("delimiter"),
        behind,
        page: token.map(PageToken::parse).transpose()?,
        limit: limit.map(|limit| limit.min(LARGEST_PAGE)),
        ..Query::default()
    })
}

fn listing(bucket: &str, call: &Call, query: &Query, page: Page) -> document::Listing {
    let is_second = call.params.text("list-type") == Some("2");
    let is_encoded = call.params.text("encoding-type") == Some("url");
    let name = |name: &str| match is_encoded {
        true => json::escaped(name),
        false => name.to_owned(),
    };
    let next = page.next;
    let marker = next.as_ref().map(|next| match next {
        PageToken::Object(last, _) | PageToken::Prefix(last) => name(last),
    });
    document::Listing {
        namespace: NAMESPACE,
        name: bucket.to_owned(),
        prefix: name(&query.prefix),
        delimiter: query.delimiter.as_deref().map(name),
        encoding_type: is_encoded.then_some("url"),
        max_keys: query.limit.unwrap_or(LARGEST_PAGE),
        key_count: is_second.then(|| page.objects.len() + page.prefixes.len()),
        is_truncated: next.is_some(),
        next_continuation_token: next.filter(|_| is_second).map(|next| next.text()),
        next_marker: marker.filter(|_| !is_second),
        contents: page
            .objects
            .iter()
            .map(|object| listed(object, name(&object.at.object)))
            .collect(),
        common_prefixes: page
            .prefixes
            .iter()
            .map(|prefix| document::CommonPrefix {
                prefix: name(prefix),
            })
            .collect(),
    }
}

fn listed(object: &Object, key: String) -> document::Listed {
    document::Listed {
        key,
        generation: object.generation,
        meta_generation: object.metageneration,
        last_modified: date::api(object.updated),
        etag: object.entity_tag(),
        size: object.content.len(),
        storage_class: object.storage_class().to_owned(),
    }
}

fn uploads(storage: &Storage, bucket: &str) -> Result<Response, Refusal> {
    let upload = storage.with(|store, _| {
        let uploads = store.part_uploads(bucket)?.into_iter();
        Ok(uploads
            .map(|upload| document::Upload {
                key: upload.draft.at.object.to_string(),
                upload_id: upload.id.clone(),
                initiated: date::api(upload.began),
            })
            .collect())
    })?;
    Ok(document::of(&document::Uploads {
        namespace: NAMESPACE,
        bucket,
        is_truncated: false,
        upload,
    }))
}
