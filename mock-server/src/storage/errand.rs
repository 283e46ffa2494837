//! What a request wants, known before it is done: for faults, for tests of retries, and for who
//! must show a token.

use axum::http::{Method, Uri};
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::llm::{Heard, TextPattern};
use crate::storage::wire::params::Params;
use crate::storage::xml::Place;

/// What can be done, in words that both APIs share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StorageVerb {
    /// An object is made: uploaded in one request, composed, copied or moved.
    Put,
    /// An upload in several requests begins.
    Begin,
    /// A chunk or a part of it comes, or somebody asks how far it is.
    Chunk,
    /// An object is made of the parts (XML API).
    Complete,
    /// An upload is given up.
    Cancel,
    /// A content or what is said of it is read.
    Get,
    /// What is said of an object is changed.
    Patch,
    Delete,
    List,
    /// Anything with a bucket alone.
    Bucket,
}

/// Which requests to the storage are meant. All that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StorageClause {
    /// What is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verb: Option<StorageVerb>,
    /// The bucket, exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// What the name of the object holds, or `/…/` for a pattern; of a listing, its prefix. An
    /// upload whose name stands in its body only has none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<TextPattern>,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Errand {
    pub(crate) verb: StorageVerb,
    /// As the JSON API calls it, e.g. `storage.objects.insert`.
    pub(crate) method: &'static str,
    pub(crate) bucket: Option<String>,
    /// Its name, or the prefix of a listing.
    pub(crate) object: Option<String>,
    pub(crate) is_xml: bool,
}

/// Before what a bucket's name stands, where it does not begin the path.
const PREFIXES: [&str; 6] = [
    "/resumable/upload/storage/v1",
    "/upload/storage/v1",
    "/download/storage/v1",
    "/storage/v1",
    "/upload",
    "/download",
];

impl StorageClause {
    pub(crate) fn holds(&self, errand: &Errand) -> bool {
        let object = errand.object.as_deref().unwrap_or("");
        self.verb.is_none_or(|verb| verb == errand.verb)
            && self
                .bucket
                .as_ref()
                .is_none_or(|bucket| errand.bucket.as_ref() == Some(bucket))
            && self
                .object
                .as_ref()
                .is_none_or(|pattern| pattern.is_in(&Heard::new(object)))
    }
}

impl Errand {
    /// Of a request to the JSON API; none for a batch, whose parts are errands of their own.
    pub(crate) fn of(method: &Method, uri: &Uri) -> Option<Self> {
        let path = uri.path();
        let prefix = PREFIXES.iter().find(|prefix| path.starts_with(**prefix));
        let prefix = prefix.copied().unwrap_or("");
        let rest = path.strip_prefix(prefix)?.strip_prefix("/b")?;
        let params = Params::lenient(uri);
        let names: Vec<_> = rest.split('/').skip(1).map(decoded).collect();
        let is_upload = prefix.contains("/upload");
        let (verb, name) = match &names[..] {
            [] | [_] => (StorageVerb::Bucket, of_bucket(method, names.len())),
            [_, o] if o == "o" && is_upload => {
                (of_upload(method, &params), "storage.objects.insert")
            }
            [_, o] if o == "o" => (StorageVerb::List, "storage.objects.list"),
            [_, o, _] if o == "o" => of_object(method),
            [_, o, _, change, ..] if o == "o" => (StorageVerb::Put, of_change(change)),
            _ => (StorageVerb::Bucket, "storage.buckets.other"),
        };
        let object = match &names[..] {
            [_, _, object] | [_, _, object, _] => Some(object.clone()),
            [_, _, _, _, .., to] => Some(to.clone()),
            _ if verb == StorageVerb::List => listed_prefix(&params),
            _ => params.text("name").map(str::to_owned),
        };
        Some(Self {
            verb,
            method: name,
            bucket: names.first().cloned(),
            object,
            is_xml: false,
        })
    }

    /// Of a request to the XML API.
    pub(crate) fn at(place: &Place, method: &Method, uri: &Uri) -> Self {
        let params = Params::lenient(uri);
        let (starts, continues) = (params.has("uploads"), params.has("uploadId"));
        let (verb, name) = match (method.as_str(), place.object.is_some()) {
            ("GET", false) => (StorageVerb::List, "storage.objects.list"),
            (_, false) => (StorageVerb::Bucket, of_bucket(method, 1)),
            ("POST", true) if starts => (StorageVerb::Begin, "storage.objects.insert"),
            ("POST", true) if continues => (StorageVerb::Complete, "storage.objects.insert"),
            ("PUT" | "GET", true) if continues => (StorageVerb::Chunk, "storage.objects.insert"),
            ("DELETE", true) if continues => (StorageVerb::Cancel, "storage.objects.insert"),
            ("PUT" | "POST", true) => (StorageVerb::Put, "storage.objects.insert"),
            (_, true) => of_object(method),
        };
        Self {
            verb,
            method: name,
            bucket: Some(place.bucket.clone()),
            object: match &place.object {
                None if verb == StorageVerb::List => listed_prefix(&params),
                object => object.clone(),
            },
            is_xml: true,
        }
    }

    /// Whether it needs no more than a scope for reading.
    pub(crate) fn only_reads(&self) -> bool {
        matches!(self.verb, StorageVerb::Get | StorageVerb::List)
            || matches!(self.method, "storage.buckets.get" | "storage.buckets.list")
    }
}

