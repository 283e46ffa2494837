//! A file on its way in: `multipart/form-data` with `file` and `purpose`.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use multer::{Constraints, Multipart, SizeLimit, parse_boundary};
use serde_json::json;

use crate::llm::routes::Desk;
use crate::llm::services::admission::text;
use crate::llm::services::files::Upload;

/// In bytes: a file as large as the service takes, and what stands around it.
const LARGEST_UPLOAD: u64 = 101 << 20;

pub(super) async fn upload(State(desk): State<Desk>, headers: HeaderMap, body: Body) -> Response {
    let misread = |why: &str| desk.misread("/files", StatusCode::BAD_REQUEST, why);
    let upload = match read(&headers, body, LARGEST_UPLOAD).await {
        Ok(upload) => upload,
        Err(fault) => return misread(&fault.to_string()),
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
        Err(fault) => misread(&fault.to_string()),
    }
}

async fn read(headers: &HeaderMap, body: Body, most: u64) -> Result<Upload, multer::Error> {
    let content_type = text(headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let boundary = parse_boundary(content_type)?;
    let limits = Constraints::new().size_limit(SizeLimit::new().whole_stream(most));
    let mut parts = Multipart::with_constraints(body.into_data_stream(), boundary, limits);
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

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n0123456789\r\n--x--\r\n";

    /// What is read of a file of ten bytes if so many in all are the most.
    async fn read_at_most(most: u64) -> Result<usize, String> {
        let form = (header::CONTENT_TYPE, "multipart/form-data; boundary=x");
        let headers = HeaderMap::from_iter([(form.0, form.1.parse().unwrap())]);
        let upload = read(&headers, Body::from(BODY), most).await;
        let upload = upload.map_err(|fault| fault.to_string())?;
        Ok(upload.content.unwrap().len())
    }

    #[tokio::test]
    async fn an_upload_is_read_as_far_as_its_limit() {
        let length = BODY.len() as u64;
        assert_eq!(read_at_most(length).await, Ok(10));
        let fault = read_at_most(length - 1).await.unwrap_err();
        assert!(fault.contains("size"), "{fault}");
    }
}
