//! What is read from files and the environment, and what is refused.

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
    assert_eq!(config.logs.level, tracing::Level::ERROR);
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
    assert_eq!(config.unwrap().logs.level, tracing::Level::DEBUG);
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
    check_refused("NANOKIMI_AGENT_ONE_SHOT", "maybe");
    check_refused("IDLE_TIMEOUT", "never");
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
    check_refused("NANOKIMI_AUTH_FORWARD", "login");
    check_refused("NANOKIMI_AUTH_SOURCE", "no/such/folder");
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

#[test]
fn a_token_alone_and_a_key_that_is_not_there_cannot_be_forwarded() {
    let error = installation("auth_forward = \"oauth_token\"\n", "").load(&[]);
    let error = error.unwrap_err().to_string();
    let expected = "nanokimi.toml:1:16: auth_forward: expected `sync`, `api_key` or `ignore` (never `oauth_token`: ";
    assert!(error.starts_with(expected), "{error}");

    installation("", "").check_error(
        &[("NANOKIMI_AUTH_FORWARD", "api_key")],
        &["environment NANOKIMI_AUTH_FORWARD: auth_forward: `api_key` needs a key: put OPENROUTER_API_KEY or MOONSHOT_API_KEY into .env or the environment"],
    );
}

#[test]
fn a_key_that_is_not_to_be_forwarded_is_still_a_secret() {
    let here = installation("auth_forward = \"ignore\"\n", "MOONSHOT_API_KEY=sk-1\n");
    let config = here.load(&[]).unwrap();
    assert!(config.llm_key.is_none());
    assert_eq!(config.secrets(), ["sk-1"]);
    let line = config
        .lines()
        .iter()
        .find(|line| line.key == "auth_forward");
    assert_eq!(line.unwrap().value, "ignore");
}
