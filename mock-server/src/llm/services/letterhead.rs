//! What the headers of a question ask for or tell, apart from who is let in.

use axum::http::{HeaderMap, HeaderName};
use serde_json::{Map, Value};

use crate::llm::services::admission::text;

/// How Kimi's clients begin the names of the headers that say who they are.
const DEVICE: &str = "x-msh-";

/// Whether OpenRouter is to tell how it found its way.
pub(crate) fn wants_metadata(headers: &HeaderMap) -> bool {
    let names = [
        "x-openrouter-metadata",
        "x-openrouter-experimental-metadata",
    ];
    names
        .iter()
        .any(|name| text(headers, name) == Some("enabled"))
}

/// What Kimi's clients say about themselves.
pub(crate) fn device(headers: &HeaderMap) -> Map<String, Value> {
    let names = headers.keys().map(HeaderName::as_str);
    let names = names.filter(|name| name.starts_with(DEVICE));
    names
        .filter_map(|name| Some((name.to_owned(), text(headers, name)?.into())))
        .collect()
}
