//! The metadata server that a machine in the cloud asks who it is, below `/computeMetadata/v1`.
//!
//! <https://cloud.google.com/compute/docs/metadata/querying-metadata>

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::ledger::LIFETIME;
use crate::storage::Storage;
use crate::storage::wire::params::Params;

pub(crate) const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");
pub(crate) const GOOGLE: &str = "Google";
/// Who the machine is.
const EMAIL: &str = "mock@mock-project.iam.gserviceaccount.com";
const PROJECT: &str = "mock-project";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

pub(super) fn routes() -> Router<Storage> {
    Router::new()
        .route(
            "/computeMetadata/v1/",
            get(async || listed("instance/\nproject/\nuniverse/\n")),
        )
        .route(
            "/computeMetadata/v1/instance",
            get(async || listed("service-accounts/\n")),
        )
        .route(
            "/computeMetadata/v1/project/project-id",
            get(async || plain(PROJECT)),
        )
        .route(
            "/computeMetadata/v1/project/numeric-project-id",
            get(async || plain("0")),
        )
        .route(
            "/computeMetadata/v1/universe/universe_domain",
            get(async || plain("googleapis.com")),
        )
        .route(
            "/computeMetadata/v1/universe/universe-domain",
            get(async || plain("googleapis.com")),
        )
        .route(
            "/computeMetadata/v1/instance/service-accounts/{account}/{what}",
            get(account),
        )
        .route(
            "/computeMetadata/v1/instance/service-accounts/{account}/",
            get(described),
        )
        .layer(from_fn(flavored))
}

/// Whether somebody says that it is this server that they mean.
pub(crate) fn is_probe(headers: &HeaderMap) -> bool {
    headers.get(FLAVOR).is_some_and(|flavor| flavor == GOOGLE)
}

/// Who does not say that they mean it is sent away, so that no page in a browser can ask.
async fn flavored(request: Request, next: Next) -> Response {
    let mut answer = if is_probe(request.headers()) {
        next.run(request).await
    } else {
        let why = "Missing Metadata-Flavor:Google header.";
        (StatusCode::FORBIDDEN, why).into_response()
    };
    answer
        .headers_mut()
        .insert(FLAVOR, HeaderValue::from_static(GOOGLE));
    answer
}

fn plain(text: &str) -> Response {
    ([(CONTENT_TYPE, "application/text")], text.to_owned()).into_response()
}

fn listed(names: &'static str) -> Response {
    plain(names)
}

/// All of an account at once, as `?recursive=true` asks for it.
async fn described(Path(_account): Path<String>) -> Json<Value> {
    Json(json!({ "aliases": ["default"], "email": EMAIL, "scopes": [SCOPE] }))
}

async fn account(
    State(storage): State<Storage>,
    Path((_account, what)): Path<(String, String)>,
    params: Params,
) -> Response {
    match what.as_str() {
        "token" => {
            let scope = params.text("scopes").unwrap_or(SCOPE).replace(',', " ");
            let token = storage.issue(&scope);
            let fields = [("to", Value::from(EMAIL)), ("scope", Value::from(scope))];
            storage.write("storage.token", fields);
            let granted = json!({ "access_token": token, "expires_in": LIFETIME - 1, "token_type": "Bearer" });
            Json(granted).into_response()
        }
        "email" => plain(EMAIL),
        "scopes" => plain(SCOPE),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
