//! The turns of a scenario: those of the files it names, then its own.

use std::path::{Path, PathBuf};

use mock_server::Script;
use mock_server::yaml::{self, At, Mistake, one_of};

use super::ScenarioFile;

/// Reads the files under `scripts` and adds the turns written inline.
pub(super) fn gather(path: &Path, file: &ScenarioFile, mistakes: &mut Vec<Mistake>) -> Vec<Script> {
    let mut scripts = Vec::new();
    for name in &file.scripts {
        match read(path, name) {
            Ok(script) => scripts.push(script),
            Err(mistake) => mistakes.push(*mistake),
        }
    }
    let inline = Script {
        name: None,
        lanes: file.lanes.clone(),
        lenient: file.lenient.clone(),
        faults: file
            .faults
            .iter()
            .map(|fault| fault.value.clone())
            .collect(),
        services: file.services.clone(),
        turns: file.script.iter().map(|turn| turn.value.clone()).collect(),
    };
    scripts.push(inline);
    scripts
}

fn read(path: &Path, name: &At<String>) -> Result<Script, Box<Mistake>> {
    let Some(folder) = folder_for(path) else {
        let mistake = Mistake::new(name.span, "there is no folder `scripts/` to find this in")
            .help("make it beside the folder `scenarios/`, or write the turns under `script`");
        return Err(Box::new(mistake));
    };
    let shown = format!("scripts/{}.yaml", name.value);
    let file = folder.join(format!("{}.yaml", name.value));
    let text = fs_err::read_to_string(&file).map_err(|error| {
        let known = known_in(&folder);
        let help = one_of(name, known.iter().map(String::as_str));
        let message = format!("`{shown}` cannot be read: {}", error.kind());
        Box::new(Mistake::new(name.span, message).help(help))
    })?;
    let script: Script = yaml::read(&shown, &text).map_err(|mistakes| {
        let message = format!("`{shown}` has mistakes of its own");
        Box::new(Mistake::new(name.span, message).help(format!("mend it first:\n{mistakes}")))
    })?;
    Ok(script.named(name))
}

fn folder_for(path: &Path) -> Option<PathBuf> {
    let above = path.ancestors().skip(1);
    above
        .map(|folder| folder.join("scripts"))
        .find(|folder| folder.is_dir())
}

fn known_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs_err::read_dir(folder) else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| match entry {
        Ok(entry) => Some(entry.file_name().to_string_lossy().into_owned()),
        Err(_unreadable) => None,
    });
    let stem = |name: String| name.strip_suffix(".yaml").map(str::to_owned);
    let mut known: Vec<String> = names.filter_map(stem).collect();
    known.sort();
    known
}
