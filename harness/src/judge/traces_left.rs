//! What nanokimi must not leave in its folder, whatever was played: secrets in what it
//! writes for people, and files where it has no business.

use std::path::Path;

use serde_json::Value;

use crate::failure::Failure;
use crate::scenario::ScenarioFile;
use crate::stage::{StageError, files};

/// What nanokimi may have in its folder beside what the scenario put there.
const OURS: [&str; 6] = [".env", "data", "groups", "logs", "nanokimi.toml", "store"];

/// Where people and agents read.
const READ_BY_OTHERS: [&str; 3] = ["logs/*", "groups/*/logs/*", "data/ipc/**/*"];

/// Files that hold a secret.
pub(super) fn secrets(root: &Path, secrets: &[String]) -> Result<Vec<Failure>, StageError> {
    let mut failures = Vec::new();
    for glob in READ_BY_OTHERS {
        let files = files(root, glob);
        let leaking = files.as_array().into_iter().flatten().filter(|file| {
            let text = file.get("text").and_then(Value::as_str);
            text.is_some_and(|text| secrets.iter().any(|secret| text.contains(secret)))
        });
        failures.extend(leaking.map(|file| {
            let path = file.get("path").map_or_else(String::new, Value::to_string);
            Failure::new(format!("a secret stands in {path}"))
        }));
    }
    Ok(failures)
}

/// A secret in what nanokimi has printed.
pub(super) fn printed(text: &str, secrets: &[String]) -> Option<Failure> {
    let leaks = secrets.iter().any(|secret| text.contains(secret));
    leaks.then(|| Failure::new("a secret stands in what nanokimi has printed"))
}

/// Entries of the root folder that nobody put there on purpose.
pub(super) fn strays(root: &Path, file: &ScenarioFile) -> Result<Vec<Failure>, StageError> {
    let placed = |name: &str| {
        let mut tops = file.files.keys().filter_map(|path| path.split('/').next());
        OURS.contains(&name) || tops.any(|top| top == name)
    };
    let mut failures = Vec::new();
    for entry in fs_err::read_dir(root).map_err(StageError::Folder)? {
        let entry = entry.map_err(StageError::Folder)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !placed(&name) {
            let headline = format!("`{name}` was written into the root folder");
            failures.push(Failure::new(headline));
        }
    }
    Ok(failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_and_a_stray_file_are_found() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        write("logs/nanokimi.log", "key=sk-1");
        write("data/env/env", "sk-1");
        write("notes/mine.txt", "");
        write("core", "");
        let text = "story: x\nfiles: { notes/mine.txt: '' }\nsteps: []\n";
        let file: ScenarioFile = mock_server::yaml::read("s.yaml", text).unwrap();

        let told = |failures: Result<Vec<Failure>, StageError>| {
            let failures = failures.unwrap().into_iter();
            failures.map(|failure| failure.headline).collect::<Vec<_>>()
        };
        assert_eq!(
            told(secrets(root.path(), &["sk-1".to_owned()])),
            ["a secret stands in \"logs/nanokimi.log\""],
        );
        assert_eq!(
            told(strays(root.path(), &file)),
            ["`core` was written into the root folder"],
        );
    }

    #[test]
    fn a_secret_that_was_printed_is_found() {
        let leaks = |text| printed(text, &["sk-1".to_owned()]).is_some();
        assert!(leaks("error: sk-1 is refused"));
        assert!(!leaks("error: it is refused"));
    }
}
