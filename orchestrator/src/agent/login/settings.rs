//! Whether the settings of a login lead to a model. The CLI looks at it as late as in a turn, and
//! says no more than `LLM is not set`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{LARGEST, TOKENS, copied_from, folder, is_there};
use crate::agent::home::KIMI_SETTINGS;
use crate::safe_dir::{SafeDir, Unreadable};

/// What is in the way, and of which file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the login of the Kimi CLI leads to no model: {what}; {way_out}", way_out = .what.way_out())]
pub(in crate::agent) struct LoginProblem {
    what: Fault,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("its folder cannot be read ({0})")]
    Folder(String),
    #[error("`{}` is missing", .0.display())]
    Missing(PathBuf),
    #[error("`{}` cannot be read ({why})", .file.display())]
    Unreadable { file: PathBuf, why: Unreadable },
    #[error("`{}` is not understood from line {line} on", .file.display())]
    Malformed { file: PathBuf, line: usize },
    #[error("`{}` names no default_model", .0.display())]
    NoDefault(PathBuf),
    #[error(
        "`{}` has the default_model `{model}` and no [models.{model}]{}", .file.display(),
        others(.known)
    )]
    UnknownModel {
        file: PathBuf,
        model: String,
        known: Vec<String>,
    },
    #[error("`{}` has no [providers.{provider}], which its model `{model}` names", .file.display())]
    UnknownProvider {
        file: PathBuf,
        model: String,
        provider: String,
    },
}

impl Fault {
    fn way_out(&self) -> &'static str {
        match self {
            Self::Folder(_) | Self::Missing(_) | Self::Unreadable { .. } => {
                "run `kimi login`, or set a key"
            }
            Self::Malformed { .. } | Self::NoDefault(_) => {
                "run `kimi login` to have it written anew, or correct it"
            }
            Self::UnknownModel { .. } | Self::UnknownProvider { .. } => {
                "correct it, or run `kimi login` to have it written anew"
            }
        }
    }
}

fn others(known: &[String]) -> String {
    match known {
        [] => String::new(),
        known => format!(", only {}", known.join(", ")),
    }
}

/// What leads to a model in the settings of the CLI (2.1.0); everything else is its own.
#[derive(Deserialize)]
struct Settings {
    #[serde(default)]
    default_model: String,
    #[serde(default)]
    models: BTreeMap<String, Model>,
    #[serde(default)]
    providers: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default)]
    provider: String,
}

/// Looks at the login that agents will use. Where there is none an agent may know a way of its
/// own, so that is no problem.
pub(in crate::agent) fn check(root: &Path) -> Result<(), LoginProblem> {
    look(root).map_err(|what| LoginProblem { what })
}

fn look(root: &Path) -> Result<(), Fault> {
    let unreadable = |error: io::Error| Fault::Folder(error.to_string());
    let ours = folder(root);
    // Its own file is the one to correct: the next run has it copied.
    let source = copied_from(root).map_err(unreadable)?;
    let file = source.unwrap_or_else(|| ours.clone()).join(KIMI_SETTINGS);
    if !is_there(&ours.join(KIMI_SETTINGS)) {
        return match is_there(&ours.join(TOKENS)) {
            true => Err(Fault::Missing(file)),
            false => Ok(()),
        };
    }
    // An operator may have linked the whole folder.
    let ours = fs_err::canonicalize(&ours).map_err(unreadable)?;
    let ours = SafeDir::open(&ours).map_err(unreadable)?;
    match ours.read(KIMI_SETTINGS.as_ref(), LARGEST) {
        None => Err(Fault::Missing(file)),
        Some(Err(why)) => Err(Fault::Unreadable { file, why }),
        Some(Ok(found)) => leads_to_a_model(file, &found.bytes),
    }
}

