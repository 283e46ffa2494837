//! What an answer repeats of its request, with what the service puts where nothing was said.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// The fields that are repeated, in the order of the service.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Echo(Map<String, Value>);

impl Echo {
    pub(super) fn of(body: &Map<String, Value>) -> Self {
        let fields = usual().into_iter().map(|(name, usual)| {
            let said = body.get(name).filter(|said| !said.is_null());
            (name.to_owned(), said.cloned().unwrap_or(usual))
        });
        let mut fields: Map<_, _> = fields.collect();
        if let Some(Value::Array(tools)) = fields.get_mut("tools") {
            tools.iter_mut().for_each(tighten);
        }
        Self(fields)
    }
}

/// A function keeps to its schema unless somebody says otherwise.
fn tighten(tool: &mut Value) {
    if let Value::Object(tool) = tool
        && tool.get("type").is_some_and(|kind| kind == "function")
    {
        tool.entry("strict").or_insert(true.into());
    }
}

fn usual() -> [(&'static str, Value); 19] {
    [
        ("instructions", Value::Null),
        ("max_output_tokens", Value::Null),
        ("max_tool_calls", Value::Null),
        ("metadata", json!({})),
        ("parallel_tool_calls", true.into()),
        ("previous_response_id", Value::Null),
        ("prompt_cache_key", Value::Null),
        ("reasoning", json!({ "effort": null, "summary": null })),
        ("safety_identifier", Value::Null),
        ("service_tier", "default".into()),
        ("store", true.into()),
        ("temperature", json!(1.0)),
        (
            "text",
            json!({ "format": { "type": "text" }, "verbosity": "medium" }),
        ),
        ("tool_choice", "auto".into()),
        ("tools", json!([])),
        ("top_logprobs", 0.into()),
        ("top_p", json!(1.0)),
        ("truncation", "disabled".into()),
        ("user", Value::Null),
    ]
}
