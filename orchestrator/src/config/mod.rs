//! The settings in force, and where each of them came from.
//!
//! Four layers, each over the one before: the defaults, `nanokimi.toml`, `.env`, and the
//! environment. Of `.env` and the environment only the names in the table below are taken.
//! Secrets are taken from these two alone, so that the file can be shared.

mod auth;
mod container;
mod dotenv;
mod engine;
mod file;
mod mounts;
mod logs;
mod reading;
mod sources;
mod table;
mod whatsapp;
mod workspace;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;

use reading::{url, zone};
use sources::Sources;

pub(crate) use auth::{AuthForward, AuthSettings};
pub(crate) use container::{AgentNetwork, ContainerSettings};
pub(crate) use engine::{Engine, EngineSettings};
pub(crate) use logs::LogSettings;
pub(crate) use sources::{SettingLine, unknown_names};
pub(crate) use whatsapp::{WhatsAppMode, WhatsAppSettings};
pub(crate) use workspace::{StoreUrl, WorkspaceSettings};

/// A value that must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Config {
    pub assistant_name: String,
    /// Else it shares its owner's, and its texts begin with its name.
    pub assistant_has_own_number: bool,
    pub time_zone: TimeZone,
    pub time_zone_name: String,
    pub(crate) logs: LogSettings,
    pub http_listen: SocketAddr,
    pub agent_runtime: AgentRuntime,
    pub agent_runner: PathBuf,
    pub(crate) container: ContainerSettings,
    pub(crate) engine: EngineSettings,
    pub(crate) auth: AuthSettings,
    pub max_concurrent: usize,
    /// Each batch of messages has an agent of its own; else an agent waits for the next.
    pub agent_one_shot: bool,
    /// How long it waits, by the clock of schedules.
    pub agent_idle_timeout: Duration,
    /// How long an agent may go without an event in a turn.
    pub agent_timeout: Duration,
    /// Bytes: the longest line of an agent's output, and the longest run log.
    pub agent_max_output: usize,
    /// None without a key, or where none is to be given: agents then say what is missing.
    pub llm_key: Option<LlmKey>,
    /// None leaves the choice to the agent: what its key's provider offers.
    pub llm_base_url: Option<String>,
    pub llm_model: Option<String>,
    pub(crate) whatsapp: WhatsAppSettings,
    pub(crate) workspace: WorkspaceSettings,
    /// Bytes: what is larger is not downloaded.
    pub media_limit: u64,
    /// PEM: further authorities for HTTPS.
    pub extra_ca_file: Option<PathBuf>,
    pub ipc_scan_interval: Duration,
    pub shutdown_grace: Duration,
    /// `PATH` for agents.
    pub search_path: OsString,
    /// All that are given, also those that are not in use.
    secrets: Vec<Secret>,
    lines: Vec<SettingLine>,
}

/// How agents run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentRuntime {
    Docker,
    /// As processes of the host, without isolation.
    Host,
}

/// The credential agents call the model with.
#[derive(Clone, Debug)]
pub struct LlmKey {
    /// The variable it is known by, e.g. `MOONSHOT_API_KEY`.
    pub name: &'static str,
    pub value: Secret,
}

impl LlmKey {
    fn new((name, value): (&'static str, String)) -> Self {
        let value = Secret(value);
        Self { name, value }
    }
}

/// What is wrong with the settings: all of it at once.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n       "))]
pub struct ConfigError(Vec<String>);

impl ConfigError {
    /// One line for each, with its place.
    pub(crate) fn problems(&self) -> &[String] {
        &self.0
    }
}

impl AgentRuntime {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Host => "host",
        }
    }
}

impl Config {
    /// Reads the settings of the installation in `root` under an environment.
    pub fn load(root: &Path, environment: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let mut sources = Sources::default();
        sources.add_file(root);
        sources.add_dotenv(root);
        sources.add_environment(environment);
        let search_path = environment.get("PATH").cloned().unwrap_or_default();
        let home = environment.get("HOME").map(Path::new);
        let config = Self::read((root, home), &mut sources, search_path.into());
        config
            .filter(|_| sources.problems.is_empty())
            .ok_or(ConfigError(sources.problems))
    }

