//! What the journal is told about a request, apart from its messages.

use serde_json::{Map, Value, json};

use crate::llm::question::Question;
use crate::llm::question::request::ChatBody;
use crate::llm::score::Asked;
use crate::llm::script::pattern::Heard;
use crate::llm::services::device;

/// All fields of an `llm.request`; a map that need not grow keeps a long journal small.
const FIELDS: usize = 11;

/// What stands on the envelope.
pub(crate) fn envelope(n: u64, asked: &Asked, body: &ChatBody) -> Map<String, Value> {
    let path = format!("{}{}", asked.dialect.path(), asked.dialect.endpoint());
    let mut fields = Map::with_capacity(FIELDS);
    fields.insert("n".to_owned(), n.into());
    fields.insert("path".to_owned(), path.into());
    fields.insert("model".to_owned(), body.model.clone().into());
    fields.insert("stream".to_owned(), body.wants_stream().into());
    fields.insert("tools".to_owned(), body.tools().map(Value::from).collect());
    fields.insert("session".to_owned(), body.prompt_cache_key.clone().into());
    // Only some clients tell these, and a journal of the others is no longer for it.
    let device = device(&asked.headers);
    if !device.is_empty() {
        fields.insert("device".to_owned(), device.into());
    }
    if !body.models.is_empty() {
        fields.insert("models".to_owned(), body.models.clone().into());
    }
    fields
}

/// What a look inside tells.
pub(crate) fn open(question: &Question<'_>, fields: &mut Map<String, Value>) {
    let text = |heard: &Option<Heard<'_>>| Value::from(heard.as_ref().map(Heard::text));
    let results = question
        .tool_results
        .iter()
        .map(|result| json!({ "name": result.name, "text": &*result.text, "ok": result.ok }));
    fields.insert("lane".to_owned(), question.lane.as_str().into());
    fields.insert("user".to_owned(), text(&question.user));
    fields.insert("tool_results".to_owned(), results.collect());
    fields.insert("system".to_owned(), text(&question.system));
}
