//! The folders an agent finds itself in, made and checked before each run.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fs_err::OpenOptions;

use super::bootstrap;
use crate::config::Config;
use crate::house::House;
use crate::ids::GroupFolder;
use crate::safe_dir::SafeDir;
use crate::store::Group;
use crate::workspace::Ticket;

/// What both Kimi CLIs keep in their home, sessions above all; of a container's home only this
/// lasts.
pub(super) const KEPT_OF_HOME: [&str; 2] = [".kimi", ".kimi-code"];

/// The agent's folders, on the host.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) folder: GroupFolder,
    pub(super) is_main: bool,
    /// Working folder: `groups/<folder>`.
    pub(super) group: PathBuf,
    /// Where run logs go; held open, so that it cannot be replaced under us.
    pub(super) logs: SafeDir,
    pub(super) ipc: PathBuf,
    pub(super) global: PathBuf,
    /// `$HOME`: its `.kimi` holds the sessions, one home per group.
    pub(super) home: PathBuf,
    pub(super) credentials: PathBuf,
    /// Where a login of the Kimi CLI may lie, for agents that have no key. All groups share it,
    /// since its tokens are renewed in place.
    pub(super) login: PathBuf,
    /// Whether there is a login.
    pub(super) has_login: bool,
    /// Held by the guard of the group's agent.
    pub(super) lock: PathBuf,
    /// By which it may deliver what it changed, where workspaces are kept beyond this machine.
    pub(super) ticket: Option<Ticket>,
}

/// A folder or file that could not be made ready.
#[derive(Debug, thiserror::Error)]
#[error("the agent's {what} cannot be prepared")]
pub struct HomeError {
    what: &'static str,
    #[source]
    source: io::Error,
}

fn preparing(what: &'static str) -> impl FnOnce(io::Error) -> HomeError {
    move |source| HomeError { what, source }
}

impl Home {
    pub(super) fn prepare(house: &House, group: &Group) -> Result<Self, HomeError> {
        let root = &house.root;
        let folder = group.folder.as_str();
        let working = root.join("groups").join(folder);
        let dir = SafeDir::open(&working).map_err(preparing("group folder"))?;
        let logs = dir.enter("logs").map_err(preparing("log folder"))?;
        dir.enter("conversations")
            .map_err(preparing("conversations folder"))?;
        bootstrap::settle(&dir).map_err(preparing("BOOTSTRAP.md"))?;
        let home = root.join("data/sessions").join(folder);
        let own = SafeDir::open(&home).map_err(preparing("home"))?;
        for kept in KEPT_OF_HOME {
            own.enter(kept).map_err(preparing("home"))?;
        }
        let login = root.join("data/credentials");
        let global = root.join("groups/global");
        fs_err::create_dir_all(&global).map_err(preparing("global folder"))?;
        Ok(Self {
            folder: group.folder.clone(),
            is_main: group.is_main,
            group: working,
            logs,
            ipc: root.join("data/ipc").join(folder),
            global,
            home,
            credentials: credentials_file(root),
            has_login: login.join("config.toml").is_file(),
            login,
            lock: lock_of(root, &group.folder),
            ticket: (house.config.workspace.store.is_some())
                .then(|| house.tickets.issue(&group.folder)),
        })
    }

    /// What an agent writes to, and what it reads that nobody else may.
    pub(super) fn given(&self) -> Vec<PathBuf> {
        let mut given = vec![self.group.clone(), self.ipc.clone()];
        given.extend(KEPT_OF_HOME.map(|kept| self.home.join(kept)));
        given.extend(self.credentials.parent().map(Path::to_owned));
        given.extend(self.has_login.then(|| self.login.clone()));
        given.extend((!self.is_main).then(|| self.global.clone()));
        given
    }

    /// After a run: identity files may have appeared.
    pub(super) fn settle(&self) -> io::Result<()> {
        bootstrap::settle(&SafeDir::open(&self.group)?)
    }
}

/// The lock that whoever runs an agent of the group holds.
pub(crate) fn lock_of(root: &Path, group: &GroupFolder) -> PathBuf {
    root.join("data/sessions").join(format!(".{group}.lock"))
}

fn credentials_file(root: &Path) -> PathBuf {
    root.join("data/env/env")
}

/// Writes the one file through which agents get the model's key, readable by its owner alone;
/// without a key, an old file is removed.
pub(crate) fn prepare_credentials(root: &Path, config: &Config) -> Result<(), HomeError> {
    let file = credentials_file(root);
    write_credentials(&file, config).map_err(preparing("credential file"))
}

fn write_credentials(file: &Path, config: &Config) -> io::Result<()> {
    let folder = file.parent().unwrap_or(file);
    fs_err::create_dir_all(folder)?;
    fs_err::set_permissions(folder, PermissionsExt::from_mode(0o700))?;
    let Some(key) = &config.llm_key else {
        return match fs_err::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        };
    };
    let values = BTreeMap::from([(key.name.to_owned(), key.value.expose().to_owned())]);
    let text = agent_protocol::render_credentials(&values);
    let new = file.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    options.options_mut().mode(0o600);
    let mut open = options.open(&new)?;
    open.set_permissions(PermissionsExt::from_mode(0o600))?;
    open.write_all(text.as_bytes())?;
    open.sync_all()?;
    fs_err::rename(&new, file)
}
