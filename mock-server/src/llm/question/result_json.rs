//! The JSON within a tool's result, and what a pointer finds there.
//!
//! Clients wrap results: `<system>…</system>` or `Wall time: …` on lines of their own come
//! before what the tool itself has said.

use serde::Deserialize;
use serde_json::Value;

/// The whole text as JSON, or what begins on one of its lines with a bracket.
pub(crate) fn json_in(text: &str) -> Option<Value> {
    if let Ok(value) = serde_json::from_str(text) {
        return Some(value);
    }
    let mut begin = 0;
    text.split_inclusive('\n').find_map(|line| {
        let rest = &text[begin..];
        begin += line.len();
        line.starts_with(['{', '[']).then(|| first_value(rest))?
    })
}

fn first_value(text: &str) -> Option<Value> {
    match Value::deserialize(&mut serde_json::Deserializer::from_str(text)) {
        Ok(value) => Some(value),
        Err(_no_json) => None,
    }
}

/// What a value says where a text is wanted: a text without its quotes.
pub(crate) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, value: Option<&Value>) {
        assert_eq!(json_in(text).as_ref(), value);
    }

    #[test]
    fn json_is_found_behind_what_clients_say_before_it() {
        let file = json!({"file": {"id": "f-1"}});
        check(r#"{"file": {"id": "f-1"}}"#, Some(&file));
        check(
            "<system>Command executed.</system>\n{\"file\": {\"id\": \"f-1\"}}",
            Some(&file),
        );
        check(
            "Wall time: 0.1 seconds\n{\"file\":\n{\"id\": \"f-1\"}}\n",
            Some(&file),
        );
        check("[oops\n[1]", Some(&json!([1])));
        check("7", Some(&json!(7)));
        check("done {\"a\": 1}", None);
        check("", None);
    }
}
