//! The words of the mock's phones as steps: the same as over its control API.

use mock_server::whatsapp::{Control, Saying};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Value, json};

/// Many messages of one person, one after the other.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Burst {
    /// How many.
    pub(crate) times: u32,
    /// Each of them; `${n}` in its text counts from 1.
    pub(crate) say: Saying,
}

/// A control, or one word where there is nothing more to say: `- phone: drop`.
pub(super) fn schema(generator: &mut SchemaGenerator) -> Schema {
    let control = generator.subschema_for::<Control>();
    let whole = Control::json_schema(generator);
    let variants = whole.get("oneOf").and_then(Value::as_array);
    let words: Vec<Value> = variants
        .into_iter()
        .flatten()
        .filter_map(bare_word)
        .collect();
    json_schema!({ "anyOf": [control, json!({ "enum": words })] })
}

/// The name of a variant that needs nothing beside it.
fn bare_word(variant: &Value) -> Option<Value> {
    let (name, content) = variant.get("properties")?.as_object()?.iter().next()?;
    let is_empty = content.get("properties").is_none() && content.get("$ref").is_none();
    is_empty.then(|| name.clone().into())
}
