//! The login of the Kimi CLI: a copy of the operator's own, for agents that have no key.
//!
//! What the CLI keeps on this machine is read and never written. The copy lies in
//! `data/credentials`, where agents renew its tokens in place; so of two tokens the one that is
//! good for longer stays. No link is followed, neither there nor here. A login that somebody made
//! in `data/credentials` itself is not touched, unless no login is to be used at all.
//!
//! Whether it leads to a model is looked at in `settings`.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use agent_protocol::AgentErrorKind;
use serde::Deserialize;

use super::home::KIMI_SETTINGS;
use super::{Again, AgentFault, passing};
use crate::config::{AuthForward, Config};
use crate::house::House;
use crate::safe_dir::{PlainFile, SafeDir};

mod settings;

/// Below the root folder.
const LOGIN: &str = "data/credentials";
/// Names the folder that the login was copied from. It lies where agents cannot write.
const COPIED_FROM: &str = "login-copied-from";
/// The CLI's own settings name its provider and model; the device is a part of its requests.
const FILES: [&str; 2] = [KIMI_SETTINGS, "device_id"];
/// Holds one file for each token.
const TOKENS: &str = "credentials";
/// Tokens lie in it, or one folder below; nobody nests deeper.
const DEEPEST: usize = 4;
/// Bytes; each of these files has a few thousand.
const LARGEST: u64 = 1 << 20;

/// The login, which is made ready for one run at a time.
#[derive(Debug, Default)]
pub(super) struct Login {
    /// What the operator has been told of it, and need not be told again.
    told: Mutex<Option<String>>,
}

impl Login {
    /// Brings the copy up to date, and looks whether it leads to a model.
    pub(super) fn make_ready(&self, house: &House) -> Result<(), AgentFault> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        forward(&house.root, &house.config).map_err(passing)?;
        if !house.config.uses_login() {
            return Ok(());
        }
        let problem = match settings::check(&house.root) {
            Ok(()) => None,
            Err(problem) => Some(problem.to_string()),
        };
        if *told != problem {
            told.clone_from(&problem);
            if let Some(problem) = &problem {
                tracing::error!("agents cannot work: {problem}");
            }
        }
        problem.map_or(Ok(()), |message| {
            Err(AgentFault {
                kind: Some(AgentErrorKind::Config),
                message,
                again: Again::No,
            })
        })
    }
}

/// Where agents find a login.
pub(super) fn folder(root: &Path) -> PathBuf {
    root.join(LOGIN)
}

/// Copies the operator's login for agents, or takes away what is not for them.
pub(super) fn forward(root: &Path, config: &Config) -> io::Result<()> {
    match config.auth.forward {
        AuthForward::ApiKey | AuthForward::Ignore => wipe(root),
        AuthForward::Sync if config.uses_login() => sync(root, &config.auth.sources),
        AuthForward::Sync => Ok(()),
    }
}

