//! What stands before every operation of both APIs: who asks, and what is to go wrong.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use indexmap::IndexMap;
use serde_json::Value;

use crate::llm::{Fault, StatusFault};
use crate::storage::Storage;
use crate::storage::errand::Errand;
use crate::storage::retry_test::TEST;
use crate::storage::wire::body::heard_out;
use crate::storage::wire::params;
use crate::storage::{mishap, xml};

/// Before the routes of the JSON API. A batch has parts that come here by themselves.
pub(crate) async fn before(
    State(storage): State<Storage>,
    request: Request,
    next: Next,
) -> Response {
    match Errand::of(request.method(), request.uri()) {
        None => next.run(request).await,
        Some(errand) => {
            pass(&storage, &errand, request, async |request| {
                next.run(request).await
            })
            .await
        }
    }
}

/// Serves a request, unless it is not let in or something goes wrong.
pub(crate) async fn pass(
    storage: &Storage,
    errand: &Errand,
    request: Request,
    serve: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    if let Some(fault) = befalls(storage, errand, &request) {
        return mishap::play(storage, (&fault, errand), request, serve).await;
    }
    let shown = params::text(request.headers(), &AUTHORIZATION);
    let refusal = match storage.admit(shown.as_deref(), !errand.only_reads()) {
        Ok(()) => return serve(request).await,
        Err(refusal) => refusal,
    };
    heard_out(request).await;
    if errand.is_xml {
        xml::refuse(&refusal, false)
    } else {
        refusal.into_response()
    }
}

/// What goes wrong with it: what its test of retries says, or a fault of the script, or all that
/// comes while the service is down.
fn befalls(storage: &Storage, errand: &Errand, request: &Request) -> Option<Arc<Fault>> {
    let test = params::text(request.headers(), &TEST);
    let told = test.and_then(|id| {
        let fault = storage.retry_tests(|tests| tests.take(&id, errand.method))?;
        Some((id.into(), fault.into()))
    });
    let told = told.or_else(|| storage.befall(errand));
    let (id, fault) = told.or_else(|| storage.is_down().then(down))?;
    let named = |name: &Option<String>| name.clone().map_or(Value::Null, Value::from);
    let fields = [
        ("fault", Value::from(&*id)),
        ("word", Value::from(fault.word())),
        ("method", Value::from(errand.method)),
        ("bucket", named(&errand.bucket)),
        ("object", named(&errand.object)),
    ];
    storage.write("storage.fault", fields);
    Some(fault)
}

/// The fault of all requests while the service is down, and how it is called.
fn down() -> (Arc<str>, Arc<Fault>) {
    let refusal = StatusFault {
        status: StatusCode::SERVICE_UNAVAILABLE.as_u16(),
        headers: IndexMap::new(),
        message: None,
        error_type: None,
        body: None,
    };
    ("down".into(), Arc::new(Fault::Status(refusal)))
}
