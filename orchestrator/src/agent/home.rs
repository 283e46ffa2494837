//! The folders an agent finds itself in, made and checked before each run.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use agent_protocol::{CLOSE, INPUT_FOLDER};
use fs_err::OpenOptions;

use super::{bootstrap, login};
use crate::config::Config;
use crate::house::House;
use crate::ids::GroupFolder;
use crate::safe_dir::{Owner, SafeDir};
use crate::store::Group;
use crate::workspace::Ticket;

/// What both Kimi CLIs keep in their home, sessions above all; of a container's home only this
/// lasts.
pub(super) const KEPT_OF_HOME: [&str; 2] = [KIMI_HOME, ".kimi-code"];
/// Where the sessions of the older CLI, and of our own agent, lie.
pub(super) const KIMI_HOME: &str = ".kimi";
/// The settings of a Kimi CLI, below its home or beside its login.
pub(super) const KIMI_SETTINGS: &str = "config.toml";

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
    /// Whether its agent works with the login.
    pub(super) is_logged_in: bool,
    /// Held by the guard of the group's agent.
    pub(super) lock: PathBuf,
    /// Whose the agent's folders are, where they are not ours.
    pub(super) owner: Option<Owner>,
    /// Where an agent that is a process finds links to what it sees besides.
    pub(super) extra: Option<PathBuf>,
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
        let login = login::folder(root);
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
            is_logged_in: house.config.uses_login() && login.join(KIMI_SETTINGS).is_file(),
            login,
            lock: lock_of(root, &group.folder),
            owner: None,
            extra: None,
            ticket: (house.config.workspace.store.is_some())
                .then(|| house.tickets.issue(&group.folder)),
        })
    }

    /// Takes away what an agent that has ended was to do next: it stands in the store, and
    /// is not for whoever is started now. No agent of the group may be alive.
    pub(super) fn clear_input(&self) -> Result<(), HomeError> {
        let clear = || {
            let input = self.input()?;
            loop {
                let mut names = input.names()?;
                names.retain(|name| is_for_an_agent(name));
                if names.is_empty() {
                    return io::Result::Ok(());
                }
                for name in names {
                    input.remove(&name)?;
                }
            }
        };
        clear().map_err(preparing("input folder"))
    }

    /// Leaves a file for an agent that waits.
    pub(super) fn hand_in(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.input()?.replace_for(self.owner, name, bytes)
    }

    fn input(&self) -> io::Result<SafeDir> {
        SafeDir::open(&self.ipc)?.enter(INPUT_FOLDER)
    }

    /// Makes a file for the login's settings to be mounted over. Whatever else an agent has put
    /// there would lead the mount astray, or keep the container from starting.
    pub(super) fn make_room_for_settings(&self) -> Result<(), HomeError> {
        let make = || {
            let kimi = SafeDir::open(&self.home)?.enter(KIMI_HOME)?;
            if !kimi.holds_file(KIMI_SETTINGS)? {
                kimi.remove(KIMI_SETTINGS.as_ref())?;
                kimi.create_new(KIMI_SETTINGS)?;
            }
            io::Result::Ok(())
        };
        make().map_err(preparing("home"))
    }

    /// What an agent writes to, and what it reads that nobody else may.
    pub(super) fn given(&self) -> Vec<PathBuf> {
        let mut given = vec![self.group.clone(), self.ipc.clone()];
        given.extend(KEPT_OF_HOME.map(|kept| self.home.join(kept)));
        given.extend(self.credentials.parent().map(Path::to_owned));
        given.extend(self.is_logged_in.then(|| self.login.clone()));
        given.extend((!self.is_main).then(|| self.global.clone()));
        given
    }

    /// After a run: identity files may have appeared.
    pub(super) fn settle_or_tell(&self) {
        let settled = SafeDir::open(&self.group).and_then(|group| bootstrap::settle(&group));
        if let Err(error) = settled {
            tracing::warn!(group = %self.folder, %error, "BOOTSTRAP.md could not be settled");
        }
    }
}

/// The lock that whoever runs an agent of the group holds.
pub(crate) fn lock_of(root: &Path, group: &GroupFolder) -> PathBuf {
    root.join("data/sessions").join(format!(".{group}.lock"))
}

/// What an agent would read; it may keep there what it likes under other names.
fn is_for_an_agent(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    name == CLOSE || bytes.ends_with(b".json") && !bytes.starts_with(b".")
}

fn credentials_file(root: &Path) -> PathBuf {
    root.join("data/env/env")
}

/// Writes the one file through which agents get the model's key, readable by its owner alone;
/// without a key, an old file is removed. A login is copied, or removed, as well.
pub(crate) fn prepare_credentials(root: &Path, config: &Config) -> Result<(), HomeError> {
    let file = credentials_file(root);
    write_credentials(&file, config).map_err(preparing("credential file"))?;
    login::forward(root, config).map_err(preparing("login"))
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
