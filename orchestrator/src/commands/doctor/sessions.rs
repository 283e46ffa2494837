//! Conversations: agents can get at what they go on with, and at the folder they drop files into.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::finding::{Check, Finding};
use super::logs::groups;
use crate::ids::GroupFolder;
use crate::store::Checkup;

/// What each group has a folder of its own in, and what is in there.
const OURS: [(&str, &str); 2] = [
    ("data/sessions", "its agents' home"),
    ("data/ipc", "where its agents drop files"),
];

pub(super) fn sessions(root: &Path, checkup: Option<&Checkup>) -> Vec<Finding> {
    let stored: &[GroupFolder] = checkup.map_or(&[], |checkup| &checkup.sessions);
    let with_folders = match groups(&root.join("groups")) {
        Ok(groups) => groups,
        // Without groups nobody talks; what cannot be read is told with the folders.
        Err(_no_folder) => return Vec::new(),
    };
    let closed = closed(root, &with_folders);
    let gone = stored.iter().filter_map(|group| gone(root, group));
    let mut findings: Vec<Finding> = closed.into_iter().chain(gone).collect();
    if findings.is_empty() {
        let count = stored.len();
        let cause = format!("{count} of them can be gone on with");
        findings.push(Finding::ok(Check::Sessions, cause));
    }
    findings
}

/// Folders that this user cannot write to: each at the top, else each of a group.
fn closed(root: &Path, groups: &[GroupFolder]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, what) in OURS {
        let folder = root.join(name);
        if let Some(found) = unusable(&folder, "no agent can run") {
            findings.push(found);
            continue;
        }
        findings.extend(groups.iter().filter_map(|group| {
            let costs = format!("no agent of `{group}` can run: it is {what}");
            unusable(&folder.join(group.as_str()), &costs)
        }));
    }
    findings
}

fn unusable(folder: &PathBuf, costs: &str) -> Option<Finding> {
    let is_folder = fs_err::symlink_metadata(folder).is_ok_and(|found| found.is_dir());
    // One that is missing is made, and what has its name is replaced.
    let error = match access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        Err(error) if is_folder => error,
        Ok(()) | Err(_) => return None,
    };
    let name = folder.display();
    Some(Finding::broken(
        Check::Sessions,
        format!("`{name}` cannot be written to by this user, so {costs}: {error}"),
        format!(
            "run nanokimi as the user that it belongs to, or give it to that one with `chown -R <user> {name}`"
        ),
    ))
}

fn gone(root: &Path, group: &GroupFolder) -> Option<Finding> {
    let home = root.join("data/sessions").join(group.as_str());
    let is_there = fs_err::symlink_metadata(&home).is_ok_and(|found| found.is_dir());
    (!is_there).then(|| {
        Finding::warning(
            Check::Sessions,
            format!(
                "`{group}` goes on with a conversation, but `{}` is not there",
                home.display()
            ),
            format!("bring it back from a backup; or forget the conversation with `nanokimi sessions clear {group}`, which its next message does by itself"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn a_conversation_without_its_folder_is_told() {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir(root.path().join("groups")).unwrap();
        let checkup = Checkup {
            schema: 2,
            damage: None,
            newest: None,
            channels: Vec::new(),
            owed: Vec::new(),
            sessions: vec!["ada".parse().unwrap()],
        };
        let looked = |()| sessions(root.path(), Some(&checkup)).remove(0);
        let found = looked(());
        assert_eq!(found.state, State::Warning, "{found}");
        assert!(
            found.cause.contains("data/sessions/ada` is not there"),
            "{found}"
        );
        fs_err::create_dir_all(root.path().join("data/sessions/ada")).unwrap();
        assert_eq!(looked(()).state, State::Ok);
    }
}
