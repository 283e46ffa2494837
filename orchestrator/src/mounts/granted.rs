//! What is granted of what is asked for, by the operator's list and by what lies there now.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, open, openat2};
use rustix::io::Errno;

use super::allowlist::{Allowlist, Ground};
use super::asked::{AskedMount, MountName};

/// A mount that may be made.
#[derive(Debug)]
pub(crate) struct Granted {
    pub name: MountName,
    /// Without links.
    pub path: PathBuf,
    pub writable: bool,
    /// The thing itself, whatever has its path by now.
    held: OwnedFd,
}

/// Why something is not mounted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("HOME is not set, so `~` is nowhere")]
    NoHome,
    #[error("it cannot be found")]
    Missing(#[source] io::Error),
    #[error("no root of the list holds {}", .0.display())]
    NotAllowed(PathBuf),
    #[error("{}: `{pattern}` is blocked, and `{}` is that", .path.display(), .part.display())]
    Blocked {
        path: PathBuf,
        part: OsString,
        pattern: String,
    },
    #[error("{}: nanokimi's own folder, or a part of it, is not mounted this way", .0.display())]
    Ours(PathBuf),
    #[error("{}: holds the list of what may be mounted", .0.display())]
    HoldsTheList(PathBuf),
    #[error("{}: neither a folder nor a file", .0.display())]
    Special(PathBuf),
    #[error("{}: was exchanged while it was looked at", .0.display())]
    Exchanged(PathBuf),
}

/// Looks for what is asked, follows its links, and judges what is at their end.
pub(crate) fn grant(
    asked: &AskedMount,
    is_main: bool,
    (list, ground): (&Allowlist, Ground<'_>),
) -> Result<Granted, Refusal> {
    let path = asked.path.below(ground.home).ok_or(Refusal::NoHome)?;
    let path = fs_err::canonicalize(path).map_err(Refusal::Missing)?;
    if let Some((part, pattern)) = list.blocks(&path) {
        let (part, pattern) = (part.to_owned(), pattern.to_owned());
        return Err(Refusal::Blocked {
            path,
            part,
            pattern,
        });
    }
    let Some(may_write) = list.allows(&path) else {
        return Err(Refusal::NotAllowed(path));
    };
    let root = fs_err::canonicalize(ground.root).map_err(Refusal::Missing)?;
    if path.starts_with(&root) || root.starts_with(&path) {
        return Err(Refusal::Ours(path));
    }
    if list.file.starts_with(&path) {
        return Err(Refusal::HoldsTheList(path));
    }
    let held = hold(&path).map_err(|_exchanged| Refusal::Exchanged(path.clone()))?;
    match fstat(&held).map(|found| FileType::from_raw_mode(found.st_mode)) {
        Ok(FileType::Directory | FileType::RegularFile) => {}
        // A socket such as an engine's is a door out of the box.
        Ok(_special) => return Err(Refusal::Special(path)),
        Err(error) => return Err(Refusal::Missing(error.into())),
    }
    Ok(Granted {
        name: asked.name.clone(),
        path,
        writable: asked.writable && may_write && (is_main || !list.others_read_only),
        held,
    })
}

impl Granted {
    /// Whether its path still leads to the very thing that was judged.
    pub(crate) fn is_still_there(&self) -> bool {
        let now = hold(&self.path).and_then(fstat);
        match (now, fstat(&self.held)) {
            (Ok(now), Ok(then)) => is_same(&now, &then),
            (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
        }
    }
}

fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

/// Opens what a path without links leads to, and fails if there is one by now.
fn hold(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS);
    match held {
        // Old kernels, and boxes that know only these: what is at the end is looked at alone.
        Err(Errno::NOSYS | Errno::PERM) => open(path, flags, Mode::empty()),
        held => held,
    }
}
