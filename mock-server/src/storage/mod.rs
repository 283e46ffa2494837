//! Google Cloud Storage: its JSON API and its XML API over one store in memory.
//!
//! Good enough that the service's own clients cannot tell. Everybody may do everything; what
//! the service does for money, for compliance or between regions is not done.

mod control_api;
mod errand;
mod guard;
mod handle;
mod identity;
mod json;
mod mishap;
mod refusal;
mod retry_test;
mod staged;
mod store;
mod wire;
mod xml;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, Method};
use axum::response::{IntoResponse, Response};

pub use errand::{StorageClause, StorageVerb};
pub use handle::Storage;
pub use identity::Access;
pub use staged::{StagedBucket, StagedObject, StagedStorage, ToldObject, Unstorable};

pub(crate) use control_api::routes as control_routes;
pub(crate) use errand::Errand;

/// All that is reached by a route of its own.
pub(crate) fn routes(storage: &Storage) -> Router {
    json::routes(storage)
        .merge(identity::routes(storage))
        .merge(retry_test::routes().with_state(storage.clone()))
}

/// Answers what came to no route, if it is the storage's: a path of the XML API, or one of the
/// JSON API that is not served.
///
/// # Errors
/// The request, if it is none of the storage's.
pub(crate) async fn fallback(storage: &Storage, request: Request) -> Result<Response, Request> {
    let path = request.uri().path();
    if let Some(place) = xml::place(storage, &request) {
        let errand = Errand::at(&place, request.method(), request.uri());
        let serve = async |request| xml::serve(storage, place, request).await;
        return Ok(guard::pass(storage, &errand, request, serve).await);
    }
    if json::PREFIXES.iter().any(|prefix| path.starts_with(prefix)) {
        let asked = format!("{} {}", request.method(), request.uri());
        return Ok(json::unserved(storage, &asked));
    }
    if path == "/" && request.method() == Method::GET && identity::is_probe(request.headers()) {
        let flavor = HeaderValue::from_static(identity::GOOGLE);
        return Ok([(identity::FLAVOR, flavor)].into_response());
    }
    Err(request)
}
