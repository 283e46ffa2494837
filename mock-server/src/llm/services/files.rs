//! Files that clients have uploaded to Moonshot, kept in memory.

use bytes::Bytes;
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Value, json};

/// A file and what is known of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct KeptFile {
    pub(crate) id: String,
    object: &'static str,
    bytes: usize,
    created_at: i64,
    pub(crate) filename: String,
    pub(crate) purpose: String,
    status: &'static str,
    status_details: &'static str,
    #[serde(skip)]
    pub(crate) content: Bytes,
}

/// What came in an upload.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    pub(crate) filename: Option<String>,
    pub(crate) purpose: Option<String>,
    pub(crate) content: Option<Bytes>,
}

/// Why an upload is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadUpload {
    #[error("file is required")]
    NoFile,
    #[error("purpose is required")]
    NoPurpose,
    #[error("purpose {0} is not supported")]
    Purpose(String),
}

/// What a file may be for.
const PURPOSES: [&str; 4] = ["file-extract", "image", "video", "batch"];

#[derive(Debug, Default)]
pub(crate) struct Files {
    kept: IndexMap<String, KeptFile>,
    /// How many there ever were.
    came: u64,
}

impl Files {
    /// Keeps it under an id that no other file has or had.
    pub(crate) fn keep(&mut self, upload: Upload, now: i64) -> Result<&KeptFile, BadUpload> {
        let content = upload.content.ok_or(BadUpload::NoFile)?;
        let purpose = upload.purpose.ok_or(BadUpload::NoPurpose)?;
        if !PURPOSES.contains(&purpose.as_str()) {
            return Err(BadUpload::Purpose(purpose));
        }
        self.came += 1;
        let id = format!("file-{:020}", self.came);
        let file = KeptFile {
            id: id.clone(),
            object: "file",
            bytes: content.len(),
            created_at: now,
            filename: upload.filename.unwrap_or_else(|| "file".to_owned()),
            // What is to be read has been read at once here.
            status: if purpose == "file-extract" {
                "ok"
            } else {
                "ready"
            },
            status_details: "",
            purpose,
            content,
        };
        Ok(self.kept.entry(id).insert_entry(file).into_mut())
    }

    pub(crate) fn list(&self) -> Value {
        let files: Vec<_> = self.kept.values().collect();
        json!({ "object": "list", "data": files })
    }

    pub(crate) fn get(&self, id: &str) -> Option<&KeptFile> {
        self.kept.get(id)
    }

    pub(crate) fn delete(&mut self, id: &str) -> bool {
        self.kept.shift_remove(id).is_some()
    }
}
