//! The settings in force, and where each of them came from.
//!
//! Four layers, each over the one before: the defaults, `nanokimi.toml`, `.env`, and the
//! environment. Of `.env` and the environment only the names in the table below are taken.
//! Secrets are taken from these two alone, so that the file can be shared.

mod container;
mod dotenv;
mod engine;
mod file;
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

use reading::{level, url, zone};
use sources::Sources;

pub(crate) use container::{AgentNetwork, ContainerSettings};
pub(crate) use engine::{Engine, EngineSettings};
pub(crate) use sources::SettingLine;
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
    pub log_level: tracing::Level,
    pub http_listen: SocketAddr,
    pub agent_runtime: AgentRuntime,
    pub agent_runner: PathBuf,
    pub(crate) container: ContainerSettings,
    pub(crate) engine: EngineSettings,
    pub max_concurrent: usize,
    /// How long an agent may go without an event.
    pub agent_timeout: Duration,
    /// Bytes: the longest line of an agent's output, and the longest run log.
    pub agent_max_output: usize,
    /// None without a key: agents then say what is missing.
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
        let config = Self::read(root, &mut sources, search_path.into());
        config
            .filter(|_| sources.problems.is_empty())
            .ok_or(ConfigError(sources.problems))
    }

    fn read(root: &Path, sources: &mut Sources, search_path: OsString) -> Option<Self> {
        // Each is read before any is missed, so that all problems are told at once.
        let assistant_name = sources.read("assistant_name", "a name without line breaks", name);
        let own_number = sources.read("assistant_has_own_number", "`true` or `false`", flag);
        let zone = sources.read("time_zone", "a time zone such as `Europe/Paris`", zone);
        let log_level = sources.read("log_level", "trace, debug, info, warn or error", level);
        let http_listen =
            sources.read("http_listen", "an address such as `127.0.0.1:8080`", parsed);
        let agent_runtime = sources.read("agent_runtime", "`docker` or `host`", runtime);
        let agent_runner = sources.read("agent_runner", "a path", |text| runner(root, text));
        let container = ContainerSettings::read(root, sources);
        let engine = EngineSettings::read(sources);
        let max_concurrent = sources.read("max_concurrent", "a number from 1 to 64", concurrent);
        // Taken so that an old configuration starts, and so that `false` is not ignored.
        let one_shot = sources.read("agent_one_shot", ONE_SHOT, one_shot);
        let agent_timeout = sources.read("agent_timeout", DURATION, duration);
        let max_output = sources.read("agent_max_output", OUTPUT, output);
        let ipc_scan_interval = sources.read("ipc_scan_interval", DURATION, duration);
        let shutdown_grace = sources.read("shutdown_grace", "a duration of at least 4s", grace);
        let llm_base_url = sources.read_optional("llm_base_url", "a URL with http or https", url);
        let llm_model = sources.read_optional("llm_model", "a model's name", name);
        let whatsapp = WhatsAppSettings::read(sources);
        let workspace = WorkspaceSettings::read(sources);
        let media_limit = sources.read("media_limit", "a number of bytes", parsed);
        let extra_ca_file =
            sources.read_optional("extra_ca_file", "a file", |text| file_of(root, text));
        let llm_key = sources.secret(&["openrouter_api_key", "moonshot_api_key"]);
        let (time_zone_name, time_zone) = zone?;
        let agent_runner = agent_runner?;
        let OneShot = one_shot?;
        let lines = sources.lines(&[
            ("time_zone", time_zone_name.clone()),
            ("agent_runner", agent_runner.display().to_string()),
        ]);
        Some(Self {
            assistant_name: assistant_name?,
            assistant_has_own_number: own_number?,
            time_zone,
            time_zone_name,
            log_level: log_level?,
            http_listen: http_listen?,
            agent_runtime: agent_runtime?,
            agent_runner,
            container: container?,
            engine: engine?,
            max_concurrent: max_concurrent?,
            agent_timeout: agent_timeout?,
            agent_max_output: max_output?,
            llm_key: llm_key.map(LlmKey::new),
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
            lines,
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

    /// What must not stand in any log.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let secrets = self.secrets.iter();
        secrets.map(|secret| secret.expose().to_owned()).collect()
    }
}

const DURATION: &str = "a duration such as `30m` or milliseconds, from 100ms to 365d";
const OUTPUT: &str = "a number of bytes, at least 65536";
const ONE_SHOT: &str = "`true`: agents that stay for the next message are not built yet";

/// Each batch of messages has an agent of its own.
struct OneShot;

fn one_shot(text: &str) -> Option<OneShot> {
    ["true", "yes", "1"].contains(&text).then_some(OneShot)
}

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
mod tests {
    use super::*;

    struct Installation(tempfile::TempDir);

    fn installation(toml: &str, dotenv: &str) -> Installation {
        let root = tempfile::tempdir().unwrap();
        fs_err::write(root.path().join("nanokimi.toml"), toml).unwrap();
        fs_err::write(root.path().join(".env"), dotenv).unwrap();
        Installation(root)
    }

    impl Installation {
        fn load(&self, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
            let environment = environment
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect();
            Config::load(self.0.path(), &environment)
        }

        #[track_caller]
        fn check_error(&self, environment: &[(&str, &str)], expected: &[&str]) {
            let error = self.load(environment).unwrap_err();
            assert_eq!(error.0, expected);
        }
    }

    #[test]
    fn each_layer_goes_over_the_one_before() {
        let here = installation(
            "assistant_name = \"File\"\nlog_level = \"warn\"\nmax_concurrent = 2\n",
            "ASSISTANT_NAME=Env\nLOG_LEVEL=debug\nMOONSHOT_API_KEY='sk-1'\nOTHER=x\n",
        );
        let config = here
            .load(&[("LOG_LEVEL", "error"), ("HOME", "/h")])
            .unwrap();

        assert_eq!(config.assistant_name, "Env");
        assert_eq!(config.log_level, tracing::Level::ERROR);
        assert_eq!(config.max_concurrent, 2);
        assert_eq!(config.agent_timeout, Duration::from_secs(1800));
        let key = config.llm_key.as_ref().unwrap();
        assert_eq!((key.name, key.value.expose()), ("MOONSHOT_API_KEY", "sk-1"));
        assert!(!format!("{config:?}").contains("sk-1"));
    }

    #[test]
    fn every_line_says_where_it_came_from_and_hides_secrets() {
        let here = installation("max_concurrent = 2\n", "\nMOONSHOT_API_KEY=sk-1\n");
        let config = here.load(&[("NANOKIMI_LOG_LEVEL", "warn")]).unwrap();
        let line = |key: &str| {
            let line = config.lines().iter().find(|line| line.key == key).unwrap();
            format!("{} ({})", line.value, line.origin)
        };
        assert_eq!(line("max_concurrent"), "2 (nanokimi.toml:1)");
        assert_eq!(line("log_level"), "warn (environment NANOKIMI_LOG_LEVEL)");
        assert_eq!(line("moonshot_api_key"), "[secret] (.env:2)");
        assert_eq!(line("assistant_name"), "Kai (default)");
        assert_eq!(line("engine"), "builtin (default)");
        assert_eq!(line("acp_command"), "kimi acp (default)");
    }

    #[test]
    fn all_mistakes_are_told_at_once_with_their_places() {
        let here = installation(
            "agent_timeout = \"soon\"\nmax_concurent = 3\nmax_concurrent = 0\nmoonshot_api_key = \"sk-2\"\n",
            "no equals sign sk-3\n",
        );
        here.check_error(
            &[("TZ", "Mars/Olympus")],
            &[
                "nanokimi.toml:2:1: there is no setting `max_concurent`; did you mean `max_concurrent`?",
                "nanokimi.toml:4:1: `moonshot_api_key` is a secret: put MOONSHOT_API_KEY into .env or the environment",
                ".env:1: expected KEY=VALUE, without `export`",
                "environment TZ: time_zone: expected a time zone such as `Europe/Paris`, found `Mars/Olympus`",
                "nanokimi.toml:3:18: max_concurrent: expected a number from 1 to 64, found `0`",
                "nanokimi.toml:1:17: agent_timeout: expected a duration such as `30m` or milliseconds, from 100ms to 365d, found `soon`",
            ],
        );
    }

    #[test]
    fn what_stands_for_something_is_shown_as_what_it_is() {
        let here = installation(
            "time_zone = \"europe/paris\"\nagent_runner = \"bin/agent\"\n",
            "",
        );
        let config = here.load(&[]).unwrap();

        assert_eq!(config.time_zone_name, "Europe/Paris");
        let shown = |key: &str| {
            let line = config.lines().iter().find(|line| line.key == key);
            line.unwrap().value.clone()
        };
        assert_eq!(shown("time_zone"), "Europe/Paris");
        assert_eq!(
            shown("agent_runner"),
            here.0.path().join("bin/agent").display().to_string()
        );
    }

    #[test]
    fn an_empty_name_leaves_the_next_one_its_say() {
        let here = installation("", "");
        let config = here.load(&[("NANOKIMI_LOG_LEVEL", ""), ("LOG_LEVEL", "debug")]);
        assert_eq!(config.unwrap().log_level, tracing::Level::DEBUG);
    }

    #[track_caller]
    fn check_refused(name: &str, value: &str) {
        let error = installation("", "").load(&[(name, value)]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("environment {name}: ")),
            "{error}"
        );
    }

    #[test]
    fn a_value_out_of_range_is_refused_and_not_replaced() {
        check_refused("MAX_CONCURRENT_CONTAINERS", "0");
        check_refused("MAX_CONCURRENT_CONTAINERS", "-1");
        check_refused("CONTAINER_TIMEOUT", "5");
        check_refused("CONTAINER_TIMEOUT", "5 minutes");
        check_refused("NANOKIMI_SHUTDOWN_GRACE", "366d");
        check_refused("NANOKIMI_AGENT_ONE_SHOT", "false");
        check_refused("NANOKIMI_AGENT_RUNTIME", "podman");
        check_refused("NANOKIMI_AGENT_NETWORK", "container:other");
        check_refused("NANOKIMI_AGENT_HOSTS", "api.github.com");
        check_refused("NANOKIMI_AGENT_MEMORY", "lots");
        check_refused("NANOKIMI_AGENT_CPUS", "0");
        check_refused("NANOKIMI_AGENT_PIDS", "1");
        check_refused("NANOKIMI_HOST_ROOT", "relative");
        check_refused("DOCKER_HOST", "elsewhere");
        check_refused("NANOKIMI_ENGINE", "kimi");
        check_refused("NANOKIMI_ACP_COMMAND", "two\nlines");
        check_refused("NANOKIMI_LLM_STALL_TIMEOUT", "soon");
        check_refused("NANOKIMI_HTTP_LISTEN", "8080");
        check_refused("NANOKIMI_LLM_BASE_URL", "http://a b");
        check_refused("ASSISTANT_HAS_OWN_NUMBER", "maybe");
        check_refused("NANOKIMI_WHATSAPP", "on");
        check_refused("NANOKIMI_WHATSAPP_URL", "ws://web.whatsapp.com/ws/chat");
        check_refused("NANOKIMI_WHATSAPP_VERSION", "latest");
        check_refused("NANOKIMI_MEDIA_LIMIT", "64M");
        check_refused("NANOKIMI_EXTRA_CA_FILE", "no/such/file.pem");
        check_refused("ASSISTANT_NAME", "two\nlines");
        check_refused("NANOKIMI_WORKSPACE_STORE", "az://groups");
        check_refused("NANOKIMI_WORKSPACE_ENDPOINT", "127.0.0.1:9100");
        check_refused("NANOKIMI_WORKSPACE_MAX_FILES", "0");
        check_refused("LOG_LEVEL", "loud");
    }

    #[test]
    fn a_line_of_dotenv_with_a_secret_is_never_quoted() {
        let here = installation("", "export MOONSHOT_API_KEY=sk-4\n");
        here.check_error(&[], &[".env:1: expected KEY=VALUE, without `export`"]);
    }

    #[test]
    fn a_file_that_is_not_toml_is_refused_with_its_place() {
        let here = installation("assistant_name = Kai\n", "");
        let error = here.load(&[]).unwrap_err().to_string();
        assert!(error.starts_with("nanokimi.toml:1:18: "), "{error}");
    }
}
