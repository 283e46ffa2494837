//! A file on its way in: `multipart/form-data` with `file` and `purpose`.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use multer::{Multipart, parse_boundary};
use serde_json::json;

use crate::llm::routes::Desk;
use crate::llm::services::admission::text;
use crate::llm::services::files::Upload;

pub(super) async fn upload(State(desk): State<Desk>, headers: HeaderMap, body: Body) -> Response {
    let upload = match read(&headers, body).await {
        Ok(upload) => upload,
        Err(fault) => {
            let message = format!("Invalid request: {fault}");
            return desk.fail(StatusCode::BAD_REQUEST, &message);
        }
    };
    let services = desk.llm.services();
    let now = services.now();
    let kept = services.state().files.keep(upload, now).cloned();
    match kept {
        Ok(file) => {
            let fields = json!({ "id": file.id, "filename": file.filename, "purpose": file.purpose, "bytes": file.content.len() });
            desk.llm.note("llm.upload", fields);
            Json(file).into_response()
        }
        Err(fault) => desk.fail(StatusCode::BAD_REQUEST, &fault.to_string()),
    }
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Upload, multer::Error> {
    let content_type = text(headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let mut parts = Multipart::new(body.into_data_stream(), parse_boundary(content_type)?);
    let mut upload = Upload::default();
    while let Some(part) = parts.next_field().await? {
        match part.name() {
            Some("file") => {
                upload.filename = part.file_name().map(str::to_owned);
                upload.content = Some(part.bytes().await?);
            }
            Some("purpose") => upload.purpose = Some(part.text().await?),
            Some(_) | None => {}
        }
    }
    Ok(upload)
}
