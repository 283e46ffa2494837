//! The HTTP of what services have beside the model.
//!
//! Each request is journaled as `llm.<what>`.

use axum::Router;
use axum::extract::rejection::{BytesRejection, JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::llm::dialect::{Complaint, Dialect};
use crate::llm::question::Question;
use crate::llm::question::protocol::Violation;
use crate::llm::routes::{Desk, listed_for_anthropic};
use crate::llm::services::catalogue::listing;
use crate::llm::services::upload;
use crate::llm::tokens;

/// The routes of the services that are served at the desk, without those of the model.
pub(crate) fn side_routes(desk: &Desk) -> Router<Desk> {
    let mount = desk.mount;
    let at = |path: &str| format!("{}{path}", mount.path);
    let mut router = Router::new().route(&at("/models"), get(models));
    if mount.serves(Dialect::OpenRouter) {
        router = router
            .route(&at("/key"), get(own_key))
            .route(&at("/credits"), get(credits))
            .route(&at("/generation"), get(generation));
    }
    if mount.serves(Dialect::Moonshot) {
        router = router
            .route(&at("/users/me/balance"), get(balance))
            .route(&at("/tokenizers/estimate-token-count"), post(estimate));
    }
    if mount.serves(Dialect::Kimi) {
        router = router
            .route(&at("/usages"), get(usages))
            .route(&at("/search"), post(search))
            .route(&at("/fetch"), post(fetch));
    }
    if mount.serves(Dialect::Moonshot) || mount.serves(Dialect::Kimi) {
        router = router
            .route(&at("/files"), post(upload::upload).get(files))
            .route(&at("/files/{id}"), get(file).delete(delete_file))
            .route(&at("/files/{id}/content"), get(file_content));
    }
    router
}

impl Desk {
    /// Whose server a request without a body is at; on the shared path, whose service it is.
    fn dialect(&self) -> Dialect {
        let moonshots = self.mount.serves(Dialect::Moonshot);
        if moonshots {
            Dialect::Moonshot
        } else {
            self.mount.dialect(&[])
        }
    }

    /// An error in the service's own shape.
    pub(super) fn fail(&self, status: StatusCode, message: &str) -> Response {
        let complaint = Complaint {
            kind: None,
            message: Some(message),
        };
        let (status, headers, body) = self.dialect().status_error(status, complaint);
        (status, headers, Json(body)).into_response()
    }

    /// A request that the service cannot read.
    pub(super) fn misread(&self, path: &str, status: StatusCode, why: &str) -> Response {
        let report = format!("{}{path}: {why}", self.mount.path);
        self.llm.note("llm.unexpected", json!({ "report": report }));
        self.fail(status, &format!("Invalid request: {why}"))
    }

    /// Something was asked for that nobody has scripted.
    fn unscripted(&self, report: &str) -> Response {
        self.llm.note("llm.unexpected", json!({ "report": report }));
        self.fail(StatusCode::UNPROCESSABLE_ENTITY, report)
    }
}

async fn models(State(desk): State<Desk>, headers: HeaderMap) -> Response {
    if let Some(list) = listed_for_anthropic(&desk, &headers) {
        return list;
    }
    let path = format!("{}/models", desk.mount.path);
    desk.llm.note("llm.models", json!({ "path": path }));
    let state = desk.llm.services().state();
    let dialect = desk.mount.dialect(&[]);
    let mut models = state.catalogue.models(dialect).to_vec();
    // Two services share a path, and a list.
    if dialect == Dialect::OpenAi && desk.mount.serves(Dialect::Moonshot) {
        let others = state.catalogue.models(Dialect::Moonshot);
        let news: Vec<_> = others
            .iter()
            .filter(|other| models.iter().all(|model| model.id != other.id))
            .cloned()
            .collect();
        models.extend(news);
    }
    Json(listing(dialect, &models)).into_response()
}

async fn own_key(State(desk): State<Desk>) -> Json<Value> {
    desk.llm.note("llm.key", json!({}));
    let state = desk.llm.services().state();
    Json(state.account.key(state.generations.spent()))
}

async fn credits(State(desk): State<Desk>) -> Json<Value> {
    desk.llm.note("llm.credits", json!({}));
    let state = desk.llm.services().state();
    Json(state.account.credits(state.generations.spent()))
}

#[derive(Debug, Deserialize)]
struct Wanted {
    id: Option<String>,
}

async fn generation(
    State(desk): State<Desk>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    let wanted = match wanted {
        Ok(Query(wanted)) => wanted,
        Err(fault) => return desk.misread("/generation", fault.status(), &fault.body_text()),
    };
    desk.llm.note("llm.generation", json!({ "id": wanted.id }));
    let Some(id) = wanted.id else {
        return desk.misread("/generation", StatusCode::BAD_REQUEST, "id is required");
    };
    let services = desk.llm.services();
    let now = services.now();
    let found = services.state().generations.find(&id, now);
    match found {
        Some(body) => Json(body).into_response(),
        None => desk.fail(StatusCode::NOT_FOUND, &format!("Generation {id} not found")),
    }
}

async fn balance(State(desk): State<Desk>) -> Json<Value> {
    desk.llm.note("llm.balance", json!({}));
    Json(desk.llm.services().state().account.balance.body())
}

async fn usages(State(desk): State<Desk>) -> Json<Value> {
    desk.llm.note("llm.usages", json!({}));
    Json(desk.llm.services().state().account.usages())
}

async fn estimate(State(desk): State<Desk>, body: Result<Bytes, BytesRejection>) -> Response {
    let path = "/tokenizers/estimate-token-count";
    let body = match body {
        Ok(body) => body,
        Err(fault) => return desk.misread(path, fault.status(), &fault.body_text()),
    };
    let misread = |why: &Violation| desk.misread(path, StatusCode::BAD_REQUEST, &why.to_string());
    let body = match Dialect::Moonshot.read(&body, desk.llm.conversations()) {
        Ok(body) => body,
        Err(violation) => return misread(&violation),
    };
    let total = match Question::read(&body) {
        Ok(question) => tokens::asked(&question),
        Err(violation) => return misread(&violation),
    };
    let fields = json!({ "model": body.model, "total_tokens": total });
    desk.llm.note("llm.tokens", fields);
    let data = json!({ "total_tokens": total });
    Json(json!({ "code": 0, "data": data, "scode": "0x0", "status": true })).into_response()
}

#[derive(Debug, Deserialize)]
struct Search {
    text_query: String,
    limit: Option<usize>,
}

async fn search(State(desk): State<Desk>, wanted: Result<Json<Search>, JsonRejection>) -> Response {
    let wanted = match wanted {
        Ok(Json(wanted)) => wanted,
        Err(fault) => return desk.misread("/search", fault.status(), &fault.body_text()),
    };
    let query = wanted.text_query;
    desk.llm.note("llm.search", json!({ "query": query }));
    let (found, there_are) = {
        let web = &desk.llm.services().state().web;
        (web.search(&query, wanted.limit), web.there_are())
    };
    match found {
        Some(results) => Json(json!({ "search_results": results })).into_response(),
        None => desk.unscripted(&format!(
            "nobody has scripted what a search for {query:?} finds; {there_are}"
        )),
    }
}

#[derive(Debug, Deserialize)]
struct Fetch {
    url: String,
}

async fn fetch(State(desk): State<Desk>, wanted: Result<Json<Fetch>, JsonRejection>) -> Response {
    let url = match wanted {
        Ok(Json(wanted)) => wanted.url,
        Err(fault) => return desk.misread("/fetch", fault.status(), &fault.body_text()),
    };
    desk.llm.note("llm.fetch", json!({ "url": url }));
    let (page, there_are) = {
        let web = &desk.llm.services().state().web;
        (web.page(&url).cloned(), web.there_are())
    };
    match page {
        Some(page) => {
            let markdown = [(header::CONTENT_TYPE, "text/markdown; charset=utf-8")];
            (markdown, page.text).into_response()
        }
        None => desk.unscripted(&format!(
            "nobody has scripted the page `{url}`; {there_are}"
        )),
    }
}

async fn files(State(desk): State<Desk>) -> Json<Value> {
    desk.llm.note("llm.files", json!({}));
    Json(desk.llm.services().state().files.list())
}

async fn file(State(desk): State<Desk>, Path(id): Path<String>) -> Response {
    desk.llm.note("llm.file", json!({ "id": id }));
    let file = desk.llm.services().state().files.get(&id).cloned();
    file.map_or_else(|| no_file(&desk, &id), |file| Json(file).into_response())
}

async fn delete_file(State(desk): State<Desk>, Path(id): Path<String>) -> Response {
    desk.llm.note("llm.file_deleted", json!({ "id": id }));
    if desk.llm.services().state().files.delete(&id) {
        Json(json!({ "id": id, "object": "file", "deleted": true })).into_response()
    } else {
        no_file(&desk, &id)
    }
}

/// Of a file that was to be read the text, as Moonshot wraps it; else the bytes.
async fn file_content(State(desk): State<Desk>, Path(id): Path<String>) -> Response {
    desk.llm.note("llm.file_content", json!({ "id": id }));
    let file = desk.llm.services().state().files.get(&id).cloned();
    let Some(file) = file else {
        return no_file(&desk, &id);
    };
    if file.purpose != "file-extract" {
        let bytes = [(header::CONTENT_TYPE, "application/octet-stream")];
        return (bytes, file.content).into_response();
    }
    Json(json!({
        "content": String::from_utf8_lossy(&file.content),
        "file_type": "text/plain",
        "filename": file.filename,
        "title": "",
        "type": "file",
    }))
    .into_response()
}

fn no_file(desk: &Desk, id: &str) -> Response {
    desk.fail(StatusCode::NOT_FOUND, &format!("file {id} not found"))
}
