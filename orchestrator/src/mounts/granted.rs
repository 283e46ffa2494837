//! What is granted of what is asked for, by the operator's list and by what lies there now.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, open, openat2};
use rustix::io::Errno;

use super::allowlist::{Allowlist, Ground, is_strictly_below};
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
    #[error("{}: holds the list of what may be mounted, or a part of the way to it", .0.display())]
    HoldsTheList(PathBuf),
    #[error("{}: neither a folder nor a file", .0.display())]
    Special(PathBuf),
    #[error("{}: was exchanged while it was looked at", .0.display())]
    Exchanged(PathBuf),
    #[error("{}: its name is no UTF-8, and nothing else can be told to an engine; give it another", .0.display())]
    NotText(PathBuf),
    #[error("{}: agents may write to {}, and could exchange what lies there; mount that as a whole, or unmount it first", .path.display(), .holder.display())]
    Exchangeable { path: PathBuf, holder: PathBuf },
    #[error("{0}: could not be looked at within {1:?}; see whether the disk that holds it answers")]
    Slow(String, Duration),
}

/// Looks for what is asked, follows its links, and judges what is at their end.
pub(crate) fn grant(
    asked: &AskedMount,
    is_main: bool,
    here @ (list, ground): (&Allowlist, &Ground),
) -> Result<Granted, Refusal> {
    let named = asked.path.below(ground.home.as_deref());
    let named = named.ok_or(Refusal::NoHome)?;
    // Elsewhere nothing is touched: not every disk answers.
    if !list.names(&named) {
        return Err(Refusal::NotAllowed(named));
    }
    let path = fs_err::canonicalize(named).map_err(Refusal::Missing)?;
    let may_write = judge(&path, here)?;
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

/// Whether the list lets something be written to that it lets be mounted; the path has no links.
fn judge(path: &Path, (list, ground): (&Allowlist, &Ground)) -> Result<bool, Refusal> {
    let is = |refusal: fn(PathBuf) -> Refusal| Err(refusal(path.to_owned()));
    if path.to_str().is_none() {
        return is(Refusal::NotText);
    }
    if let Some((part, pattern)) = list.blocks(path) {
        return Err(Refusal::Blocked {
            path: path.to_owned(),
            part: part.to_owned(),
            pattern: pattern.to_owned(),
        });
    }
    let Some(may_write) = list.allows(path) else {
        return is(Refusal::NotAllowed);
    };
    let root = fs_err::canonicalize(&ground.root).map_err(Refusal::Missing)?;
    if hold_each_other(path, &root).map_err(Refusal::Missing)? {
        return is(Refusal::Ours);
    }
    if list.way.iter().any(|step| step.starts_with(path)) {
        return is(Refusal::HoldsTheList);
    }
    Ok(may_write)
}

/// Whether one of two folders is, or lies in, the other, also where a second path leads to it, as
/// a bind mount does.
pub(super) fn hold_each_other(one: &Path, other: &Path) -> io::Result<bool> {
    let identity = |path: &Path| fs_err::metadata(path).map(|found| (found.dev(), found.ino()));
    let lies_in = |path: &Path, holder: &Path| -> io::Result<bool> {
        let holder = identity(holder)?;
        for above in path.ancestors() {
            if identity(above)? == holder {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let by_name = one.starts_with(other) || other.starts_with(one);
    Ok(by_name || lies_in(one, other)? || lies_in(other, one)?)
}

impl Granted {
    /// Refuses what lies below something that agents may write to: one of them could put another
    /// thing there just while an engine looks, and the first again before we do.
    pub(super) fn unless_below(self, writable: &[PathBuf]) -> Result<Self, Refusal> {
        let mut holders = writable.iter();
        match holders.find(|holder| is_strictly_below(&self.path, holder)) {
            Some(holder) => Err(Refusal::Exchangeable {
                path: self.path,
                holder: holder.clone(),
            }),
            None => Ok(self),
        }
    }

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