    fn read(
        (root, home): (&Path, Option<&Path>),
        sources: &mut Sources,
        search_path: OsString,
    ) -> Option<Self> {
        // Each is read before any is missed, so that all problems are told at once.
        let assistant_name = sources.read("assistant_name", "a name without line breaks", name);
        let own_number = sources.read("assistant_has_own_number", "`true` or `false`", flag);
        let zone = sources.read("time_zone", "a time zone such as `Europe/Paris`", zone);
        let logs = LogSettings::read(sources);
        let http_listen = sources.read("http_listen", ADDRESS, parsed);
        let agent_runtime = sources.read("agent_runtime", "`docker` or `host`", runtime);
        let agent_runner = sources.read("agent_runner", "a path", |text| runner(root, text));
        let container = ContainerSettings::read((root, home), sources);
        let engine = EngineSettings::read(sources);
        let max_concurrent = sources.read("max_concurrent", "a number from 1 to 64", concurrent);
        let one_shot = sources.read("agent_one_shot", "`true` or `false`", flag);
        let idle_timeout = sources.read("agent_idle_timeout", DURATION, duration);
        let agent_timeout = sources.read("agent_timeout", DURATION, duration);
        let max_output = sources.read("agent_max_output", OUTPUT, output);
        let ipc_scan_interval = sources.read("ipc_scan_interval", DURATION, duration);
        let shutdown_grace = sources.read("shutdown_grace", "a duration of at least 4s", grace);
        let llm_base_url = sources.read_optional("llm_base_url", "a URL with http or https", url);
        let llm_model = sources.read_optional("llm_model", "a model's name", name);
        let whatsapp = WhatsAppSettings::read(sources);
        let workspace = WorkspaceSettings::read(root, sources);
        let media_limit = sources.read("media_limit", "a number of bytes", parsed);
        let extra_ca_file =
            sources.read_optional("extra_ca_file", "a file", |text| file_of(root, text));
        let llm_key = sources.secret(&["openrouter_api_key", "moonshot_api_key"]);
        let auth = AuthSettings::read((root, home), sources, llm_key.is_some());
        let ((time_zone_name, time_zone), agent_runner, auth) = (zone?, agent_runner?, auth?);
        Some(Self {
            lines: sources.lines(&[
                ("time_zone", time_zone_name.clone()),
                ("agent_runner", agent_runner.display().to_string()),
            ]),
            assistant_name: assistant_name?,
            assistant_has_own_number: own_number?,
            time_zone,
            time_zone_name,
            logs: logs?,
            http_listen: http_listen?,
            agent_runtime: agent_runtime?,
            agent_runner,
            container: container?,
            engine: engine?,
            llm_key: llm_key.filter(|_| auth.forwards_keys()).map(LlmKey::new),
            auth,
            max_concurrent: max_concurrent?,
            agent_one_shot: one_shot?,
            agent_idle_timeout: idle_timeout?,
            agent_timeout: agent_timeout?,
            agent_max_output: max_output?,
            llm_base_url: llm_base_url?,
            llm_model: llm_model?,
            whatsapp: whatsapp?,
            workspace: workspace?,
            media_limit: media_limit?,
            extra_ca_file: extra_ca_file?,
            ipc_scan_interval: ipc_scan_interval?,
            shutdown_grace: shutdown_grace?,
            search_path,
            secrets: sources.secrets().into_iter().map(Secret).collect(),
        })
    }

    /// What an agent is told through its environment, whatever it runs in; no secret is in it.
    pub(crate) fn agent_environment(&self) -> Vec<(&'static str, OsString)> {
        let mut environment = vec![("TZ", self.time_zone_name.clone().into())];
        environment.extend(self.engine.environment());
        for (name, value) in [
            ("NANOKIMI_LLM_BASE_URL", &self.llm_base_url),
            ("NANOKIMI_LLM_MODEL", &self.llm_model),
        ] {
            environment.extend(value.as_ref().map(|value| (name, value.into())));
        }
        environment
    }

    /// Whether agents work with a login of the Kimi CLI, if there is one: a key goes first.
    pub(crate) fn uses_login(&self) -> bool {
        let may = self.auth.forward == AuthForward::Sync;
        may && self.engine.engine == Engine::Acp && self.llm_key.is_none()
    }

    /// Every setting in force, secrets masked.
    #[must_use]
    pub fn lines(&self) -> &[SettingLine] {
        &self.lines
    }

    /// A text without what must not stand in it.
    #[must_use]
    pub(crate) fn masked(&self, text: &str) -> String {
        let secrets = self.secrets();
        secrets.iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret, "[secret]")
        })
    }

    /// The files and folders that settings name, or stand for, and that hold secrets.
    pub(crate) fn secret_places(&self) -> Vec<PathBuf> {
        let google = &self.workspace.google;
        let files = [&google.service_account, &google.application_credentials];
        let files = files.into_iter().flatten();
        files.chain(&self.auth.sources).cloned().collect()
    }

    /// What must not stand in any log.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let secrets = self.secrets.iter();
        secrets.map(|secret| secret.expose().to_owned()).collect()
    }
}

const ADDRESS: &str = "an address such as `127.0.0.1:8080`";
const DURATION: &str = "a duration such as `30m` or milliseconds, from 100ms to 365d";
const OUTPUT: &str = "a number of bytes, at least 65536";

fn name(text: &str) -> Option<String> {
    let name = text.trim();
    let fits = !name.is_empty() && name.len() <= 200 && !name.contains(char::is_control);
    fits.then(|| name.to_owned())
}

fn parsed<T: std::str::FromStr>(text: &str) -> Option<T> {
    match text.parse() {
        Ok(value) => Some(value),
        Err(_malformed) => None,
    }
}

fn runtime(text: &str) -> Option<AgentRuntime> {
    match text {
        "docker" => Some(AgentRuntime::Docker),
        "host" => Some(AgentRuntime::Host),
        _unknown => None,
    }
}

/// The agent-runner stands beside us unless it is told otherwise; paths are relative to the root.
fn runner(root: &Path, text: &str) -> Option<PathBuf> {
    if text != table::BESIDE_US {
        return Some(root.join(text));
    }
    match std::env::current_exe() {
        Ok(ours) => Some(ours.with_file_name("agent-runner")),
        Err(_unknown) => None,
    }
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        _unknown => None,
    }
}

/// A file that is there; paths are relative to the root.
fn file_of(root: &Path, text: &str) -> Option<PathBuf> {
    let file = root.join(text);
    file.is_file().then_some(file)
}

fn concurrent(text: &str) -> Option<usize> {
    parsed(text).filter(|limit| (1..=64).contains(limit))
}

fn output(text: &str) -> Option<usize> {
    parsed(text).filter(|bytes| *bytes >= 64 * 1024)
}

/// Ending an agent that does not want to takes three seconds of it.
fn grace(text: &str) -> Option<Duration> {
    duration(text).filter(|span| *span >= Duration::from_secs(4))
}

fn duration(text: &str) -> Option<Duration> {
    const SHORTEST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_hours(365 * 24);
    crate::duration::parse(text).filter(|span| (SHORTEST..=LONGEST).contains(span))
}

#[cfg(test)]
mod tests;
