//! What a turn works with besides its input: folders, the model, the patience with it.
//!
//! Everything comes from the process's environment and from the credential file it names. A
//! setting that is not there has the default written beside it; one that is wrong is an error.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use agent_protocol::AgentErrorKind;
use reqwest::Url;

use crate::failure::Failure;
use crate::span::{InvalidSpan, Span};

mod credential;
mod engine;
pub(crate) use credential::{CredentialProblem, Dialect, Secret};
pub(crate) use engine::{Access, AcpAgent, Engine};

/// Where requests to the orchestrator are left.
pub(crate) const IPC_DIR: &str = "NANOKIMI_IPC_DIR";

/// The environment as the process was given it, and where its own binary lies.
#[derive(Clone, Debug)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    own_binary: PathBuf,
}

/// Where things are, which model answers, and how long to wait for it.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `HOME`: the agent's home; sessions lie below it.
    pub home: PathBuf,
    pub folders: Folders,
    pub engine: Engine,
    pub patience: Patience,
    /// `NANOKIMI_MAX_STEPS`, 100: model requests in one turn.
    pub max_steps: u32,
    /// `NANOKIMI_SESSION_LIMIT`, 4 MiB: bytes; a session on disk that has more is not gone on with.
    pub session_limit: u64,
    /// What tools see of the environment: a short list, so that no secret slips through.
    pub tool_environment: Vec<(OsString, OsString)>,
    /// This program, which holds the leash of what tools start.
    pub own_binary: PathBuf,
}

/// The folders of a box; the defaults are those of the container image.
#[derive(Clone, Debug)]
pub(crate) struct Folders {
    /// `NANOKIMI_GROUP_DIR`, `/workspace/group`: where tools work.
    pub group: PathBuf,
    /// `NANOKIMI_GLOBAL_DIR`, `/workspace/global`: what all groups share.
    pub global: PathBuf,
    /// `NANOKIMI_IPC_DIR`, `/workspace/ipc`: requests to the orchestrator.
    pub ipc: PathBuf,
    /// `NANOKIMI_PROJECT_DIR`, `/workspace/project`: the orchestrator's root, for the main group.
    pub project: PathBuf,
    /// `NANOKIMI_EXTRA_DIR`: what the operator lets it see of the machine besides, if anything.
    pub extra: Option<PathBuf>,
}

/// The model and the way to it.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub dialect: Dialect,
    /// `NANOKIMI_LLM_BASE_URL`, else the dialect's: everything before `/chat/completions`.
    pub base_url: Url,
    /// `NANOKIMI_LLM_MODEL`, else the dialect's.
    pub name: String,
    pub key: Secret,
}

/// How a request that fails or hangs is treated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// `NANOKIMI_LLM_ATTEMPTS`, 4: how often one request is sent in all.
    pub attempts: u32,
    /// `NANOKIMI_LLM_RETRY_BASE_MS`, 500: the wait after the first failure; it doubles.
    pub retry_base: Duration,
    /// `NANOKIMI_LLM_STALL_TIMEOUT`, `120s`: how long the model may say nothing useful.
    pub stall: Duration,
    /// `NANOKIMI_TURN_TIMEOUT`, `30m`: how long a turn may take in all, in real time,
    /// whatever it is at. The engine `acp` sees to it here, nanokimi to all.
    pub turn: Duration,
}

