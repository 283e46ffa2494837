//! The folders are there to be written to, closed to others where they hold secrets, and on a
//! disk with room.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{Access, StatVfs, access, statvfs};

use super::finding::{Check, Finding};

/// What `run` makes and writes to; one that is missing is made at the next start.
const OURS: [&str; 4] = ["store", "data", "groups", "logs"];

/// What holds secrets, and which permissions keep them.
const SECRET: [(&str, u32); 6] = [
    (".env", 0o600),
    ("data/api-token", 0o600),
    ("data/env", 0o700),
    ("data/env/env", 0o600),
    ("data/credentials", 0o700),
    ("store/auth", 0o700),
];

/// Bytes: below these, the store soon cannot grow; an agent may fill a gigabyte in one turn.
const FULL: u64 = 100 << 20;
const NEARLY_FULL: u64 = 1 << 30;

pub(super) fn folders(root: &Path) -> Vec<Finding> {
    if !root.is_dir() {
        let cause = format!("`{}` is no folder", root.display());
        let way_out = "give the folder of the installation with --root, or make it";
        return vec![Finding::broken(Check::Folders, cause, way_out)];
    }
    let here = OURS.iter().map(|name| root.join(name));
    let mut findings: Vec<Finding> = std::iter::once(root.to_owned())
        .chain(here)
        .filter_map(|folder| unusable(&folder))
        .collect();
    if findings.is_empty() {
        findings.push(Finding::ok(Check::Folders, "can be written to"));
    }
    findings
}

fn unusable(folder: &Path) -> Option<Finding> {
    let name = folder.display();
    match fs_err::metadata(folder) {
        Ok(found) if !found.is_dir() => Some(Finding::broken(
            Check::Folders,
            format!("`{name}` is no folder"),
            "move it away; nanokimi makes the folder when it starts",
        )),
        Ok(_) => match access(folder, Access::WRITE_OK | Access::EXEC_OK) {
            Ok(()) => None,
            Err(error) => Some(Finding::broken(
                Check::Folders,
                format!("`{name}` cannot be written to by this user: {error}"),
                "run nanokimi as the user that the folder belongs to, or give it to that one with `chown -R`",
            )),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(Finding::broken(
            Check::Folders,
            error.to_string(),
            "give this user the right to look into the folders above it",
        )),
    }
}

pub(super) fn secrets(root: &Path) -> Vec<Finding> {
    let mut findings: Vec<Finding> = SECRET
        .iter()
        .filter_map(|(name, mode)| exposed(root, name, *mode))
        .collect();
    if findings.is_empty() {
        findings.push(Finding::ok(Check::Secrets, "nobody else may read them"));
    }
    findings
}

fn exposed(root: &Path, name: &str, mode: u32) -> Option<Finding> {
    let found = match fs_err::metadata(root.join(name)) {
        Ok(found) => found.permissions().mode() & 0o777,
        // One that is missing exposes nothing; what is in the way is told with the folders.
        Err(_missing) => return None,
    };
    (found & 0o077 != 0).then(|| {
        let cause = format!("others on this machine have rights on `{name}` ({found:04o})");
        let file = root.join(name);
        let way_out = format!("`chmod {mode:o} {}`", file.display());
        Finding::warning(Check::Secrets, cause, way_out)
    })
}

pub(super) fn disk(root: &Path) -> Option<Finding> {
    match statvfs(root) {
        Ok(disk) => Some(room(&disk)),
        // A folder that is not there is told with the folders.
        Err(_not_there) => None,
    }
}

fn room(disk: &StatVfs) -> Finding {
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let cause = format!("{} MiB are free", free >> 20);
    let way_out = "free some space: logs/ and groups/*/logs/ may be cleared while it runs";
    // Some file systems count no files.
    if disk.f_files > 0 && disk.f_favail == 0 {
        let cause = format!("{cause}, but no further file can be made: the disk is out of inodes");
        return Finding::broken(Check::Disk, cause, "remove files that nobody needs");
    }
    match free {
        ..FULL => Finding::broken(Check::Disk, cause, way_out),
        FULL..NEARLY_FULL => Finding::warning(Check::Disk, cause, way_out),
        NEARLY_FULL.. => Finding::ok(Check::Disk, cause),
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::StatVfsMountFlags;

    use super::super::finding::State;
    use super::*;

    #[track_caller]
    fn check_room(blocks: u64, inodes: u64, state: State, cause: &str) {
        let disk = StatVfs {
            f_bsize: 4096,
            f_frsize: 4096,
            f_blocks: 1 << 30,
            f_bfree: blocks,
            f_bavail: blocks,
            f_files: 1 << 20,
            f_ffree: inodes,
            f_favail: inodes,
            f_fsid: 0,
            f_flag: StatVfsMountFlags::empty(),
            f_namemax: 255,
        };
        let found = room(&disk);
        assert_eq!(found.state, state, "{found}");
        assert!(found.cause.contains(cause), "{found}");
        assert_eq!(found.way_out.is_some(), state != State::Ok, "{found}");
    }

    #[test]
    fn a_full_disk_is_broken_and_one_that_fills_is_a_warning() {
        check_room(0, 1, State::Broken, "0 MiB are free");
        check_room(25_599, 1, State::Broken, "99 MiB");
        check_room(25_600, 1, State::Warning, "100 MiB");
        check_room(262_143, 1, State::Warning, "1023 MiB");
        check_room(262_144, 1, State::Ok, "1024 MiB");
        check_room(262_144, 0, State::Broken, "out of inodes");
    }
}
