//! The one table of settings: what drives reading, `nanokimi config` and suggestions alike.

/// Stands for whatever the machine's zone is.
pub(super) const SYSTEM_ZONE: &str = "system";
/// Stands for `agent-runner` in the folder of our own executable.
pub(super) const BESIDE_US: &str = "agent-runner beside nanokimi";

/// One thing that can be set.
pub(super) struct Setting {
    pub(super) key: &'static str,
    /// What it is for, in one line.
    pub(super) doc: &'static str,
    /// Its names in the environment besides `NANOKIMI_<KEY>`: the ancestors' names.
    pub(super) aliases: &'static [&'static str],
    /// None: it has no value unless it is given one.
    pub(super) default: Option<&'static str>,
    pub(super) secret: bool,
}

const fn setting(
    key: &'static str,
    doc: &'static str,
    aliases: &'static [&'static str],
    default: &'static str,
) -> Setting {
    Setting {
        key,
        doc,
        aliases,
        default: Some(default),
        secret: false,
    }
}

const fn optional(key: &'static str, doc: &'static str) -> Setting {
    named(key, doc, &[])
}

/// Without a value unless it is given one, under names that others use too.
const fn named(key: &'static str, doc: &'static str, aliases: &'static [&'static str]) -> Setting {
    Setting {
        key,
        doc,
        aliases,
        default: None,
        secret: false,
    }
}

const fn secret(key: &'static str, doc: &'static str, aliases: &'static [&'static str]) -> Setting {
    Setting {
        key,
        doc,
        aliases,
        default: None,
        secret: true,
    }
}

