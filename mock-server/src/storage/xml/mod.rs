//! The XML API: what a client asks of a bucket or an object by its path alone.
//!
//! <https://cloud.google.com/storage/docs/xml-api/overview>; a path is this API's if its first
//! segment is the name of a bucket that is there, or if the request is in words that no other
//! service knows: a client that is told of another bucket hears that there is none.

mod bucket;
mod call;
mod document;
mod multipart;
mod object;

use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::storage::Storage;
use crate::storage::refusal::{Refusal, Wrong};
use crate::storage::wire::params::Params;
use call::Call;

/// What a path names: a bucket, and perhaps an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) bucket: String,
    pub(crate) object: Option<String>,
}

/// Parameters that only this API has.
const OWN_PARAMS: [&str; 4] = ["list-type", "uploads", "uploadId", "partNumber"];

/// The document of an error.
pub(crate) fn error(code: &str, message: &str) -> Response {
    document::of(&document::Error { code, message })
}

/// None if it is no request to this API.
pub(crate) fn place(storage: &Storage, request: &Request) -> Option<Place> {
    let path = request.uri().path();
    let decoded = |text: &str| {
        let text = percent_decode_str(text).decode_utf8();
        text.map_or(None, |text| Some(text.into_owned()))
    };
    let (bucket, object) = match path.strip_prefix('/')?.split_once('/') {
        Some((bucket, object)) => (bucket, object),
        None => (path.strip_prefix('/')?, ""),
    };
    let bucket = decoded(bucket)?;
    if !storage.has_bucket(&bucket) && !speaks_xml(request) {
        return None;
    }
    let object = decoded(object)?;
    let object = (!object.is_empty()).then_some(object);
    Some(Place { bucket, object })
}

/// Whether a request is this API's whatever its path.
fn speaks_xml(request: &Request) -> bool {
    let params = Params::lenient(request.uri());
    let mut headers = request.headers().keys();
    OWN_PARAMS.iter().any(|name| params.has(name))
        || headers.any(|name| name.as_str().starts_with("x-goog-"))
}

pub(crate) async fn serve(storage: &Storage, place: Place, request: Request) -> Response {
    let asked = format!("{} {}", request.method(), request.uri());
    let is_head = request.method() == Method::HEAD;
    let served = match Call::of(request) {
        Ok(call) => answer(storage, &place, call).await,
        Err(refusal) => Err(refusal),
    };
    served.unwrap_or_else(|refusal| {
        if refusal.wrong == Wrong::Unserved {
            let report = format!("the storage mock does not serve {asked}");
            storage.write("storage.unexpected", [("report", Value::from(report))]);
        }
        refuse(&refusal, is_head)
    })
}

async fn answer(storage: &Storage, place: &Place, call: Call) -> Result<Response, Refusal> {
    let bucket = &place.bucket;
    let Some(object) = &place.object else {
        return bucket::answer(storage, bucket, &call);
    };
    let at = crate::storage::store::object::Address::new(bucket, object)?;
    let (starts, continues) = (call.params.has("uploads"), call.params.has("uploadId"));
    match call.method.as_str() {
        "POST" if starts => multipart::begin(storage, &at, &call),
        "POST" if continues => multipart::complete(storage, &at, call).await,
        "PUT" if continues => multipart::put_part(storage, &at, call).await,
        "GET" if continues => multipart::list_parts(storage, &at, &call),
        "DELETE" if continues => multipart::abort(storage, &at, &call),
        "GET" | "HEAD" => object::get(storage, at, &call),
        "PUT" => object::put(storage, at, call).await,
        "DELETE" => object::delete(storage, at, &call),
        _ => Err(Refusal::new(
            Wrong::Unserved,
            "The specified method is not allowed against this resource.",
        )),
    }
}

pub(crate) fn refuse(refusal: &Refusal, is_head: bool) -> Response {
    let status = refusal.wrong.status();
    if is_head || refusal.wrong == Wrong::NotModified {
        return status.into_response();
    }
    let document = error(refusal.wrong.code(), &refusal.message);
    (status, refusal.wrong.headers(), document).into_response()
}
