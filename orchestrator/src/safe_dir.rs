//! Folders that an agent can write to, handled so that nothing it plants there leads us out.
//!
//! Every step is taken from an open directory and never follows a symbolic link; what stands
//! in the way of a file or folder of ours is removed or moved aside, not followed.

mod giving;
mod looking;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fs_err::File;
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, fchmod, fstat, fsync, mkdirat, openat,
    renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

pub(crate) use giving::Owner;
pub(crate) use looking::{EntryKind, Stamp, set_executable};

/// An open directory.
#[derive(Debug)]
pub(crate) struct SafeDir {
    fd: OwnedFd,
    /// For messages only.
    path: PathBuf,
}

/// How much of a folder is looked at: its owner can put any number of entries into it.
pub(crate) const LISTED: usize = 4096;

/// A file as it was read.
#[derive(Debug)]
pub(crate) struct PlainFile {
    pub bytes: Vec<u8>,
    /// By the machine's clock.
    pub modified: SystemTime,
}

/// Why an entry of a folder is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A link, a pipe, a folder, a device.
    NotAFile(&'static str),
    TooLarge {
        size: u64,
        limit: u64,
    },
    /// It has a second name, perhaps outside.
    HardLinked,
    Io(String),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFile(kind) => write!(f, "it is {kind}, not a file"),
            Self::TooLarge { size, limit } => {
                write!(f, "it has {size} bytes, and at most {limit} are read")
            }
            Self::HardLinked => f.write_str("it has a second name elsewhere"),
            Self::Io(error) => f.write_str(error),
        }
    }
}

const DIRECTORY: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::RDONLY);

const FOLDER_MODE: Mode = Mode::RWXU
    .union(Mode::RGRP)
    .union(Mode::XGRP)
    .union(Mode::ROTH)
    .union(Mode::XOTH);

const FILE_MODE: Mode = Mode::RUSR
    .union(Mode::WUSR)
    .union(Mode::RGRP)
    .union(Mode::ROTH);

