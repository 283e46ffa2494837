//! Gives a folder and all in it to another user, as root must before an agent that is not root
//! can work there.

use std::io;

use rustix::fs::{AtFlags, FileType, Gid, Uid, chownat, fchown, statat};
use rustix::io::Errno;

use super::{SafeDir, at};

/// Who is to own a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Owner {
    /// Takes over an open file.
    pub(super) fn receive(self, file: &fs_err::File) -> rustix::io::Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        fchown(file.file(), Some(uid), Some(gid))
    }
}

/// Nobody nests deeper on purpose, and each level holds a file descriptor.
const DEEPEST: usize = 128;

impl SafeDir {
    /// Gives this folder away with all in it. Links are given, never followed. A file with a
    /// second name stays whose it is: the other name may be anywhere. What is below
    /// [`DEEPEST`] stays too.
    pub(crate) fn give_to(&self, owner: Owner) -> io::Result<()> {
        self.give_below(owner, DEEPEST)
    }

    fn give_below(&self, owner: Owner, deeper: usize) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        let (to_uid, to_gid) = (Some(uid), Some(gid));
        fchown(&self.fd, to_uid, to_gid).map_err(|e| at(&self.path, e))?;
        for name in self.first_names(usize::MAX)? {
            let found = match statat(&self.fd, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) => found,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(at(&self.path.join(&name), error)),
            };
            if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
                if deeper > 0
                    && let Some(folder) = self.enter_existing(&name)?
                {
                    folder.give_below(owner, deeper - 1)?;
                }
                continue;
            }
            let is_given = (found.st_uid, found.st_gid) == (owner.uid, owner.gid);
            if is_given || found.st_nlink > 1 {
                continue;
            }
            match chownat(&self.fd, &name, to_uid, to_gid, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(at(&self.path.join(&name), error)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use rustix::process::{getegid, geteuid};

    use super::*;

    /// Only root can give to others; everybody can give to themselves.
    fn receiver() -> Owner {
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        if uid == 0 {
            Owner {
                uid: 1000,
                gid: 1000,
            }
        } else {
            Owner { uid, gid }
        }
    }

    #[test]
    fn everything_below_is_given_and_nothing_outside() {
        let outside = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        let group = SafeDir::open(&root.path().join("group")).unwrap();
        fs_err::create_dir_all(root.path().join("group/deep/er")).unwrap();
        fs_err::write(root.path().join("group/deep/er/file"), "x").unwrap();
        fs_err::write(outside.path().join("linked"), "x").unwrap();
        fs_err::write(outside.path().join("named"), "x").unwrap();
        let link = root.path().join("group/link");
        symlink(outside.path(), &link).unwrap();
        symlink("/nowhere", root.path().join("group/dangling")).unwrap();
        let second = root.path().join("group/second");
        let is_one_disk = fs_err::hard_link(outside.path().join("named"), second).is_ok();
        let before = |name: &str| fs_err::metadata(outside.path().join(name)).unwrap().uid();
        let owners = [before("linked"), before("named")];
        let owner = receiver();

        group.give_to(owner).unwrap();
        group.give_to(owner).unwrap();

        for name in ["", "deep", "deep/er", "deep/er/file", "link", "dangling"] {
            let path = root.path().join("group").join(name);
            let found = fs_err::symlink_metadata(path).unwrap();
            assert_eq!((found.uid(), found.gid()), (owner.uid, owner.gid), "{name}");
        }
        assert_eq!([before("linked"), before("named")], owners);
        assert!(is_one_disk, "both folders lie on one disk");
    }
}
