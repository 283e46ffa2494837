//! Which path is which operation.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;

use super::{batch, buckets, changes, insert, listing, objects, resumable};
use crate::storage::refusal::{Refusal, Wrong};
use crate::storage::{Storage, guard};

/// What begins so is the JSON API's, whether it is served or not.
pub(crate) const PREFIXES: [&str; 5] = [
    "/storage/v1/",
    "/upload/storage/v1/",
    "/download/storage/v1/",
    "/resumable/upload/storage/v1/",
    "/batch/storage/v1",
];

pub(crate) fn routes(storage: &Storage) -> Router {
    let guard = from_fn_with_state(storage.clone(), guard::before);
    let operations = operations().layer(guard);
    operations
        .clone()
        .merge(batch::routes(operations))
        .with_state(storage.clone())
}

/// All but the batch, which is made of them.
fn operations() -> Router<Storage> {
    let mut router = Router::new();
    for prefix in ["/storage/v1", ""] {
        router = router
            .merge(of_buckets(prefix))
            .merge(of_objects(prefix))
            .merge(downloads(&format!("/download{prefix}")))
            .merge(uploads(&format!("/upload{prefix}")));
    }
    router.merge(uploads("/resumable/upload/storage/v1"))
}

fn of_buckets(prefix: &str) -> Router<Storage> {
    let path = |path: &str| format!("{prefix}{path}");
    Router::new()
        .route(&path("/b"), get(buckets::list).post(buckets::insert))
        .route(
            &path("/b/{bucket}"),
            get(buckets::get)
                .patch(buckets::patch)
                .put(buckets::update)
                .delete(buckets::delete),
        )
        .route(
            &path("/b/{bucket}/iam"),
            get(buckets::policy).put(buckets::set_policy),
        )
        .route(
            &path("/b/{bucket}/iam/testPermissions"),
            get(buckets::permissions),
        )
        .route(
            &path("/projects/{project}/serviceAccount"),
            get(buckets::service_account),
        )
}

fn of_objects(prefix: &str) -> Router<Storage> {
    let path = |path: &str| format!("{prefix}/b/{{bucket}}/o{path}");
    Router::new()
        .route(&path(""), get(listing::list).post(insert::insert))
        .route(
            &path("/{object}"),
            get(objects::get)
                .patch(objects::patch)
                .put(objects::update)
                .delete(objects::delete),
        )
        .route(&path("/{object}/compose"), post(changes::compose))
        .route(
            &path("/{object}/copyTo/b/{to_bucket}/o/{to_object}"),
            post(changes::copy),
        )
        .route(
            &path("/{object}/rewriteTo/b/{to_bucket}/o/{to_object}"),
            post(changes::rewrite),
        )
        .route(
            &path("/{object}/moveTo/o/{to_object}"),
            post(changes::rename),
        )
}

fn downloads(prefix: &str) -> Router<Storage> {
    Router::new().route(
        &format!("{prefix}/b/{{bucket}}/o/{{object}}"),
        get(objects::download),
    )
}

fn uploads(prefix: &str) -> Router<Storage> {
    Router::new().route(
        &format!("{prefix}/b/{{bucket}}/o"),
        post(insert::insert)
            .put(resumable::receive)
            .delete(resumable::cancel),
    )
}

/// A path of this API that the mock does not know.
pub(crate) fn unserved(storage: &Storage, asked: &str) -> Response {
    let report = format!("the storage mock does not serve {asked}");
    storage.write("storage.unexpected", [("report", Value::from(&*report))]);
    Refusal::new(Wrong::Unserved, report).into_response()
}
