//! The JSON Schema of scenario files, for editors, generated from the types.

use schemars::schema_for;

use super::ScenarioFile;

/// The schema as it stands in `scenarios/scenario.schema.json`, with a final newline.
#[must_use]
pub fn schema() -> String {
    format!("{:#}\n", schema_for!(ScenarioFile).as_value())
}
