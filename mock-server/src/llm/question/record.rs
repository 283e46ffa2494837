//! What the journal is told about a request.

use axum::http::Uri;
use serde_json::{Map, Value, json};

use crate::llm::question::Question;
use crate::llm::question::request::ChatBody;
use crate::llm::script::pattern::Heard;

/// All fields of an `llm.request`, so that the map need not grow.
const FIELDS: usize = 11;

/// A request that came, for who looks at it later.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) n: u64,
    /// Where it was asked.
    pub(crate) uri: Uri,
    pub(crate) body: ChatBody,
    /// What the client tells about itself.
    pub(crate) device: Map<String, Value>,
    /// The lane it was put in, if it could be read.
    pub(crate) lane: Option<String>,
}

impl Record {
    pub(crate) fn fields(mut self) -> Map<String, Value> {
        let mut fields = self.envelope();
        if let Some(lane) = &self.lane
            && let Ok(question) = Question::read(&self.body)
        {
            open(&question, lane, &mut fields);
        }
        let messages = std::mem::take(&mut self.body.messages);
        fields.insert("messages".to_owned(), messages.into());
        fields
    }

    /// What stands on the envelope.
    fn envelope(&self) -> Map<String, Value> {
        let body = &self.body;
        let mut fields = Map::with_capacity(FIELDS);
        fields.insert("n".to_owned(), self.n.into());
        fields.insert("path".to_owned(), self.uri.path().into());
        fields.insert("model".to_owned(), body.model.clone().into());
        fields.insert("stream".to_owned(), body.wants_stream().into());
        fields.insert("tools".to_owned(), body.tools().map(Value::from).collect());
        fields.insert("session".to_owned(), body.prompt_cache_key.clone().into());
        // Only some clients tell these, and a journal of the others is no longer for it.
        if !self.device.is_empty() {
            fields.insert("device".to_owned(), self.device.clone().into());
        }
        if !body.models.is_empty() {
            fields.insert("models".to_owned(), body.models.clone().into());
        }
        fields
    }
}

/// What a look inside tells.
fn open(question: &Question<'_>, lane: &str, fields: &mut Map<String, Value>) {
    let text = |heard: &Option<Heard<'_>>| Value::from(heard.as_ref().map(Heard::text));
    let results = question
        .tool_results
        .iter()
        .map(|result| json!({ "name": result.name, "text": &*result.text, "ok": result.ok }));
    fields.insert("lane".to_owned(), lane.into());
    fields.insert("user".to_owned(), text(&question.user));
    fields.insert("tool_results".to_owned(), results.collect());
    fields.insert("system".to_owned(), text(&question.system));
}
