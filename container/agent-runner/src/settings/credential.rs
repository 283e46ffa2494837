//! The key to the model, and which endpoint it opens.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;

use agent_protocol::{CredentialError, parse_credentials};
use fs_err as fs;

use super::{Environment, SettingsError};

const OPENROUTER: &str = "OPENROUTER_API_KEY";
const MOONSHOT: &str = "MOONSHOT_API_KEY";

/// Which of the two OpenAI-like endpoints is spoken to; they differ in defaults and in where
/// a model's reasoning stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    OpenRouter,
    Moonshot,
}

impl Dialect {
    pub(super) fn base_url(self) -> &'static str {
        match self {
            Self::OpenRouter => "https://openrouter.ai/api/v1",
            Self::Moonshot => "https://api.moonshot.ai/v1",
        }
    }

    /// The first ids of the line (`kimi-k2-…-preview`, `kimi-latest`) were discontinued in 2026.
    pub(super) fn model(self) -> &'static str {
        match self {
            Self::OpenRouter => "moonshotai/kimi-k2.6",
            Self::Moonshot => "kimi-k2.6",
        }
    }
}

/// A key. It can be sent and masked, but not printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// `text` without the key, wherever it came from: an endpoint may quote it in an error,
    /// a command may print the file it lies in.
    pub(crate) fn mask(&self, text: String) -> String {
        if text.contains(&self.0) {
            text.replace(&self.0, "[secret]")
        } else {
            text
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// No usable key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialProblem {
    #[error("cannot read the credential file")]
    Read(#[source] io::Error),
    #[error("the credential file `{}` is broken", path.display())]
    Broken {
        path: PathBuf,
        #[source]
        source: CredentialError,
    },
    #[error("no {OPENROUTER} and no {MOONSHOT} in `{}` or in the environment: put one into the orchestrator's `.env`", path.display())]
    NoKey { path: PathBuf },
    #[error("{name} holds blanks or control characters: copy the key again")]
    Unsendable { name: &'static str },
}

/// The key that fits the address, from the credential file or, for runs by hand, from the
/// environment.
pub(super) fn read(
    environment: &Environment,
    base_url: Option<&str>,
) -> Result<(Dialect, Secret), SettingsError> {
    let path = environment.folder("NANOKIMI_CREDENTIALS", "/workspace/env-dir/env");
    let stored = stored(&path)?;
    let find = |name: &'static str| -> Result<Option<String>, SettingsError> {
        match stored.get(name).filter(|key| !key.is_empty()) {
            Some(key) => Ok(Some(key.clone())),
            None => Ok(environment.text(name)?.map(str::to_owned)),
        }
    };
    let (dialect, name, key) = match (find(OPENROUTER)?, find(MOONSHOT)?) {
        (Some(_), Some(key)) if base_url.is_some_and(is_moonshots) => {
            (Dialect::Moonshot, MOONSHOT, key)
        }
        (Some(key), _) => (Dialect::OpenRouter, OPENROUTER, key),
        (None, Some(key)) => (Dialect::Moonshot, MOONSHOT, key),
        (None, None) => return Err(CredentialProblem::NoKey { path }.into()),
    };
    if key.chars().all(|c| c.is_ascii_graphic()) {
        Ok((dialect, Secret(key)))
    } else {
        Err(CredentialProblem::Unsendable { name }.into())
    }
}

fn stored(path: &PathBuf) -> Result<BTreeMap<String, String>, CredentialProblem> {
    match fs::read_to_string(path) {
        Ok(text) => parse_credentials(&text).map_err(|source| CredentialProblem::Broken {
            path: path.clone(),
            source,
        }),
        // A run by hand has its key in the environment.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(CredentialProblem::Read(error)),
    }
}

fn is_moonshots(base_url: &str) -> bool {
    base_url.contains("moonshot")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::chain;

    /// Reads `file` beside `variables`; the base URL is one of them.
    fn credential(file: &str, variables: &[(&str, &str)]) -> Result<(Dialect, Secret), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("env");
        fs::write(&path, file).unwrap();
        let mut all: Vec<(_, _)> = variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        all.push(("NANOKIMI_CREDENTIALS".into(), path.into()));
        let environment = Environment::new(all, PathBuf::new());
        let base_url = environment.text("NANOKIMI_LLM_BASE_URL").unwrap();
        read(&environment, base_url).map_err(|error| chain(&error))
    }

    #[test]
    fn the_file_comes_before_the_environment() {
        let found = credential("MOONSHOT_API_KEY='sk-file'\n", &[(MOONSHOT, "sk-env")]);
        assert_eq!(
            found.unwrap(),
            (Dialect::Moonshot, Secret("sk-file".into()))
        );
    }

    #[test]
    fn with_two_keys_the_address_decides() {
        let both = "MOONSHOT_API_KEY='m'\nOPENROUTER_API_KEY='o'\n";
        let china = [("NANOKIMI_LLM_BASE_URL", "https://api.moonshot.cn/v1")];
        assert_eq!(credential(both, &china).unwrap().0, Dialect::Moonshot);
        assert_eq!(credential(both, &[]).unwrap().0, Dialect::OpenRouter);
    }

    #[test]
    fn what_is_wrong_with_a_key_is_told_without_the_key() {
        let told = credential("", &[]).unwrap_err();
        assert!(
            told.contains("no OPENROUTER_API_KEY and no MOONSHOT_API_KEY"),
            "{told}"
        );
        let told = credential("MOONSHOT_API_KEY=sk-secret\n", &[]).unwrap_err();
        assert!(
            told.ends_with("is broken: line 1: expected the value in single quotes"),
            "{told}"
        );
        let told = credential("MOONSHOT_API_KEY='sk secret'\n", &[]).unwrap_err();
        assert!(
            told.contains("holds blanks") && !told.contains("secret'"),
            "{told}"
        );
    }

    #[test]
    fn a_key_cannot_be_printed_and_is_masked() {
        let key = Secret("sk-1".into());
        assert_eq!(format!("{key:?}"), "Secret(…)");
        assert_eq!(key.mask("bad key sk-1!".into()), "bad key [secret]!");
    }
}
