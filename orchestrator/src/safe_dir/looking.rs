//! Looks over a folder as it stands, and puts files, links and folders into it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use fs_err::File;
use rustix::fs::{
    Access, AtFlags, FileType, Mode, OFlags, Stat, accessat, fchmod, fstat, openat, readlinkat,
    renameat, statat, symlinkat, syncfs, unlinkat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{DIRECTORY, SafeDir, at};

/// What an entry of a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    File,
    Folder,
    Link,
    /// In words, e.g. `a pipe`.
    Other(&'static str),
}

/// What the kernel tells of an entry without reading it. What was written to since has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub size: u64,
    /// Nanoseconds since 1970, of the content and of all else.
    pub modified: i64,
    pub changed: i64,
    pub inode: u64,
    pub executable: bool,
}

/// An entry, as it stood when it was looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looked {
    pub kind: EntryKind,
    pub stamp: Stamp,
    /// How many names it has on the disk.
    pub names: u64,
}

impl SafeDir {
    /// Opens a folder that the agent cannot replace (its parent is ours), if it is there.
    pub(crate) fn open_existing(path: &Path) -> io::Result<Option<Self>> {
        match rustix::fs::open(path, DIRECTORY, Mode::empty()) {
            Ok(fd) => Ok(Some(Self {
                fd,
                path: path.to_owned(),
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(at(path, error)),
        }
    }

    /// The same folder once more.
    pub(crate) fn again(&self) -> io::Result<Self> {
        Ok(Self {
            fd: self.fd.try_clone()?,
            path: self.path.clone(),
        })
    }

    /// Returns when all that was written to this folder's disk survives the loss of power.
    pub(crate) fn sync_all(&self) -> io::Result<()> {
        syncfs(&self.fd).map_err(|e| at(&self.path, e))
    }

    /// At most `limit` entries, in the order of their names' bytes.
    pub(crate) fn look(&self, limit: usize) -> io::Result<Vec<(OsString, Looked)>> {
        let mut looked = Vec::new();
        for name in self.first_names(limit)? {
            if let Some(found) = self.look_at(&name)? {
                looked.push((name, found));
            }
        }
        Ok(looked)
    }

    /// One entry; none if there is none.
    pub(crate) fn look_at(&self, name: &OsStr) -> io::Result<Option<Looked>> {
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(looked(&stat))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(at(&self.path.join(name), error)),
        }
    }

    /// Whether we may read an entry. One that has gone meanwhile we may.
    pub(crate) fn may_read(&self, name: &OsStr) -> io::Result<bool> {
        self.may(Access::READ_OK, name)
    }

    /// Whether we may look into a folder.
    pub(crate) fn may_look_into(&self, name: &OsStr) -> io::Result<bool> {
        self.may(Access::READ_OK | Access::EXEC_OK, name)
    }

    fn may(&self, access: Access, name: &OsStr) -> io::Result<bool> {
        // As whom we open it, and not what a link leads to that has taken its place.
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EACCESS;
        let asked = |flags| accessat(&self.fd, name, access, flags);
        let answer = match asked(flags) {
            // A kernel, or a filter of calls, that does not know the question.
            Err(Errno::NOSYS | Errno::PERM) => asked(AtFlags::empty()),
            answer => answer,
        };
        match answer {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(Errno::ACCESS | Errno::PERM) => Ok(false),
            Err(error) => Err(at(&self.path.join(name), error)),
        }
    }

    /// Opens a plain file for reading, and says what it is now that nobody can exchange it; none
    /// if no plain file stands there. A pipe does not make us wait.
    pub(crate) fn open_file(&self, name: &OsStr) -> io::Result<Option<(File, Looked)>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let path = self.path.join(name);
        let fd = match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(at(&path, error)),
        };
        let found = looked(&fstat(&fd).map_err(|e| at(&path, e))?);
        let is_file = found.kind == EntryKind::File;
        Ok(is_file.then(|| (File::from_parts(fd.into(), path), found)))
    }

    /// What a symbolic link says; none if there is no link.
    pub(crate) fn link_target(&self, name: &OsStr) -> io::Result<Option<OsString>> {
        match readlinkat(&self.fd, name, Vec::new()) {
            Ok(target) => Ok(Some(OsString::from_vec(target.into_bytes()))),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(error) => Err(at(&self.path.join(name), error)),
        }
    }

    /// Makes a symbolic link under a name that is free.
    pub(crate) fn make_link(&self, name: &OsStr, target: &OsStr) -> io::Result<()> {
        symlinkat(target, &self.fd, name).map_err(|e| at(&self.path.join(name), e))
    }

    /// Moves a file or a link over whatever has the name, unless that is a folder.
    pub(crate) fn move_over(&self, name: &OsStr, folder: &Self, new: &OsStr) -> io::Result<()> {
        renameat(&self.fd, name, &folder.fd, new).map_err(|e| at(&folder.path.join(new), e))
    }

    /// Removes a file or a link that may be there.
    pub(crate) fn remove_entry(&self, name: &OsStr) -> io::Result<()> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(at(&self.path.join(name), error)),
        }
    }

    /// Removes a folder if it is empty; says whether it is gone.
    pub(crate) fn remove_empty(&self, name: &OsStr) -> io::Result<bool> {
        match unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => Ok(false),
            Err(error) => Err(at(&self.path.join(name), error)),
        }
    }
}

/// Lets everybody who may read a file start it, or nobody.
pub(crate) fn set_executable(file: &File, executable: bool) -> io::Result<()> {
    let mode = if executable { 0o755 } else { 0o644 };
    fchmod(file.file(), Mode::from_raw_mode(mode)).map_err(|e| at(file.path(), e))
}

fn looked(stat: &Stat) -> Looked {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Folder,
        FileType::Symlink => EntryKind::Link,
        FileType::Fifo => EntryKind::Other("a pipe"),
        FileType::Socket => EntryKind::Other("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => EntryKind::Other("a device"),
        FileType::Unknown => EntryKind::Other("of no known kind"),
    };
    Looked {
        kind,
        stamp: Stamp {
            size: u64::try_from(stat.st_size).unwrap_or(u64::MAX),
            modified: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            changed: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
            inode: stat.st_ino,
            executable: stat.st_mode & 0o100 != 0,
        },
        names: stat.st_nlink,
    }
}

fn nanoseconds(seconds: i64, part: u64) -> i64 {
    let part = i64::try_from(part).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(part)
}
