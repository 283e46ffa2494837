//! What runs write down: agents' folders can be written to, and their logs do not fill the disk.

use std::io;
use std::path::Path;

use rustix::fs::{Access, access};

use super::finding::{Check, Finding};
use crate::ids::GroupFolder;

/// Bytes, of all groups: nobody reads so much, and an agent may add ten megabytes with each run.
const HUGE: u64 = 1 << 30;

/// What one group's logs take.
struct Taken {
    group: GroupFolder,
    bytes: u64,
}

pub(super) fn logs(root: &Path) -> Vec<Finding> {
    let folder = root.join("groups");
    let groups = match groups(&folder) {
        Ok(groups) => groups,
        // Without groups there are no logs; what cannot be read is told with the folders.
        Err(_no_folder) => return Vec::new(),
    };
    let closed = groups.iter().filter_map(|group| closed(&folder, group));
    let mut findings: Vec<Finding> = closed.collect();
    let taken: Vec<Taken> = groups
        .into_iter()
        .map(|group| Taken {
            bytes: bytes_of(&folder.join(group.as_str()).join("logs")),
            group,
        })
        .collect();
    findings.push(size(&taken));
    findings
}

/// The groups that have a folder. Links are left out: an agent may have planted them.
pub(super) fn groups(folder: &Path) -> io::Result<Vec<GroupFolder>> {
    let mut groups = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let is_folder = entry.file_type()?.is_dir();
        match entry.file_name().to_string_lossy().parse() {
            Ok(group) if is_folder => groups.push(group),
            Ok(_) | Err(_) => {}
        }
    }
    groups.sort();
    Ok(groups)
}

/// A group whose agents cannot begin, since their run log cannot.
fn closed(groups: &Path, group: &GroupFolder) -> Option<Finding> {
    let folder = groups.join(group.as_str());
    let logs = folder.join("logs");
    let is_folder = fs_err::symlink_metadata(&logs).is_ok_and(|found| found.is_dir());
    // Whatever else is in the way is replaced by the next run, if the folder above may be changed.
    let needed = if is_folder { logs } else { folder };
    let error = match access(&needed, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => return None,
        Err(error) => error,
    };
    let name = needed.display();
    Some(Finding::broken(
        Check::Logs,
        format!(
            "`{name}` cannot be written to by this user, so no agent of `{group}` can run: {error}"
        ),
        format!(
            "run nanokimi as the user that it belongs to, or give it to that one with `chown -R <user> {name}`"
        ),
    ))
}

/// What the files in a folder take; a folder that is none, or not ours to read, takes nothing.
fn bytes_of(logs: &Path) -> u64 {
    let sum = || -> io::Result<u64> {
        if !fs_err::symlink_metadata(logs)?.is_dir() {
            return Ok(0);
        }
        let mut sum = 0;
        for entry in fs_err::read_dir(logs)? {
            // One that is removed meanwhile takes nothing.
            sum += entry?.metadata().map_or(0, |found| found.len());
        }
        Ok(sum)
    };
    sum().unwrap_or(0)
}

fn size(taken: &[Taken]) -> Finding {
    let bytes: u64 = taken.iter().map(|taken| taken.bytes).sum();
    let cause = format!("run logs take {} MiB", bytes >> 20);
    let most = taken.iter().max_by_key(|taken| taken.bytes);
    match most {
        Some(most) if bytes >= HUGE => Finding::warning(
            Check::Logs,
            format!(
                "{cause}, {} MiB of them in groups/{}/logs",
                most.bytes >> 20,
                most.group
            ),
            "remove old ones, e.g. with `find groups/*/logs -name 'container-*.log' -mtime +30 -delete`; nanokimi may run meanwhile",
        ),
        Some(_) | None => Finding::ok(Check::Logs, cause),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    /// Makes a log of so many bytes; they take no room on the disk.
    fn log(root: &Path, name: &str, bytes: u64) {
        let file = root.join("groups").join(name);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::File::create(file).unwrap().set_len(bytes).unwrap();
    }

    #[track_caller]
    fn check(root: &Path, state: State, cause: &str) {
        let found = logs(root);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].state, state, "{found:?}");
        assert!(found[0].cause.contains(cause), "{found:?}");
    }

    #[test]
    fn logs_that_nobody_clears_are_told_with_whose_they_are() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        assert!(logs(root).is_empty());
        log(root, "ada/logs/container-1.log", (1 << 29) - 1);
        log(root, "bob/logs/container-1.log", 1 << 29);
        check(root, State::Ok, "take 1023 MiB");
        log(root, "bob/logs/container-2.log", 1);
        check(root, State::Warning, "512 MiB of them in groups/bob/logs");
    }

    #[test]
    fn a_link_that_an_agent_has_planted_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        log(root, "bob/logs/container-1.log", 1 << 30);
        fs_err::create_dir(root.join("groups/eve")).unwrap();
        let link = std::os::unix::fs::symlink;
        link("../bob/logs", root.join("groups/eve/logs")).unwrap();
        link("bob", root.join("groups/mallory")).unwrap();
        check(
            root,
            State::Warning,
            "take 1024 MiB, 1024 MiB of them in groups/bob",
        );
    }
}
