//! The settings can be read, and none is misspelt.

use std::collections::BTreeMap;
use std::path::Path;

use super::finding::{Check, Finding};
use crate::config::{self, Config, ConfigError};

pub(super) fn settings(
    root: &Path,
    environment: &BTreeMap<String, String>,
    loaded: Result<&Config, &ConfigError>,
) -> Vec<Finding> {
    let unknown = config::unknown_names(root, environment);
    let mut findings: Vec<Finding> = unknown
        .into_iter()
        .map(|(name, instead)| {
            let cause = format!("there is no setting for the variable {name}, so it is not heeded");
            Finding::warning(Check::Settings, cause, instead)
        })
        .collect();
    match loaded {
        Ok(_) if findings.is_empty() => {
            findings.push(Finding::ok(Check::Settings, "all can be read"));
        }
        Ok(_) => {}
        Err(error) => findings.extend(error.problems().iter().map(|problem| {
            let way_out = "put it right there; `nanokimi run` does not start before";
            Finding::broken(Check::Settings, problem, way_out)
        })),
    }
    findings
}
