//! What the journal is told about a request, apart from its messages.

use serde_json::{Map, Value, json};

use super::pattern::Heard;
use super::question::Question;
use super::request::ChatBody;
use super::scripted::Asked;

/// What stands on the envelope.
pub(crate) fn heading(n: u64, asked: &Asked, body: &ChatBody) -> Map<String, Value> {
    let fields = [
        ("n", Value::from(n)),
        (
            "path",
            Value::from(format!("{}/chat/completions", asked.dialect.path())),
        ),
        ("model", Value::from(body.model.clone())),
        ("stream", Value::from(body.wants_stream())),
        ("tools", body.tools().map(Value::from).collect()),
        ("session", Value::from(body.prompt_cache_key.clone())),
    ];
    fields
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}

/// What a look inside tells.
pub(crate) fn describe(question: &Question<'_>, fields: &mut Map<String, Value>) {
    let text = |heard: Option<&Heard<'_>>| Value::from(heard.map(|heard| heard.text().to_owned()));
    let results = question
        .tool_results
        .iter()
        .map(|result| json!({ "name": result.name, "text": &*result.text, "ok": result.ok }));
    let told = [
        ("lane", Value::from(question.lane.as_str())),
        ("user", text(question.user.as_ref())),
        ("tool_results", results.collect()),
        ("system", text(question.system.as_ref())),
    ];
    fields.extend(told.map(|(name, value)| (name.to_owned(), value)));
}
