//! The JSON Schema of scenario files, for editors, generated from the types.

use schemars::schema_for;

use super::ScenarioFile;

/// The schema as it stands in `scenarios/scenario.schema.json`, with a final newline.
#[must_use]
pub fn schema() -> String {
    format!("{:#}\n", schema_for!(ScenarioFile).as_value())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    #[test]
    fn what_may_be_left_empty_may_be_null_for_an_editor_too() {
        let schema = schema_for!(ScenarioFile);
        for name in [
            "Start",
            "Stop",
            "Restart",
            "Settle",
            "CommandEnd",
            "ClockStart",
        ] {
            let kinds = schema.pointer(&format!("/$defs/{name}/type"));
            assert_eq!(kinds, Some(&json!(["object", "null"])), "{name}");
        }
        let words = json!({ "enum": ["start", "stop", "restart", "settle", "ended"] });
        let steps = schema.pointer("/$defs/Step/oneOf").unwrap();
        assert!(steps.as_array().unwrap().contains(&words));
    }

    #[test]
    fn the_schema_that_is_checked_in_is_that_of_the_types() {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let kept = package.join("../scenarios/scenario.schema.json");
        let kept = fs_err::read_to_string(kept).unwrap();
        assert!(
            kept == schema(),
            "run `cargo harness schema > scenarios/scenario.schema.json` and look at the change"
        );
    }
}
