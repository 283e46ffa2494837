//! `nanokimi doctor`: is everything there that an installation needs, and what to do if not?
//!
//! It only looks: nothing is made, mended or brought up to date, so that it can be asked in a
//! folder that is empty, broken, or in use. Who is not there is not waited for longer than seconds.

mod agents;
mod finding;
mod folders;
mod kimi;
mod logs;
mod model;
mod process;
mod sessions;
mod settings;
mod stored;
mod workspaces;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use super::{CommandError, Shown, show};
use crate::config::Config;
use crate::store::Checkup;
use finding::{Finding, State};
use process::Seen;

/// Shows what every check has found; whether nothing is broken.
pub async fn doctor(
    root: &Path,
    environment: &BTreeMap<String, String>,
    shown: Shown,
    out: &mut dyn Write,
) -> Result<bool, CommandError> {
    let findings = examine(root, environment).await;
    show(out, shown, &findings, Finding::to_string, "")?;
    Ok(findings.iter().all(|found| found.state != State::Broken))
}

async fn examine(root: &Path, environment: &BTreeMap<String, String>) -> Vec<Finding> {
    let loaded = Config::load(root, environment);
    let mut findings = settings::settings(root, environment, loaded.as_ref());
    findings.extend(folders::folders(root));
    findings.extend(folders::secrets(root));
    findings.extend(folders::disk(root));
    findings.extend(logs::logs(root));
    let (seen, process) = process::process(root);
    findings.push(process);
    let (checkup, store) = stored::store(root);
    findings.push(store);
    findings.push(stored::clock(jiff::Timestamp::now(), checkup.as_ref()));
    findings.extend(sessions::sessions(root, checkup.as_ref()));
    match loaded {
        Ok(config) => {
            let of_settings = examine_settings(root, &config, seen, checkup.as_ref()).await;
            let all = findings.into_iter().chain(of_settings);
            all.map(|found| found.told(|text| one_line(&config.masked(text))))
                .collect()
        }
        Err(_told_already) => findings
            .into_iter()
            .map(|found| found.told(one_line))
            .collect(),
    }
}

/// What depends on the settings.
async fn examine_settings(
    root: &Path,
    config: &Config,
    seen: Seen,
    checkup: Option<&Checkup>,
) -> Vec<Finding> {
    let presence = seen.presence;
    let mut findings = process::api(root, config, seen).await;
    findings.push(stored::whatsapp(root, config, presence, checkup).await);
    findings.extend(agents::agents(root, config, presence).await);
    findings.push(model::credential(root, config));
    findings.extend(kimi::kimi(root, config));
    findings.push(workspaces::workspaces(config, presence, checkup).await);
    findings
}

/// A line for each finding is what people search.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}
