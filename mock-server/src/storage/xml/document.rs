//! The documents of the XML API.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::storage::refusal::Refusal;

const DECLARATION: &str = "<?xml version='1.0' encoding='UTF-8'?>";
pub(super) const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// A document as an answer.
pub(super) fn of(document: &impl Serialize) -> Response {
    // Only maps with odd keys cannot be written, and none has any.
    let written = quick_xml::se::to_string(document).unwrap_or_else(|fault| fault.to_string());
    let kind = [(CONTENT_TYPE, "application/xml; charset=UTF-8")];
    (kind, format!("{DECLARATION}{written}")).into_response()
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Error<'a> {
    pub(super) code: &'a str,
    pub(super) message: &'a str,
}

/// A page of objects.
#[derive(Debug, Serialize)]
#[serde(rename = "ListBucketResult", rename_all = "PascalCase")]
pub(super) struct Listing {
    #[serde(rename = "@xmlns")]
    pub(super) namespace: &'static str,
    pub(super) name: String,
    pub(super) prefix: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delimiter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) encoding_type: Option<&'static str>,
    pub(super) max_keys: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key_count: Option<usize>,
    pub(super) is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_continuation_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_marker: Option<String>,
    pub(super) contents: Vec<Listed>,
    pub(super) common_prefixes: Vec<CommonPrefix>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    pub(super) key: String,
    pub(super) generation: u64,
    pub(super) meta_generation: u64,
    pub(super) last_modified: String,
    #[serde(rename = "ETag")]
    pub(super) etag: String,
    pub(super) size: usize,
    pub(super) storage_class: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CommonPrefix {
    pub(super) prefix: String,
}

#[derive(Debug, Serialize)]
#[serde(rename = "InitiateMultipartUploadResult", rename_all = "PascalCase")]
pub(super) struct Initiated<'a> {
    #[serde(rename = "@xmlns")]
    pub(super) namespace: &'static str,
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
    pub(super) upload_id: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename = "CompleteMultipartUploadResult", rename_all = "PascalCase")]
pub(super) struct Completed<'a> {
    #[serde(rename = "@xmlns")]
    pub(super) namespace: &'static str,
    pub(super) location: String,
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
    #[serde(rename = "ETag")]
    pub(super) etag: String,
}

#[derive(Debug, Serialize)]
#[serde(rename = "CopyObjectResult", rename_all = "PascalCase")]
pub(super) struct Copied {
    pub(super) last_modified: String,
    #[serde(rename = "ETag")]
    pub(super) etag: String,
}

#[derive(Debug, Serialize)]
#[serde(rename = "ListPartsResult", rename_all = "PascalCase")]
pub(super) struct Parts<'a> {
    #[serde(rename = "@xmlns")]
    pub(super) namespace: &'static str,
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
    pub(super) upload_id: &'a str,
    pub(super) is_truncated: bool,
    pub(super) part: Vec<Part>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Part {
    pub(super) part_number: u32,
    pub(super) last_modified: String,
    #[serde(rename = "ETag")]
    pub(super) etag: String,
    pub(super) size: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename = "ListMultipartUploadsResult", rename_all = "PascalCase")]
pub(super) struct Uploads<'a> {
    #[serde(rename = "@xmlns")]
    pub(super) namespace: &'static str,
    pub(super) bucket: &'a str,
    pub(super) is_truncated: bool,
    pub(super) upload: Vec<Upload>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) upload_id: String,
    pub(super) initiated: String,
}

/// The parts of which an object is to be made, as the client sends them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Completion {
    #[serde(default)]
    pub(super) part: Vec<NamedPart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NamedPart {
    pub(super) part_number: u32,
    #[serde(rename = "ETag")]
    pub(super) etag: String,
}

impl Completion {
    pub(super) fn read(text: &[u8]) -> Result<Vec<(u32, String)>, Refusal> {
        let read = quick_xml::de::from_reader::<_, Self>(text);
        let completion =
            read.map_err(|fault| Refusal::invalid(format!("Malformed XML: {fault}")))?;
        let parts = completion.part.into_iter();
        Ok(parts.map(|part| (part.part_number, part.etag)).collect())
    }
}