impl SafeDir {
    /// Opens a folder that the agent cannot replace (its parent is ours), creating it if missing.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        fs_err::create_dir_all(path)?;
        let fd = rustix::fs::open(path, DIRECTORY, Mode::empty()).map_err(|e| at(path, e))?;
        Ok(Self {
            fd,
            path: path.to_owned(),
        })
    }

    /// Enters a folder inside this one, creating it if it is missing.
    pub(crate) fn enter(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let name = name.as_ref();
        let path = self.path.join(name);
        let fd = match self.open_folder(name) {
            Err(Errno::NOENT) => self.make_folder(name),
            // A link or a file where our folder belongs.
            Err(Errno::LOOP | Errno::NOTDIR) => {
                unlinkat(&self.fd, name, AtFlags::empty()).map_err(|e| at(&path, e))?;
                self.make_folder(name)
            }
            opened => opened,
        };
        Ok(Self {
            fd: fd.map_err(|e| at(&path, e))?,
            path,
        })
    }

    /// Enters a folder if it is one; none if it is missing or something else.
    pub(crate) fn enter_existing(&self, name: impl AsRef<OsStr>) -> io::Result<Option<Self>> {
        let name = name.as_ref();
        let path = self.path.join(name);
        match self.open_folder(name) {
            Ok(fd) => Ok(Some(Self { fd, path })),
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(at(&path, error)),
        }
    }

    /// The names in this folder, in the order of their bytes. Of more than [`LISTED`] entries
    /// those that the file system lists first are told, in order among themselves only: one
    /// that is left out may come before them.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        self.first_names(LISTED)
    }

    /// The same, of at most so many entries.
    fn first_names(&self, limit: usize) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(|e| at(&self.path, e))? {
            let entry = entry.map_err(|e| at(&self.path, e))?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name.to_vec()));
            }
            if names.len() == limit {
                break;
            }
        }
        names.sort();
        Ok(names)
    }

    /// Reads a plain file of at most `limit` bytes; none if it is gone.
    pub(crate) fn read(&self, name: &OsStr, limit: u64) -> Option<Result<PlainFile, Unreadable>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return None,
            Err(Errno::LOOP) => return Some(Err(Unreadable::NotAFile("a symbolic link"))),
            // A socket cannot be opened at all.
            Err(Errno::NXIO) => return Some(Err(Unreadable::NotAFile("a socket or device"))),
            Err(error) => return Some(Err(Unreadable::Io(error.to_string()))),
        };
        Some(read_plain(fd, self.path.join(name), limit))
    }

    /// Creates a file that must not exist yet, in any form.
    pub(crate) fn create_new(&self, name: &str) -> io::Result<File> {
        self.create_with(FILE_MODE, name)
    }

    fn create_with(&self, mode: Mode, name: &str) -> io::Result<File> {
        let path = self.path.join(name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let fd = openat(&self.fd, name, flags, mode).map_err(|e| at(&path, e))?;
        Ok(File::from_parts(fd.into(), path))
    }

    /// Puts a file in place as a whole; whatever had its name, a link too, is replaced.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.replace_for(None, name, bytes)
    }

    /// The same, and the file is somebody else's from the start.
    pub(crate) fn replace_for(
        &self,
        owner: Option<Owner>,
        name: &str,
        bytes: &[u8],
    ) -> io::Result<()> {
        self.put((owner, FILE_MODE), name, bytes)
    }

    /// The same, and nobody may read the file but whose this folder is.
    pub(crate) fn replace_privately(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let found = fstat(&self.fd).map_err(|e| at(&self.path, e))?;
        let owner = Owner {
            uid: found.st_uid,
            gid: found.st_gid,
        };
        let is_ours = found.st_uid == geteuid().as_raw();
        let owner = (!is_ours).then_some(owner);
        self.put((owner, Mode::RUSR | Mode::WUSR), name, bytes)
    }

    /// Closes this folder to everybody but whose it is.
    pub(crate) fn make_private(&self) -> io::Result<()> {
        fchmod(&self.fd, Mode::RWXU).map_err(|e| at(&self.path, e))
    }

    fn put(
        &self,
        (owner, mode): (Option<Owner>, Mode),
        name: &str,
        bytes: &[u8],
    ) -> io::Result<()> {
        let temporary = format!(".{name}.new");
        self.remove(OsStr::new(&temporary))?;
        let mut file = self.create_with(mode, &temporary)?;
        file.write_all(bytes)?;
        if let Some(owner) = owner {
            owner.receive(&file).map_err(|e| at(&self.path, e))?;
        }
        let put = || renameat(&self.fd, &temporary, &self.fd, name);
        match put() {
            // A folder stands there.
            Err(Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY) => {
                self.move_aside(OsStr::new(name))?;
                put()
            }
            done => done,
        }
        .map_err(|e| at(&self.path.join(name), e))
    }

    /// The same, and returns when it survives the loss of power.
    pub(crate) fn replace_durably(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.replace(name, bytes)?;
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(&self.fd, name, flags, Mode::empty()).map_err(|e| at(&path, e))?;
        fsync(&fd).map_err(|e| at(&path, e))?;
        fsync(&self.fd).map_err(|e| at(&self.path, e))
    }

    /// Whether a regular file of this name is here.
    pub(crate) fn holds_file(&self, name: &str) -> io::Result<bool> {
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(at(&self.path.join(name), error)),
        }
    }

    /// Makes a name free, if it is not: a file or a link is removed, a folder moved aside.
    pub(crate) fn remove(&self, name: &OsStr) -> io::Result<()> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR) => self.move_aside(name),
            Err(error) => Err(at(&self.path.join(name), error)),
        }
    }

    /// Gives an entry a hidden name of its own, since a folder may hold what somebody needs.
    fn move_aside(&self, name: &OsStr) -> io::Result<()> {
        let aside = format!(".aside-{}", uuid::Uuid::new_v4().simple());
        renameat(&self.fd, name, &self.fd, &aside).map_err(|e| at(&self.path.join(name), e))
    }

    /// Moves an entry, whatever it is, to another folder; says whether the new name was free.
    /// One that is gone needs no moving.
    pub(crate) fn move_to(&self, name: &OsStr, folder: &Self, new: &OsStr) -> io::Result<bool> {
        match renameat_with(&self.fd, name, &folder.fd, new, RenameFlags::NOREPLACE) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            // Not every file system can do both in one step.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                self.look_and_move_to(name, folder, new)
            }
            Err(error) => Err(at(&self.path.join(name), error)),
        }
    }

    /// Moves in two steps, which is safe where only we put anything into `folder`.
    fn look_and_move_to(&self, name: &OsStr, folder: &Self, new: &OsStr) -> io::Result<bool> {
        match statat(&folder.fd, new, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_taken) => return Ok(false),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(at(&folder.path.join(new), error)),
        }
        match renameat(&self.fd, name, &folder.fd, new) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(error) => Err(at(&self.path.join(name), error)),
        }
    }

    fn open_folder(&self, name: impl AsRef<OsStr>) -> Result<OwnedFd, Errno> {
        openat(&self.fd, name.as_ref(), DIRECTORY, Mode::empty())
    }

    fn make_folder(&self, name: &OsStr) -> Result<OwnedFd, Errno> {
        match mkdirat(&self.fd, name, FOLDER_MODE) {
            // A command beside us was faster.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        self.open_folder(name)
    }
}

