//! What the headers of a question ask for or tell, apart from who is let in.

use axum::http::HeaderMap;
use serde_json::{Map, Value};

use crate::llm::services::admission::text;

/// How Kimi's clients begin the names of the headers that say who they are.
const DEVICE: &str = "x-msh-";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Letterhead {
    /// OpenRouter is to tell how it found its way.
    pub(crate) wants_metadata: bool,
    /// What Kimi's clients say about themselves.
    pub(crate) device: Map<String, Value>,
}

impl Letterhead {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let enabled = |name| text(headers, name) == Some("enabled");
        let about = headers.keys().map(axum::http::HeaderName::as_str);
        let about = about.filter(|name| name.starts_with(DEVICE));
        let told = about.filter_map(|name| Some((name.to_owned(), text(headers, name)?.into())));
        Self {
            wants_metadata: enabled("x-openrouter-metadata")
                || enabled("x-openrouter-experimental-metadata"),
            device: told.collect(),
        }
    }
}
