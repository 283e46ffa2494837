//! Buckets and objects as the JSON API writes them. Numbers of 64 bits are texts there.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::storage::store::bucket::Bucket;
use crate::storage::store::object::{Attributes, Object};
use crate::storage::wire::date;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ObjectResource<'a> {
    kind: &'static str,
    id: String,
    self_link: String,
    media_link: String,
    name: &'a str,
    bucket: &'a str,
    generation: String,
    metageneration: String,
    #[serde(flatten)]
    attributes: Cow<'a, Attributes>,
    storage_class: &'a str,
    size: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    md5_hash: Option<String>,
    crc32c: String,
    etag: String,
    time_created: String,
    updated: String,
    time_storage_class_updated: String,
    time_finalized: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_deleted: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component_count: Option<usize>,
}

/// An object; `base` is where its links lead.
pub(super) fn object<'a>(object: &'a Object, base: &str) -> ObjectResource<'a> {
    let Object { at, content, .. } = object;
    let (bucket, name, generation) = (&*at.bucket, &*at.object, object.generation);
    let path = format!("storage/v1/b/{}/o/{}", escaped(bucket), escaped(name));
    let created = date::api(object.created);
    ObjectResource {
        kind: "storage#object",
        id: format!("{bucket}/{name}/{generation}"),
        self_link: format!("{base}/{path}"),
        media_link: format!("{base}/download/{path}?generation={generation}&alt=media"),
        name,
        bucket,
        generation: generation.to_string(),
        metageneration: object.metageneration.to_string(),
        attributes: unclassed(&object.attributes),
        storage_class: object.storage_class(),
        size: content.len().to_string(),
        md5_hash: content.md5_text(),
        crc32c: content.crc32c_text(),
        etag: object.etag(),
        time_storage_class_updated: created.clone(),
        time_finalized: created.clone(),
        time_created: created,
        updated: date::api(object.updated),
        time_deleted: object.deleted.map(date::api),
        component_count: object.components,
    }
}

/// Every resource has a class, whether one was told or not.
fn unclassed(attributes: &Attributes) -> Cow<'_, Attributes> {
    match attributes.storage_class {
        None => Cow::Borrowed(attributes),
        Some(_) => Cow::Owned(Attributes {
            storage_class: None,
            ..attributes.clone()
        }),
    }
}

/// A bucket: what the service says of it, and what clients have told.
pub(crate) fn bucket(bucket: &Bucket, base: &str) -> Value {
    let name = &*bucket.name;
    let own = json!({
        "kind": "storage#bucket",
        "id": name,
        "selfLink": format!("{base}/storage/v1/b/{}", escaped(name)),
        "name": name,
        "projectNumber": "0",
        "metageneration": bucket.metageneration.to_string(),
        "etag": format!("CA{}=", char::from(b'A' + u8::try_from(bucket.metageneration % 26).unwrap_or(0))),
        "timeCreated": date::api(bucket.created),
        "updated": date::api(bucket.updated),
    });
    let usual = json!({
        "location": "US",
        "locationType": "multi-region",
        "storageClass": "STANDARD",
        "iamConfiguration": {
            "uniformBucketLevelAccess": { "enabled": false },
            "publicAccessPrevention": "inherited",
        },
    });
    let mut resource = Map::new();
    for part in [own, usual, Value::Object(bucket.settings.clone())] {
        if let Value::Object(part) = part {
            resource.extend(part);
        }
    }
    Value::Object(resource)
}

/// As one segment of a path.
pub(crate) fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, SEGMENT).to_string()
}

const SEGMENT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