fn read_plain(fd: OwnedFd, path: PathBuf, limit: u64) -> Result<PlainFile, Unreadable> {
    let stat = fstat(&fd).map_err(|error| Unreadable::Io(error.to_string()))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(Unreadable::NotAFile("a folder")),
        FileType::Fifo => return Err(Unreadable::NotAFile("a pipe")),
        FileType::Symlink
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => return Err(Unreadable::NotAFile("a device")),
    }
    if stat.st_nlink > 1 {
        return Err(Unreadable::HardLinked);
    }
    let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
    if size > limit {
        return Err(Unreadable::TooLarge { size, limit });
    }
    let read = || -> io::Result<PlainFile> {
        let file = File::from_parts(fd.into(), path);
        let mut bytes = Vec::new();
        // It may grow while we read.
        (&file).take(limit).read_to_end(&mut bytes)?;
        // After the bytes: half a file must not look older than its other half.
        let modified = file.metadata()?.modified()?;
        Ok(PlainFile { bytes, modified })
    };
    read().map_err(|error| Unreadable::Io(error.to_string()))
}

fn at(path: &Path, errno: Errno) -> io::Error {
    let error = io::Error::from(errno);
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_planted_link_is_replaced_and_what_it_points_at_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let group = SafeDir::open(&root.path().join("group")).unwrap();
        symlink(outside.path(), root.path().join("group/logs")).unwrap();

        group.enter("logs").unwrap().create_new("run.log").unwrap();

        assert!(root.path().join("group/logs/run.log").is_file());
        assert_eq!(fs_err::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_is_never_written_through_a_link() {
        let root = tempfile::tempdir().unwrap();
        let victim = root.path().join("victim");
        fs_err::write(&victim, "precious").unwrap();
        let group = SafeDir::open(&root.path().join("group")).unwrap();
        symlink(&victim, root.path().join("group/BOOTSTRAP.md")).unwrap();

        assert!(group.create_new("BOOTSTRAP.md").is_err());
        assert!(!group.holds_file("BOOTSTRAP.md").unwrap());
        group.replace("BOOTSTRAP.md", b"ours").unwrap();

        assert_eq!(fs_err::read_to_string(&victim).unwrap(), "precious");
        assert!(group.holds_file("BOOTSTRAP.md").unwrap());
    }

    #[test]
    fn a_folder_in_the_way_of_a_file_is_moved_aside_with_what_it_holds() {
        let root = tempfile::tempdir().unwrap();
        let group = SafeDir::open(root.path()).unwrap();
        for name in ["tasks.json/kept", ".tasks.json.new", "gone/kept"] {
            fs_err::create_dir_all(root.path().join(name)).unwrap();
        }

        group.replace("tasks.json", b"[]").unwrap();
        group.remove(OsStr::new("gone")).unwrap();

        let names = group.names().unwrap();
        let aside = |name: &OsString| name.as_encoded_bytes().starts_with(b".aside-");
        assert_eq!(names.iter().filter(|name| aside(name)).count(), 3);
        assert_eq!(names.iter().filter(|name| !aside(name)).count(), 1);
        assert!(group.holds_file("tasks.json").unwrap());
        let kept = |name: &OsString| root.path().join(name).join("kept").is_dir();
        assert_eq!(names.iter().filter(|name| kept(name)).count(), 2);
    }

    #[test]
    fn a_move_in_two_steps_replaces_nothing_either() {
        let root = tempfile::tempdir().unwrap();
        let group = SafeDir::open(root.path()).unwrap();
        let errors = group.enter("errors").unwrap();
        let to = |name: &str| {
            fs_err::write(root.path().join("a"), "new").unwrap();
            group.look_and_move_to("a".as_ref(), &errors, name.as_ref())
        };
        fs_err::write(root.path().join("errors/taken"), "old").unwrap();

        assert!(!to("taken").unwrap());
        assert!(to("free").unwrap());

        let text = |name: &str| fs_err::read_to_string(root.path().join(name)).unwrap();
        assert_eq!(
            (text("errors/taken"), text("errors/free")),
            ("old".into(), "new".into())
        );
    }

    #[test]
    fn of_a_crowded_folder_only_a_part_is_listed() {
        let root = tempfile::tempdir().unwrap();
        for n in 0..=LISTED {
            fs_err::write(root.path().join(n.to_string()), "").unwrap();
        }
        let names = SafeDir::open(root.path()).unwrap().names().unwrap();
        assert_eq!(names.len(), LISTED);
        assert!(names.is_sorted());
    }
}