fn leads_to_a_model(file: PathBuf, bytes: &[u8]) -> Result<(), Fault> {
    // Not its words: they quote the file, in which a key may stand.
    let settings: Settings = match toml::from_slice(bytes) {
        Ok(settings) => settings,
        Err(error) => {
            let start = error.span().map_or(0, |span| span.start);
            let before = bytes.iter().take(start);
            let line = before.filter(|byte| **byte == b'\n').count() + 1;
            return Err(Fault::Malformed { file, line });
        }
    };
    let model = settings.default_model;
    if model.trim().is_empty() {
        return Err(Fault::NoDefault(file));
    }
    let Some(Model { provider }) = settings.models.get(&model) else {
        let known = settings.models.into_keys().collect();
        return Err(Fault::UnknownModel { file, model, known });
    };
    if !settings.providers.contains_key(provider) {
        let provider = provider.clone();
        return Err(Fault::UnknownProvider {
            file,
            model,
            provider,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODELS: &str = "[models.kimi-code]\nprovider = \"managed:kimi-code\"\n";
    const PROVIDERS: &str = "[providers.\"managed:kimi-code\"]\napi_key = \"\"\n";

    #[track_caller]
    fn check_told(settings: &str, expected: &str) {
        let root = tempfile::tempdir().unwrap();
        let file = folder(root.path()).join(KIMI_SETTINGS);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(&file, settings).unwrap();
        let told = match check(root.path()) {
            Ok(()) => String::new(),
            Err(problem) => problem.to_string(),
        };
        let file = file.display().to_string();
        let expected = match expected {
            "" => String::new(),
            expected => format!("the login of the Kimi CLI leads to no model: {expected}"),
        };
        assert_eq!(told.replace(&file, "FILE"), expected);
    }

    #[test]
    fn a_login_without_a_key_is_a_login() {
        let whole = format!("default_model = \"kimi-code\"\ntheme = \"dark\"\n{MODELS}{PROVIDERS}");
        check_told(&whole, "");
    }

    #[test]
    fn what_does_not_match_is_named() {
        let named = |model: &str| format!("default_model = \"{model}\"\n");
        let written = "run `kimi login` to have it written anew, or correct it";
        check_told("", &format!("`FILE` names no default_model; {written}"));
        check_told(
            &named(""),
            &format!("`FILE` names no default_model; {written}"),
        );
        let correct = "correct it, or run `kimi login` to have it written anew";
        check_told(
            &format!("{}{MODELS}{PROVIDERS}", named("kimi-latest")),
            &format!(
                "`FILE` has the default_model `kimi-latest` and no [models.kimi-latest], only kimi-code; {correct}"
            ),
        );
        check_told(
            &format!("{}{MODELS}", named("kimi-code")),
            &format!(
                "`FILE` has no [providers.managed:kimi-code], which its model `kimi-code` names; {correct}"
            ),
        );
    }

    #[test]
    fn a_file_that_is_not_understood_is_not_quoted() {
        for text in [
            "api_key = sk-secret\n",
            "sk-secret",
            "models = \"sk-secret\"\n",
        ] {
            let text = format!("\n{text}");
            let told = leads_to_a_model("config.toml".into(), text.as_bytes()).unwrap_err();
            assert_eq!(
                told.to_string(),
                "`config.toml` is not understood from line 2 on"
            );
        }
    }

    #[test]
    fn tokens_without_settings_are_no_login_and_nothing_at_all_is_none() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(check(root.path()), Ok(()));
        fs_err::create_dir_all(folder(root.path()).join(TOKENS)).unwrap();
        let told = check(root.path()).unwrap_err().to_string();
        assert!(
            told.contains("config.toml` is missing; run `kimi login`"),
            "{told}"
        );
    }

    #[test]
    fn settings_that_are_a_link_are_not_read() {
        let root = tempfile::tempdir().unwrap();
        let login = folder(root.path());
        fs_err::create_dir_all(&login).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", login.join(KIMI_SETTINGS)).unwrap();
        let told = check(root.path()).unwrap_err().to_string();
        assert!(told.contains("it is a symbolic link, not a file"), "{told}");
    }
}
