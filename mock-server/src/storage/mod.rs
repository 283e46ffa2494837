//! Google Cloud Storage: its JSON API and its XML API over one store in memory.
//!
//! Good enough that the service's own clients cannot tell. Everybody may do everything; what
//! the service does for money, for compliance or between regions is not done.

mod handle;
mod json;
mod refusal;
mod store;
mod wire;
mod xml;

use axum::extract::Request;
use axum::response::Response;

pub use handle::Storage;

pub(crate) use json::routes;

/// Answers what came to no route, if it is the storage's: a path of the XML API, or one of the
/// JSON API that is not served.
///
/// # Errors
/// The request, if it is none of the storage's.
pub(crate) async fn fallback(storage: &Storage, request: Request) -> Result<Response, Request> {
    let path = request.uri().path();
    if let Some(place) = xml::place(storage, path) {
        return Ok(xml::serve(storage, place, request).await);
    }
    if json::PREFIXES.iter().any(|prefix| path.starts_with(prefix)) {
        let asked = format!("{} {}", request.method(), request.uri());
        return Ok(json::unserved(storage, &asked));
    }
    Err(request)
}
