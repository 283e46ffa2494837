//! What the Kimi CLI finds when it starts: its home, its way to a model, who it is.
//!
//! It has no option for a system prompt. It does read `AGENTS.md` of its home into its own, once,
//! when a session begins (seen in 2.1.0). What has changed since is therefore told with the
//! question.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use agent_protocol::{AgentErrorKind, AgentInput};
use fs_err as fs;
use md5::{Digest, Md5};

use super::kimi_log::KimiLog;
use crate::failure::Failure;
use crate::replace_file::{Lasting, replace_file};
use crate::session::SessionId;
use crate::settings::{Access, AcpAgent, Dialect, Model, Settings};
use crate::turn::question;

/// What `kimi login` leaves behind. The tokens are renewed in place, by renaming within their
/// folder, and under a lock in the other; so whole folders are shared.
const LOGIN_FOLDERS: [&str; 2] = ["credentials", "oauth"];
/// The settings, and the device that requests come from, are copied for each turn: what an agent
/// does to them must not reach other groups.
const LOGIN_FILES: [&str; 2] = ["config.toml", "device_id"];
/// Lies in a home whose settings are such a copy.
const IS_COPY: &str = "nanokimi-login";

/// `$HOME/.kimi-code`.
#[derive(Debug)]
pub(super) struct KimiHome {
    folder: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum HomeError {
    #[error("the agent's home cannot be made ready")]
    Write(#[from] io::Error),
    #[error(
        "`{}` is in the way of the shared login: the agent logged in by itself once; move it away",
        .0.display()
    )]
    InTheWay(PathBuf),
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        let kind = match error {
            HomeError::Write(_) => AgentErrorKind::Io,
            HomeError::InTheWay(_) => AgentErrorKind::Config,
        };
        Self::lasting(kind, &error)
    }
}

impl KimiHome {
    pub(super) fn prepare(settings: &Settings, access: &Access) -> Result<Self, HomeError> {
        let folder = settings.home.join(".kimi-code");
        fs::create_dir_all(&folder)?;
        match access {
            Access::Login(login) => share_login(&folder, login)?,
            Access::Key(_) | Access::Own => forget_login(&folder)?,
        }
        Ok(Self { folder })
    }

    /// All that the CLI sees of the environment.
    pub(super) fn environment(
        &self,
        settings: &Settings,
        agent: &AcpAgent,
    ) -> Vec<(OsString, OsString)> {
        let mut environment = settings.tool_environment.clone();
        let mut set = |name: &str, value: OsString| environment.push((name.into(), value));
        set("KIMI_CODE_HOME", self.folder.clone().into());
        set("KIMI_DISABLE_TELEMETRY", "1".into());
        set("KIMI_CODE_NO_AUTO_UPDATE", "1".into());
        let steps = settings.max_steps.to_string();
        set("KIMI_LOOP_MAX_STEPS_PER_TURN", steps.into());
        let attempts = settings.patience.attempts.to_string();
        set("KIMI_LOOP_MAX_ATTEMPTS_PER_STEP", attempts.into());
        if let Access::Key(model) = &agent.access {
            set("KIMI_MODEL_NAME", model.name.clone().into());
            set("KIMI_MODEL_API_KEY", model.key.reveal().into());
            set("KIMI_MODEL_BASE_URL", base_url(model).into());
            set("KIMI_MODEL_PROVIDER_TYPE", provider(model).into());
        }
        environment
    }

    pub(super) fn log(&self, session: &str) -> KimiLog {
        KimiLog::find(&self.folder, session)
    }

    /// For sessions that begin in this turn.
    pub(super) fn write_instructions(&self, system_prompt: &str) -> Result<(), Failure> {
        let path = self.folder.join("AGENTS.md");
        replace_file(&path, system_prompt.as_bytes(), Lasting::Visible)
            .map_err(|error| HomeError::Write(error).into())
    }

