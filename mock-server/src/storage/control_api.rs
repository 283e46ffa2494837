//! `/_mock/storage`: what lies there, put there and looked at by people and other processes.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use bytes::Bytes;
use serde_json::Value;

use super::staged::StagedStorage;
use super::store::Draft;
use super::store::Wanted;
use super::store::conditions::Conditions;
use super::store::content::Content;
use super::store::object::{Address, Attributes};
use super::{Storage, refusal::Refusal};
use crate::refused::Refused;
use crate::yaml;

/// How what came over HTTP is called in messages about it.
const POSTED: &str = "<posted storage>";
/// In bytes.
const LARGEST: usize = 1 << 30;

pub(crate) fn routes<S: Clone + Send + Sync + 'static>(storage: &Storage) -> Router<S> {
    Router::new()
        .route("/_mock/storage", get(describe).post(stage))
        .route("/_mock/storage/{bucket}", get(contents))
        .route(
            "/_mock/storage/{bucket}/{*object}",
            get(read).put(write).delete(remove),
        )
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(storage.clone())
}

async fn describe(State(storage): State<Storage>) -> Json<Value> {
    Json(storage.describe())
}

async fn stage(State(storage): State<Storage>, text: String) -> Response {
    let staged: StagedStorage = match yaml::read(POSTED, &text) {
        Ok(staged) => staged,
        Err(mistakes) => return Refused::Unreadable.with(&mistakes),
    };
    match storage.stage(staged) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(fault) => Refused::Unfit.with(&fault),
    }
}

/// Null if there is no such bucket.
async fn contents(State(storage): State<Storage>, Path(bucket): Path<String>) -> Json<Value> {
    Json(storage.contents(&bucket))
}

type Named = Path<(String, String)>;

fn refused(refusal: &Refusal) -> Response {
    let kind = match refusal.wrong.status() {
        StatusCode::NOT_FOUND => Refused::Unknown,
        _ => Refused::Impossible,
    };
    kind.with(refusal)
}

fn wanted((bucket, object): &(String, String)) -> Result<Wanted, Refusal> {
    Ok(Wanted {
        at: Address::new(bucket, object)?,
        generation: None,
        conditions: Conditions::default(),
    })
}

async fn read(State(storage): State<Storage>, Path(named): Named) -> Response {
    let found = wanted(&named).and_then(|wanted| storage.with(|store, _| store.get(&wanted)));
    match found {
        Ok(object) => {
            let kind = [(CONTENT_TYPE, object.content_type().to_owned())];
            (kind, object.content.bytes.clone()).into_response()
        }
        Err(refusal) => refused(&refusal),
    }
}

async fn write(State(storage): State<Storage>, Path(named): Named, bytes: Bytes) -> Response {
    let put = wanted(&named).and_then(|wanted| {
        let draft = Draft {
            at: wanted.at,
            attributes: Attributes::default(),
            conditions: Conditions::default(),
        };
        let content = Content::of(bytes);
        storage.with(|store, now| store.put(draft, content, now))
    });
    match put {
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => refused(&refusal),
    }
}

async fn remove(State(storage): State<Storage>, Path(named): Named) -> Response {
    let gone =
        wanted(&named).and_then(|wanted| storage.with(|store, now| store.delete(&wanted, now)));
    match gone {
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => refused(&refusal),
    }
}
