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
use crate::storage::retry_test::{TEST, Trouble};
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
    match befalls(storage, errand, &request) {
        None => {}
        Some(Trouble::Fault(fault)) => {
            return mishap::play(storage, (&fault, errand), request, serve).await;
        }
        Some(Trouble::After(kept, fault)) => {
            let request = mishap::keep(request, kept, serve).await;
            let done = async |_: Request| StatusCode::NO_CONTENT.into_response();
            return mishap::play(storage, (&fault, errand), request, done).await;
        }
        Some(Trouble::Stall(after, pause)) => {
            return mishap::stall(storage, serve(request).await, after, pause).await;
        }
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
fn befalls(storage: &Storage, errand: &Errand, request: &Request) -> Option<Trouble> {
    let test = params::text(request.headers(), &TEST);
    let told = test.and_then(|id| {
        let last = mishap::last_byte(request.headers());
        let trouble = storage.retry_tests(|tests| tests.take(&id, errand, last))?;
        Some((id.into(), trouble))
    });
    let told = told.or_else(|| {
        let fault = storage.befall(errand);
        let (id, fault) = fault.or_else(|| storage.is_down().then(down))?;
        Some((id, Trouble::Fault(fault)))
    });
    let (id, trouble) = told?;
    let named = |name: &Option<String>| name.clone().map_or(Value::Null, Value::from);
    let fields = [
        ("fault", Value::from(&*id)),
        ("word", Value::from(trouble.word())),
        ("method", Value::from(errand.method)),
        ("bucket", named(&errand.bucket)),
        ("object", named(&errand.object)),
    ];
    storage.write("storage.fault", fields);
    Some(trouble)
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