fn listed_prefix(params: &Params) -> Option<String> {
    params.text("prefix").map(str::to_owned)
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

fn of_bucket(method: &Method, names: usize) -> &'static str {
    match (method.as_str(), names) {
        ("POST", _) => "storage.buckets.insert",
        ("PATCH", _) => "storage.buckets.patch",
        ("PUT", _) => "storage.buckets.update",
        ("DELETE", _) => "storage.buckets.delete",
        (_, 0) => "storage.buckets.list",
        (_, _) => "storage.buckets.get",
    }
}

fn of_upload(method: &Method, params: &Params) -> StorageVerb {
    match method.as_str() {
        "DELETE" => StorageVerb::Cancel,
        _ if params.has("upload_id") => StorageVerb::Chunk,
        _ if params.text("uploadType") == Some("resumable") => StorageVerb::Begin,
        _ => StorageVerb::Put,
    }
}

fn of_object(method: &Method) -> (StorageVerb, &'static str) {
    match method.as_str() {
        "DELETE" => (StorageVerb::Delete, "storage.objects.delete"),
        "PATCH" => (StorageVerb::Patch, "storage.objects.patch"),
        "PUT" => (StorageVerb::Patch, "storage.objects.update"),
        _ => (StorageVerb::Get, "storage.objects.get"),
    }
}

fn of_change(change: &str) -> &'static str {
    match change {
        "compose" => "storage.objects.compose",
        "copyTo" => "storage.objects.copy",
        "rewriteTo" => "storage.objects.rewrite",
        "moveTo" => "storage.objects.move",
        _ => "storage.objects.other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(request: &str, verb: StorageVerb, name: &str, object: Option<&str>) {
        let (method, uri) = request.split_once(' ').unwrap();
        let errand = Errand::of(&method.parse().unwrap(), &uri.parse().unwrap()).unwrap();
        let is = (errand.verb, errand.method, errand.object.as_deref());
        assert_eq!(is, (verb, name, object), "{request}");
    }

    #[test]
    fn uploads_are_known_by_what_their_parameters_say() {
        use StorageVerb::{Begin, Cancel, Chunk, Put};
        let insert = "storage.objects.insert";
        let upload = "POST /upload/storage/v1/b/attic/o?uploadType";
        check(
            &format!("{upload}=media&name=a%2Fb"),
            Put,
            insert,
            Some("a/b"),
        );
        check(&format!("{upload}=multipart"), Put, insert, None);
        check(
            &format!("{upload}=resumable&name=x"),
            Begin,
            insert,
            Some("x"),
        );
        let place = "/upload/storage/v1/b/attic/o?name=x&upload_id=1";
        check(&format!("PUT {place}"), Chunk, insert, Some("x"));
        check(&format!("DELETE {place}"), Cancel, insert, Some("x"));
    }

    #[test]
    fn other_requests_of_the_json_api_are_known_by_method_and_path() {
        use StorageVerb::{Bucket, Delete, Get, List, Patch, Put};
        for (request, verb, name, object) in [
            ("GET /storage/v1/b?x=y", Bucket, "buckets.list", None),
            ("POST /b", Bucket, "buckets.insert", None),
            ("DELETE /storage/v1/b/a", Bucket, "buckets.delete", None),
            ("GET /b/a/o?prefix=x", List, "objects.list", Some("x")),
            ("GET /b/a/o/x%2Fy", Get, "objects.get", Some("x/y")),
            ("GET /download/b/a/o/x", Get, "objects.get", Some("x")),
            ("PATCH /b/a/o/x", Patch, "objects.patch", Some("x")),
            ("PUT /b/a/o/x", Patch, "objects.update", Some("x")),
            ("DELETE /b/a/o/x", Delete, "objects.delete", Some("x")),
            ("POST /b/a/o/x/compose", Put, "objects.compose", Some("x")),
            (
                "POST /b/a/o/x/copyTo/b/c/o/y",
                Put,
                "objects.copy",
                Some("y"),
            ),
            ("POST /b/a/o/x/moveTo/o/y", Put, "objects.move", Some("y")),
        ] {
            check(request, verb, &format!("storage.{name}"), object);
        }
    }

    #[test]
    fn those_of_the_xml_api_by_the_place_that_they_name() {
        #[track_caller]
        fn check(request: &str, object: bool, verb: StorageVerb) {
            let (method, uri) = request.split_once(' ').unwrap();
            let place = Place {
                bucket: "attic".to_owned(),
                object: object.then(|| "x".to_owned()),
            };
            let errand = Errand::at(&place, &method.parse().unwrap(), &uri.parse().unwrap());
            assert_eq!(errand.verb, verb, "{request}");
            assert!(errand.is_xml);
        }
        check("GET /attic?list-type=2", false, StorageVerb::List);
        check("DELETE /attic", false, StorageVerb::Bucket);
        check("PUT /attic/x", true, StorageVerb::Put);
        check("HEAD /attic/x", true, StorageVerb::Get);
        check("POST /attic/x?uploads", true, StorageVerb::Begin);
        check(
            "PUT /attic/x?partNumber=1&uploadId=2",
            true,
            StorageVerb::Chunk,
        );
        check("POST /attic/x?uploadId=2", true, StorageVerb::Complete);
        check("DELETE /attic/x?uploadId=2", true, StorageVerb::Cancel);
        check("DELETE /attic/x", true, StorageVerb::Delete);
    }
}