/// A setting that is missing or wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("`{0}` is not set")]
    Missing(&'static str),
    #[error("`{0}` is not valid UTF-8")]
    NotText(&'static str),
    #[error("`{name}` is `{value}`; expected {expected}")]
    Wrong {
        name: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error("`{name}`")]
    Span {
        name: &'static str,
        #[source]
        source: InvalidSpan,
    },
    #[error(transparent)]
    Credential(#[from] CredentialProblem),
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::lasting(AgentErrorKind::Config, &error)
    }
}

impl Environment {
    pub fn new(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        own_binary: PathBuf,
    ) -> Self {
        Self {
            variables: variables.into_iter().collect(),
            own_binary,
        }
    }

    /// A variable that is set but empty counts as not set, as in every shell script.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<&str>, SettingsError> {
        match self.variables.get(&OsString::from(name)) {
            Some(value) if !value.is_empty() => {
                value.to_str().map(Some).ok_or(SettingsError::NotText(name))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// A variable that must be there; it may be empty.
    pub(crate) fn given(&self, name: &'static str) -> Result<&str, SettingsError> {
        let value = self.variables.get(&OsString::from(name));
        let value = value.ok_or(SettingsError::Missing(name))?;
        value.to_str().ok_or(SettingsError::NotText(name))
    }

    fn folder(&self, name: &'static str, default: &str) -> PathBuf {
        match self.variables.get(&OsString::from(name)) {
            Some(value) if !value.is_empty() => PathBuf::from(value),
            Some(_) | None => PathBuf::from(default),
        }
    }

    fn optional_folder(&self, name: &'static str) -> Option<PathBuf> {
        let value = self.variables.get(&OsString::from(name))?;
        (!value.is_empty()).then(|| PathBuf::from(value))
    }

    fn number<N: FromStr + PartialOrd + From<u8>>(
        &self,
        name: &'static str,
        default: N,
    ) -> Result<N, SettingsError> {
        let Some(value) = self.text(name)? else {
            return Ok(default);
        };
        match value.parse::<N>() {
            Ok(number) if number >= N::from(1) => Ok(number),
            Ok(_) | Err(_) => Err(SettingsError::Wrong {
                name,
                value: value.to_owned(),
                expected: "a whole number above 0",
            }),
        }
    }

    fn span(&self, name: &'static str, default: Duration) -> Result<Duration, SettingsError> {
        match self.text(name)? {
            None => Ok(default),
            Some(value) => value
                .parse()
                .map(|Span(span)| span)
                .map_err(|source| SettingsError::Span { name, source }),
        }
    }
}

impl Settings {
    /// Reads the environment and the credential file it names.
    pub(crate) fn read(environment: &Environment) -> Result<Self, SettingsError> {
        let home = environment
            .variables
            .get(&OsString::from("HOME"))
            .filter(|home| !home.is_empty())
            .ok_or(SettingsError::Missing("HOME"))?;
        Ok(Self {
            home: PathBuf::from(home),
            folders: Folders {
                group: environment.folder("NANOKIMI_GROUP_DIR", "/workspace/group"),
                global: environment.folder("NANOKIMI_GLOBAL_DIR", "/workspace/global"),
                ipc: ipc_folder(environment),
                project: environment.folder("NANOKIMI_PROJECT_DIR", "/workspace/project"),
                extra: environment.optional_folder("NANOKIMI_EXTRA_DIR"),
            },
            engine: Engine::read(environment)?,
            patience: Patience {
                attempts: environment.number("NANOKIMI_LLM_ATTEMPTS", 4)?,
                retry_base: Duration::from_millis(
                    environment.number("NANOKIMI_LLM_RETRY_BASE_MS", 500)?,
                ),
                stall: environment.span("NANOKIMI_LLM_STALL_TIMEOUT", Duration::from_secs(120))?,
                turn: environment.span("NANOKIMI_TURN_TIMEOUT", Duration::from_secs(30 * 60))?,
            },
            max_steps: environment.number("NANOKIMI_MAX_STEPS", 100)?,
            session_limit: environment.number("NANOKIMI_SESSION_LIMIT", 4 * 1024 * 1024)?,
            tool_environment: tool_environment(environment),
            own_binary: environment.own_binary.clone(),
        })
    }
}

impl Model {
    fn read(environment: &Environment) -> Result<Self, SettingsError> {
        const BASE_URL: &str = "NANOKIMI_LLM_BASE_URL";
        let given = environment.text(BASE_URL)?;
        let (dialect, key) = credential::read(environment, given)?;
        let text = given.unwrap_or(dialect.base_url());
        Ok(Self {
            dialect,
            base_url: web_address(text).ok_or_else(|| SettingsError::Wrong {
                name: BASE_URL,
                value: text.to_owned(),
                expected: "an address such as `https://openrouter.ai/api/v1`",
            })?,
            name: environment
                .text("NANOKIMI_LLM_MODEL")?
                .unwrap_or(dialect.model())
                .to_owned(),
            key,
        })
    }
}

pub(crate) fn ipc_folder(environment: &Environment) -> PathBuf {
    environment.folder(IPC_DIR, "/workspace/ipc")
}

fn web_address(text: &str) -> Option<Url> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Some(url),
        Ok(_) | Err(_) => None,
    }
}

fn tool_environment(environment: &Environment) -> Vec<(OsString, OsString)> {
    const PASSED_ON: [&str; 11] = [
        "HOME", "PATH", "TZ", "LANG", "LC_ALL", "LC_CTYPE", "USER", "LOGNAME", "SHELL", "TMPDIR",
        "TERM",
    ];
    let passed_on = PASSED_ON.iter().filter_map(|name| {
        environment
            .variables
            .get_key_value(&OsString::from(name))
            .map(|(name, value)| (name.clone(), value.clone()))
    });
    passed_on.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::chain;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::new(
            variables
                .iter()
                .map(|(name, value)| (OsString::from(name), OsString::from(value))),
            PathBuf::from("agent-runner"),
        )
    }

    const NEEDED: [(&str, &str); 2] = [("HOME", "/home/node"), ("MOONSHOT_API_KEY", "sk-1")];

    #[track_caller]
    fn check(variables: &[(&str, &str)], complaint: &str) {
        let all: Vec<_> = NEEDED.iter().chain(variables).copied().collect();
        let told = chain(&Settings::read(&environment(&all)).unwrap_err());
        assert!(told.contains(complaint), "{told}");
    }

    #[test]
    fn a_key_and_a_home_are_enough() {
        let settings = Settings::read(&environment(&NEEDED)).unwrap();
        assert_eq!(settings.folders.group, PathBuf::from("/workspace/group"));
        let Engine::Builtin(model) = settings.engine else {
            panic!("another engine: {:?}", settings.engine);
        };
        assert_eq!(model.dialect, Dialect::Moonshot);
        assert_eq!(model.base_url.as_str(), "https://api.moonshot.ai/v1");
        assert_eq!(settings.patience.stall, Duration::from_secs(120));
        assert_eq!(settings.max_steps, 100);
    }

    #[test]
    fn a_wrong_setting_is_named_with_the_way_out() {
        check(&[("HOME", "")], "`HOME` is not set");
        check(
            &[("NANOKIMI_LLM_BASE_URL", "localhost:80")],
            "`NANOKIMI_LLM_BASE_URL` is `localhost:80`; expected an address such as",
        );
        check(
            &[("NANOKIMI_ENGINE", "kimi")],
            "`NANOKIMI_ENGINE` is `kimi`; expected `builtin` or `acp`",
        );
        check(
            &[("NANOKIMI_MAX_STEPS", "0")],
            "expected a whole number above 0",
        );
        check(
            &[("NANOKIMI_LLM_STALL_TIMEOUT", "2 minutes")],
            "`NANOKIMI_LLM_STALL_TIMEOUT`: `2 minutes` is not a span of time: write a number and a unit, e.g. `2m`",
        );
    }

    #[test]
    fn tools_see_no_secret_and_none_of_our_settings() {
        let settings = Settings::read(&environment(&[
            ("HOME", "/home/node"),
            ("PATH", "/bin"),
            ("MOONSHOT_API_KEY", "sk-1"),
            ("GITHUB_TOKEN", "t"),
            ("NANOKIMI_LLM_MODEL", "m"),
        ]))
        .unwrap();
        let names: Vec<_> = settings
            .tool_environment
            .iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["HOME", "PATH"]);
    }
}
