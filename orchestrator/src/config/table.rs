//! The one table of settings: what drives reading, `nanokimi config` and suggestions alike.

/// Stands for whatever the machine's zone is.
pub(super) const SYSTEM_ZONE: &str = "system";
/// Stands for `agent-runner` in the folder of our own executable.
pub(super) const BESIDE_US: &str = "agent-runner beside nanokimi";

/// One thing that can be set.
pub(super) struct Setting {
    pub(super) key: &'static str,
    /// Its names in the environment besides `NANOKIMI_<KEY>`: the ancestors' names.
    pub(super) aliases: &'static [&'static str],
    /// None: it has no value unless it is given one.
    pub(super) default: Option<&'static str>,
    pub(super) secret: bool,
}

const fn setting(
    key: &'static str,
    aliases: &'static [&'static str],
    default: &'static str,
) -> Setting {
    Setting {
        key,
        aliases,
        default: Some(default),
        secret: false,
    }
}

const fn optional(key: &'static str) -> Setting {
    Setting {
        key,
        aliases: &[],
        default: None,
        secret: false,
    }
}

const fn secret(key: &'static str, aliases: &'static [&'static str]) -> Setting {
    Setting {
        key,
        aliases,
        default: None,
        secret: true,
    }
}

pub(super) const SETTINGS: &[Setting] = &[
    setting("assistant_name", &["ASSISTANT_NAME"], "Kai"),
    setting("time_zone", &["TZ"], SYSTEM_ZONE),
    setting("log_level", &["LOG_LEVEL"], "info"),
    setting("http_listen", &[], "127.0.0.1:8080"),
    setting("agent_runtime", &[], "docker"),
    setting("agent_runner", &[], BESIDE_US),
    setting("agent_one_shot", &[], "true"),
    setting("max_concurrent", &["MAX_CONCURRENT_CONTAINERS"], "5"),
    setting("agent_timeout", &["CONTAINER_TIMEOUT"], "30m"),
    setting(
        "agent_max_output",
        &["CONTAINER_MAX_OUTPUT_SIZE"],
        "10485760",
    ),
    setting("ipc_scan_interval", &[], "5s"),
    setting("shutdown_grace", &[], "10s"),
    optional("llm_base_url"),
    optional("llm_model"),
    secret("openrouter_api_key", &["OPENROUTER_API_KEY"]),
    secret("moonshot_api_key", &["MOONSHOT_API_KEY"]),
];

impl Setting {
    /// Its names in the environment, the strongest first.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        let own = format!("NANOKIMI_{}", self.key.to_ascii_uppercase());
        let aliases = self.aliases.iter().map(|name| (*name).to_owned());
        std::iter::once(own).chain(aliases)
    }

    pub(super) fn of_key(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }
}