fn wipe(root: &Path) -> io::Result<()> {
    // After the folder, so that a kill leaves no copy that is not known as one.
    let folder = folder(root);
    match fs_err::remove_dir_all(&folder) {
        Ok(()) => {
            tracing::info!(folder = %folder.display(), "removed a login that is not for agents");
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    SafeDir::open(&root.join("data"))?.remove(COPIED_FROM.as_ref())
}

fn sync(root: &Path, sources: &[PathBuf]) -> io::Result<()> {
    let Some((path, source)) = sources.iter().find_map(|path| Some((path, open(path)?))) else {
        return Ok(());
    };
    let folder = folder(root);
    match copied_from(root)? {
        Some(known) if known == *path => {}
        Some(_another) => wipe(root)?,
        None if is_there(&folder.join(KIMI_SETTINGS)) => {
            tracing::debug!(source = %path.display(), "not copied: there is a login of our own");
            return Ok(());
        }
        None => {}
    }
    // Before the copy, for the same reason.
    let name = path.as_os_str().as_bytes();
    SafeDir::open(&root.join("data"))?.replace(COPIED_FROM, name)?;
    let ours = SafeDir::open(&folder)?;
    ours.make_private()?;
    for name in FILES {
        copy(&source, &ours, name.as_ref(), is_later)?;
    }
    // The folder was there a moment ago, and the CLI never removes it.
    match source.enter_existing(TOKENS)? {
        Some(tokens) => copy_tokens(&tokens, &ours.enter(TOKENS)?, DEEPEST),
        None => Ok(()),
    }
}

/// The folder that the login in use was copied from; none if nobody copied it.
fn copied_from(root: &Path) -> io::Result<Option<PathBuf>> {
    let name = SafeDir::open(&root.join("data"))?.read(COPIED_FROM.as_ref(), LARGEST);
    match name {
        None => Ok(None),
        Some(Ok(file)) => Ok(Some(std::ffi::OsString::from_vec(file.bytes).into())),
        Some(Err(error)) => Err(io::Error::other(format!("{COPIED_FROM}: {error}"))),
    }
}

/// A login as the CLI leaves it: settings, and a folder of tokens. What is in the way of one is
/// told: an operator who has one sees no other reason why it is not used.
fn open(path: &Path) -> Option<SafeDir> {
    if !is_there(path) {
        return None;
    }
    match look_into(path) {
        Ok(Some(folder)) => Some(folder),
        Ok(None) => None,
        Err(error) => {
            skip(path, &error);
            None
        }
    }
}

fn look_into(path: &Path) -> io::Result<Option<SafeDir>> {
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(None);
    };
    // Where the operator's home lies is nobody's to plant.
    let above = SafeDir::open(&fs_err::canonicalize(above)?)?;
    for place in [path.to_owned(), path.join(KIMI_SETTINGS), path.join(TOKENS)] {
        if place.is_symlink() {
            let message = format!("`{}` is a symbolic link", place.display());
            return Err(io::Error::other(message));
        }
    }
    let Some(folder) = above.enter_existing(name)? else {
        return Ok(None);
    };
    let is_whole = folder.holds_file(KIMI_SETTINGS)? && folder.enter_existing(TOKENS)?.is_some();
    Ok(is_whole.then_some(folder))
}

fn copy_tokens(from: &SafeDir, to: &SafeDir, deeper: usize) -> io::Result<()> {
    to.make_private()?;
    for name in from.names()? {
        // Beside tokens lie locks, and halves of files that are being written.
        let is_token = Path::new(&name)
            .extension()
            .is_some_and(|end| end == "json");
        match (from.enter_existing(&name)?, name.to_str()) {
            (Some(below), Some(name)) if deeper > 0 => {
                copy_tokens(&below, &to.enter(name)?, deeper - 1)?;
            }
            (None, Some(_text)) if is_token => copy(from, to, &name, is_fresher)?,
            (Some(_) | None, _) => {}
        }
    }
    Ok(())
}

/// Copies a file if the one that agents have is missing, or `is_better` says so of the two.
fn copy(
    from: &SafeDir,
    to: &SafeDir,
    name: &OsStr,
    is_better: fn(&PlainFile, &PlainFile) -> bool,
) -> io::Result<()> {
    let theirs = match from.read(name, LARGEST) {
        None => return Ok(()),
        Some(Ok(theirs)) => theirs,
        Some(Err(error)) => {
            skip(Path::new(name), &error);
            return Ok(());
        }
    };
    // Whatever else an agent has put there is no login.
    if let Some(Ok(ours)) = to.read(name, LARGEST)
        && !is_better(&theirs, &ours)
    {
        return Ok(());
    }
    to.replace_privately(&name.to_string_lossy(), &theirs.bytes)
}

/// The copy is younger than what it was made from, until that changes.
fn is_later(theirs: &PlainFile, ours: &PlainFile) -> bool {
    theirs.modified > ours.modified
}

/// Each renewal makes the token before it useless, so the last one is the one to keep.
fn is_fresher(theirs: &PlainFile, ours: &PlainFile) -> bool {
    match (runs_out_at(&theirs.bytes), runs_out_at(&ours.bytes)) {
        (Some(theirs), Some(ours)) => theirs > ours,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// Whether a file of the login's tokens holds one.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    runs_out_at(bytes).is_some()
}

/// In seconds since 1970; none for what is no token, such as the stone that the CLI leaves in
/// place of one that was revoked.
fn runs_out_at(bytes: &[u8]) -> Option<f64> {
    #[derive(Deserialize)]
    struct Token {
        access_token: String,
        expires_at: f64,
    }
    match serde_json::from_slice::<Token>(bytes) {
        Ok(token) if !token.access_token.is_empty() => Some(token.expires_at),
        Ok(_) | Err(_) => None,
    }
}

fn skip(what: &Path, why: &impl fmt::Display) {
    tracing::warn!(
        "of the login of the Kimi CLI, `{}` is not copied: {why}",
        what.display()
    );
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests;