    /// The question in a session that has begun earlier, with the system prompt if it is not the
    /// one that the session knows.
    pub(super) fn question_in(
        &self,
        session: &str,
        system_prompt: &str,
        input: &AgentInput,
    ) -> String {
        let question = question(input);
        let known = self.known(session).map(fs::read_to_string);
        match known {
            Some(Ok(known)) if known == digest(system_prompt) => question,
            Some(_) | None => format!(
                "<instructions>\nThese take the place of the instructions that you began with:\n\n\
                 {}\n</instructions>\n\n{question}",
                system_prompt.trim_end()
            ),
        }
    }

    /// Remembers that the session knows the system prompt.
    pub(super) fn remember(&self, session: &str, system_prompt: &str) -> Result<(), Failure> {
        let Some(path) = self.known(session) else {
            return Ok(());
        };
        let write = || -> io::Result<()> {
            fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
            replace_file(&path, digest(system_prompt).as_bytes(), Lasting::Visible)
        };
        write().map_err(|error| HomeError::Write(error).into())
    }

    /// None for a session whose name is no name for a file; it is told each time.
    fn known(&self, session: &str) -> Option<PathBuf> {
        match session.parse::<SessionId>() {
            Ok(id) => Some(self.folder.join("nanokimi").join(id.as_str())),
            Err(_invalid) => None,
        }
    }
}

/// The CLI appends `/chat/completions` to what it is given, as it stands.
fn base_url(model: &Model) -> &str {
    model.base_url.as_str().trim_end_matches('/')
}

fn provider(model: &Model) -> &'static str {
    match model.dialect {
        Dialect::Moonshot => "kimi",
        Dialect::OpenRouter => "openai",
    }
}

fn digest(text: &str) -> String {
    let digest = Md5::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn share_login(home: &Path, login: &Path) -> Result<(), HomeError> {
    for name in LOGIN_FOLDERS {
        let shared = login.join(name);
        fs::create_dir_all(&shared)?;
        let place = home.join(name);
        if is_link_to(&place, &shared) {
            continue;
        }
        clear(&place)?;
        symlink(shared, place)?;
    }
    // Before the copy, so that a kill leaves none that is not known as one.
    replace_file(&home.join(IS_COPY), b"", Lasting::Visible)?;
    let copy = home.join(".nanokimi-login.part");
    remove_if_there(&copy)?;
    for name in LOGIN_FILES {
        // With its permissions: there may be keys in it.
        match fs::copy(login.join(name), &copy) {
            Ok(_bytes) => fs::rename(&copy, home.join(name))?,
            // One that is missing is no less a login: there are settings, or we were not here.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Removes what [`share_login`] has left; what the CLI has made by itself is no link.
fn forget_login(home: &Path) -> Result<(), HomeError> {
    for name in LOGIN_FOLDERS {
        remove_link(&home.join(name))?;
    }
    let mark = home.join(IS_COPY);
    for name in LOGIN_FILES {
        let copy = home.join(name);
        remove_link(&copy)?;
        if mark.exists() {
            remove_if_there(&copy)?;
        }
    }
    remove_if_there(&mark)?;
    Ok(())
}

fn remove_link(place: &Path) -> io::Result<()> {
    if place.is_symlink() {
        remove_if_there(place)?;
    }
    Ok(())
}

fn remove_if_there(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn is_link_to(place: &Path, target: &Path) -> bool {
    match fs::read_link(place) {
        Ok(found) => found == target,
        Err(_no_link) => false,
    }
}

/// Makes room for a link; a folder that holds something is nobody's to throw away.
fn clear(place: &Path) -> Result<(), HomeError> {
    let Ok(found) = fs::symlink_metadata(place) else {
        return Ok(());
    };
    let cleared = if found.is_dir() {
        fs::remove_dir(place)
    } else {
        fs::remove_file(place)
    };
    cleared.map_err(|_holds_something| HomeError::InTheWay(place.to_owned()))
}