pub(super) const SETTINGS: &[Setting] = &[
    setting(
        "assistant_name",
        "what people call the assistant by, as @Kai",
        &["ASSISTANT_NAME"],
        "Kai",
    ),
    setting(
        "assistant_has_own_number",
        "false: it shares its owner's, so its texts begin with its name, as Kai: Hello",
        &["ASSISTANT_HAS_OWN_NUMBER"],
        "false",
    ),
    setting(
        "time_zone",
        "for schedules and for what agents are told; an IANA name",
        &["TZ"],
        SYSTEM_ZONE,
    ),
    setting(
        "log_level",
        "trace, debug, info, warn or error",
        &["LOG_LEVEL"],
        "info",
    ),
    setting(
        "log_max_size",
        "bytes: a log that would grow beyond is put aside, as logs/nanokimi.log.1 and so on",
        &[],
        "16777216",
    ),
    setting(
        "log_max_files",
        "files that are kept of each log, the one that is written to included, 2 to 100",
        &[],
        "5",
    ),
    setting(
        "http_listen",
        "where the HTTP API listens; port 0 takes any free one",
        &[],
        "127.0.0.1:8080",
    ),
    setting(
        "agent_runtime",
        "docker, or host: processes without isolation",
        &[],
        "docker",
    ),
    setting(
        "agent_runner",
        "the agent-runner binary of the host runtime",
        &[],
        BESIDE_US,
    ),
    setting(
        "agent_image",
        "the image of agents in containers; `container/build --profile release` makes it",
        &["CONTAINER_IMAGE"],
        "nanokimi-agent:latest",
    ),
    setting(
        "agent_network",
        "door: agents reach the model and agent_hosts, through us; open, or a network's name: all it does",
        &[],
        "door",
    ),
    optional(
        "agent_hosts",
        "what else agents may reach through the door, as api.github.com:443, example.org:443",
    ),
    // A Node program that thinks and a compiler that runs fit in; five of them fit a server.
    setting(
        "agent_memory",
        "the most that an agent in a container may use, swap included",
        &[],
        "2g",
    ),
    setting(
        "agent_cpus",
        "processors for an agent in a container; never more than there are",
        &[],
        "2",
    ),
    // A parallel build takes a hundred; a fork bomb is over in a moment.
    setting(
        "agent_pids",
        "processes and threads of an agent in a container",
        &[],
        "512",
    ),
    optional(
        "host_root",
        "our folder's path on the engine's machine, if we run in a container ourselves",
    ),
    optional(
        "mount_allowlist",
        "the list of what groups may see of this machine besides their folders; ~/.config/nanokimi/mount-allowlist.json if not set",
    ),
    setting(
        "docker_host",
        "where the container engine is: unix:// or tcp://",
        &["DOCKER_HOST"],
        "unix:///var/run/docker.sock",
    ),
    setting(
        "docker_wait",
        "how long an engine that does not answer is waited for, in real time",
        &[],
        "1m",
    ),
    setting(
        "engine",
        "who thinks: builtin, or acp: another program, such as the Kimi CLI",
        &[],
        "builtin",
    ),
    setting(
        "acp_command",
        "what starts that program, as bash reads it; it speaks the Agent Client Protocol",
        &[],
        "kimi acp",
    ),
    setting(
        "auth_forward",
        "sync: a key, else the Kimi login of ~/.kimi-code or ~/.kimi; api_key: keys alone; ignore: nothing. The last two delete data/credentials",
        &[],
        "sync",
    ),
    optional(
        "auth_source",
        "where the login lies that sync copies, if it is elsewhere",
    ),
    setting(
        "agent_one_shot",
        "each batch of messages is a fresh agent; false: an agent waits for the next batch",
        &[],
        "true",
    ),
    setting(
        "agent_idle_timeout",
        "how long an agent that waits does so before it is ended",
        &["IDLE_TIMEOUT"],
        "30m",
    ),
    setting(
        "max_concurrent",
        "agents that are alive at the same time, waiting ones included, 1 to 64",
        &["MAX_CONCURRENT_CONTAINERS"],
        "5",
    ),
    setting(
        "agent_timeout",
        "how long an agent may go without a sign of life in a turn",
        &["CONTAINER_TIMEOUT"],
        "30m",
    ),
    setting(
        "agent_max_output",
        "bytes: the longest line of an agent, and the longest run log",
        &["CONTAINER_MAX_OUTPUT_SIZE"],
        "10485760",
    ),
    setting(
        "ipc_scan_interval",
        "how often data/ipc is read anew, whatever the kernel tells",
        &[],
        "5s",
    ),
    setting(
        "shutdown_grace",
        "how long a stop may take; agents have all but its last 3 s to finish",
        &[],
        "10s",
    ),
    optional(
        "llm_base_url",
        "the model's endpoint, if not its provider's own",
    ),
    optional(
        "llm_model",
        "the model, if not what agents choose for its provider",
    ),
    setting(
        "llm_stall_timeout",
        "how long the model may say nothing useful before an agent gives up on it",
        &[],
        "2m",
    ),
    setting(
        "turn_timeout",
        "how long a turn may take in all, in real time",
        &[],
        "30m",
    ),
    setting(
        "session_limit",
        "bytes: a conversation on disk that has more is left, and a new one begun (engine builtin)",
        &[],
        "4194304",
    ),
    setting(
        "whatsapp",
        "when_linked, required, or off; `nanokimi auth` links a device",
        &[],
        "when_linked",
    ),
    setting(
        "whatsapp_url",
        "where WhatsApp is; wss, or ws on loopback or to a name without a dot",
        &[],
        "wss://web.whatsapp.com/ws/chat",
    ),
    optional(
        "whatsapp_version",
        "the version of WhatsApp Web to be, as 2.3000.1023, if not the one that web.whatsapp.com runs",
    ),
    setting(
        "whatsapp_device_name",
        "what the phone calls us in its list of linked devices",
        &[],
        "nanokimi",
    ),
    setting(
        "media_limit",
        "bytes: larger pictures, sounds and documents are named but not kept",
        &[],
        "67108864",
    ),
    optional(
        "extra_ca_file",
        "a PEM file of further authorities to trust for HTTPS, e.g. a proxy's",
    ),
    optional(
        "workspace_store",
        "where groups' workspaces are kept too: gs://bucket/prefix, s3://bucket/prefix or file:///path; on this machine alone if not set",
    ),
    optional(
        "workspace_endpoint",
        "where that store's service is, if not at its provider's own place",
    ),
    setting(
        "workspace_max_files",
        "files of a group that are kept there; what is beyond is told and left out",
        &[],
        "50000",
    ),
    setting(
        "workspace_max_file_size",
        "bytes: larger files are told and left out",
        &[],
        "1073741824",
    ),
    setting(
        "workspace_max_size",
        "bytes of a group that are kept there; what is beyond is told and left out",
        &[],
        "8589934592",
    ),
    named(
        "google_service_account",
        "a file with a service account's key, for gs://",
        &["GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH"],
    ),
    named(
        "google_application_credentials",
        "a file with application default credentials, for gs://; the machine's own account if none is set",
        &["GOOGLE_APPLICATION_CREDENTIALS"],
    ),
    named(
        "aws_access_key_id",
        "the name of the key, for s3://",
        &["AWS_ACCESS_KEY_ID"],
    ),
    named(
        "aws_region",
        "the bucket's region, for s3://; us-east-1 if not set",
        &["AWS_REGION", "AWS_DEFAULT_REGION"],
    ),
    secret(
        "google_service_account_key",
        "secret: a service account's key as text; only in .env or the environment",
        &["GOOGLE_SERVICE_ACCOUNT_KEY"],
    ),
    secret(
        "aws_secret_access_key",
        "secret: only in .env or the environment",
        &["AWS_SECRET_ACCESS_KEY"],
    ),
    secret(
        "aws_session_token",
        "secret: only in .env or the environment",
        &["AWS_SESSION_TOKEN"],
    ),
    secret(
        "openrouter_api_key",
        "secret: only in .env or the environment",
        &["OPENROUTER_API_KEY"],
    ),
    secret(
        "moonshot_api_key",
        "secret: only in .env or the environment; OpenRouter's goes first",
        &["MOONSHOT_API_KEY"],
    ),
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
