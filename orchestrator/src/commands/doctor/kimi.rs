//! The engine `acp`: its program, and the login of the Kimi CLI that it may use.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use serde::Deserialize;

use super::finding::{Check, Finding};
use crate::agent::is_token;
use crate::config::{AgentRuntime, AuthForward, Config, Engine};

/// What a login is known by.
const SETTINGS: &str = "config.toml";

/// The settings that `kimi login` (2.1.0) leaves behind, as far as they choose the model.
#[derive(Debug, Deserialize)]
struct Login {
    #[serde(default)]
    default_model: String,
    #[serde(default)]
    models: BTreeMap<String, Model>,
    #[serde(default)]
    providers: BTreeMap<String, Provider>,
}

#[derive(Debug, Deserialize)]
struct Model {
    #[serde(default)]
    provider: String,
}

#[derive(Debug, Deserialize)]
struct Provider {
    /// Where it keeps its tokens.
    oauth: Option<toml::Value>,
}

const LOG_IN: &str = "log in with `kimi login` and copy config.toml, credentials/ and oauth/ of its home into data/credentials, or set a key in .env";

/// The folder of the login: the agents' own, or the one it will be copied from.
fn login_folder(root: &Path, config: &Config) -> Option<PathBuf> {
    let sources: &[PathBuf] = match config.auth.forward {
        AuthForward::Sync => &config.auth.sources,
        AuthForward::ApiKey | AuthForward::Ignore => &[],
    };
    let ours = root.join("data/credentials");
    let mut folders = std::iter::once(&ours).chain(sources);
    folders
        .find(|folder| folder.join(SETTINGS).is_file())
        .cloned()
}

pub(super) fn has_login(root: &Path, config: &Config) -> bool {
    login_folder(root, config).is_some()
}

pub(super) fn kimi(root: &Path, config: &Config) -> Vec<Finding> {
    match config.engine.engine {
        Engine::Builtin => Vec::new(),
        // A key goes before the login.
        Engine::Acp if config.llm_key.is_some() => vec![command(config)],
        Engine::Acp => {
            let login = login_folder(root, config).map(|folder| login(&folder, config));
            std::iter::once(command(config)).chain(login).collect()
        }
    }
}

fn command(config: &Config) -> Finding {
    let text = &config.engine.acp_command;
    let program = text.split_whitespace().next().unwrap_or(text);
    if config.agent_runtime == AgentRuntime::Docker {
        let found = format!("`{program}` is looked for in the image, when an agent starts");
        return Finding::ok(Check::AcpCommand, found);
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._+-".contains(&byte);
    if !program.bytes().all(is_plain) {
        let found = format!("`{text}` is for bash to read, when an agent starts");
        return Finding::ok(Check::AcpCommand, found);
    }
    let mut places = std::env::split_paths(&config.search_path).map(|folder| folder.join(program));
    let is_there = |file: &Path| file.is_file() && access(file, Access::EXEC_OK).is_ok();
    let found = if program.contains('/') {
        // A relative one is relative to the folder of each group.
        is_there(Path::new(program)) || !program.starts_with('/')
    } else {
        places.any(|file| is_there(&file))
    };
    if found {
        return Finding::ok(Check::AcpCommand, format!("`{program}` is there"));
    }
    Finding::broken(
        Check::AcpCommand,
        format!("acp_command: the program `{program}` is not found"),
        "install it, add its folder to the PATH that nanokimi is started with, or set acp_command",
    )
}

/// What a reader would say may quote a line with a secret, so only its bare message is told.
fn read(file: &Path) -> Result<Login, String> {
    let text = fs_err::read_to_string(file).map_err(|error| error.to_string())?;
    toml::from_str(&text).map_err(|error| {
        let (file, what) = (file.display(), error.message());
        format!("{file} cannot be read: {what}")
    })
}

/// Without a model that leads to a provider, the CLI says `LLM is not set`.
fn login(folder: &Path, config: &Config) -> Finding {
    let broken = |cause: String| Finding::broken(Check::Login, cause, LOG_IN);
    let file = folder.join(SETTINGS);
    let login = match read(&file) {
        Ok(login) => login,
        Err(cause) => return broken(cause),
    };
    let (name, shown) = (&login.default_model, file.display());
    if name.is_empty() {
        return broken(format!("{shown} names no default_model: `LLM is not set`"));
    }
    let Some(model) = login.models.get(name) else {
        return broken(format!(
            "{shown}: default_model is `{name}`, but there is no [models.{name}]: `LLM is not set`"
        ));
    };
    let Some(provider) = login.providers.get(&model.provider) else {
        return broken(format!(
            "{shown}: the model `{name}` has the provider `{}`, but there is none of that name: `LLM is not set`",
            model.provider
        ));
    };
    let tokens = folder.join("credentials");
    if provider.oauth.is_some() && !has_tokens(&tokens) {
        let tokens = tokens.display();
        return broken(format!("{tokens} holds no tokens, or such as were revoked"));
    }
    match &config.llm_model {
        Some(wanted) if wanted != name => Finding::warning(
            Check::Login,
            format!("llm_model is `{wanted}`, but the login's own default_model `{name}` is used"),
            format!("set default_model in {shown}, and leave llm_model out"),
        ),
        Some(_) | None => Finding::ok(Check::Login, format!("its model is `{name}`")),
    }
}

fn has_tokens(folder: &Path) -> bool {
    let found = || -> io::Result<bool> {
        for entry in fs_err::read_dir(folder)? {
            let file = entry?.path();
            let is_json = file.extension().is_some_and(|end| end == "json");
            if is_json && is_token(&fs_err::read(&file)?) {
                return Ok(true);
            }
        }
        Ok(false)
    };
    // What cannot be read is of no use to agents either.
    matches!(found(), Ok(true))
}
