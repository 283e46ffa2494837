//! Changes to a workspace that an agent without our disk delivers:
//!
//! ```json
//! {"changes": [{"scope": "group", "path": "notes/a.md", "type": "added",
//!               "content_base64": "…", "executable": false, "size": 12}]}
//! ```
//!
//! `type` is `added`, `modified` or `deleted`; a scope is `group` (the working folder) or `home`,
//! of the run's own group. All changes are looked at before the first is made.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::entry::{Entries, Entry, EntryPath, LONGEST_NAME, Scope, Sha256Hex};
use super::merge::Plan;
use super::moving::{Moving, Staging};
use super::sums::sums_of;
use super::tree::{Limits, Place};

/// What is delivered, as it is spelt.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delivery {
    changes: Vec<Change>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    scope: String,
    path: String,
    r#type: ChangeKind,
    content_base64: Option<String>,
    #[serde(default)]
    executable: bool,
    size: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveryFault {
    #[error(
        "`changes[{index}]`: `{scope}` is not the scope of this run; expected `group` or `home`"
    )]
    OtherScope { index: usize, scope: String },
    #[error(
        "`changes[{index}]`: `{path}` is no path below the scope, has a name of more than {LONGEST_NAME} bytes, or is not kept"
    )]
    Path { index: usize, path: String },
    #[error("`changes[{index}]`: {what}")]
    Content { index: usize, what: String },
    #[error("there are more than {0} changes")]
    TooMany(usize),
    #[error("the changes cannot be written")]
    Io(#[from] io::Error),
}

/// Changes that can be made.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    plan: Plan,
    entries: Entries,
    contents: BTreeMap<Sha256Hex, Vec<u8>>,
}

impl Delivery {
    pub(crate) fn checked(self, limits: Limits) -> Result<Changes, DeliveryFault> {
        if self.changes.len() > limits.files {
            return Err(DeliveryFault::TooMany(limits.files));
        }
        let mut changes = Changes::default();
        for (index, change) in self.changes.into_iter().enumerate() {
            let path = change.path(index)?;
            if change.r#type == ChangeKind::Deleted {
                changes.plan.remove.push(path);
                continue;
            }
            let content = change.content(index, limits)?;
            let sums = sums_of(content.as_slice())?;
            let file = Entry::File {
                size: sums.size,
                executable: change.executable,
                sha256: sums.sha256.clone(),
                crc32c: sums.crc32c,
            };
            changes.contents.insert(sums.sha256, content);
            changes.entries.insert(path.clone(), file);
            changes.plan.take.push(path);
        }
        Ok(changes)
    }
}

impl Change {
    fn path(&self, index: usize) -> Result<EntryPath, DeliveryFault> {
        let scope = Scope::ALL
            .into_iter()
            .find(|scope| scope.word() == self.scope);
        let Some(scope) = scope else {
            let scope = self.scope.clone();
            return Err(DeliveryFault::OtherScope { index, scope });
        };
        let fits = |name: &&str| {
            let climbs = ["", ".", ".."].contains(name);
            !climbs && !name.contains('\0') && name.len() <= LONGEST_NAME
        };
        let mut names = self.path.split('/');
        let path = match names.next().filter(fits) {
            Some(first) => {
                let top = EntryPath::top(scope, OsStr::new(first));
                names.try_fold(top, |path, name| {
                    fits(&name).then(|| path.below(OsStr::new(name)))
                })
            }
            None => None,
        };
        path.filter(|path| !path.is_left_here())
            .ok_or_else(|| DeliveryFault::Path {
                index,
                path: self.path.clone(),
            })
    }

    fn content(&self, index: usize, limits: Limits) -> Result<Vec<u8>, DeliveryFault> {
        let fault = |what: String| DeliveryFault::Content { index, what };
        let Some(text) = &self.content_base64 else {
            return Err(fault("`content_base64` is missing".to_owned()));
        };
        let content = STANDARD
            .decode(text)
            .map_err(|error| fault(format!("`content_base64` is not base64: {error}")))?;
        let size = content.len() as u64;
        match self.size {
            Some(said) if said != size => Err(fault(format!(
                "`size` says {said}, but there are {size} bytes"
            ))),
            Some(_) | None if size > limits.file_size => {
                let most = limits.file_size;
                Err(fault(format!("it has {size} bytes, more than {most}")))
            }
            Some(_) | None => Ok(content),
        }
    }
}

impl Changes {
    pub(crate) fn count(&self) -> usize {
        self.plan.take.len() + self.plan.remove.len()
    }

    /// Makes the changes.
    pub(crate) fn make(self, place: &Place) -> Result<(), DeliveryFault> {
        let staging = Staging::new(place, &uuid::Uuid::new_v4().simple().to_string())?;
        for (sha256, content) in &self.contents {
            staging.create(sha256)?.write_all(content)?;
        }
        Moving::new(place, &staging, 0)?.obey(&self.plan, &self.entries)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        files: 3,
        file_size: 10,
        size: 100,
    };

    fn checked(text: &str) -> Result<Changes, DeliveryFault> {
        let delivery: Delivery = serde_json::from_str(text).unwrap();
        delivery.checked(LIMITS)
    }

    #[track_caller]
    fn check_refused(change: &str, says: &str) {
        let fault = checked(&format!("{{\"changes\":[{change}]}}")).unwrap_err();
        assert!(fault.to_string().contains(says), "{fault}");
    }

    #[test]
    fn changes_are_made_as_they_are_told() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("groups/family");
        fs_err::create_dir_all(&group).unwrap();
        fs_err::create_dir_all(root.path().join("data/sessions")).unwrap();
        fs_err::write(group.join("old"), "x").unwrap();
        let place = Place {
            root: root.path().to_owned(),
            folder: "family".parse().unwrap(),
        };
        let changes = checked(
            r#"{"changes":[
                {"scope":"group","path":"bin/run","type":"added","content_base64":"aGk=","executable":true,"size":2},
                {"scope":"home","path":"memory","type":"modified","content_base64":""},
                {"scope":"group","path":"old","type":"deleted"}]}"#,
        );
        let changes = changes.unwrap();
        assert_eq!(changes.count(), 3);
        changes.make(&place).unwrap();

        assert_eq!(fs_err::read_to_string(group.join("bin/run")).unwrap(), "hi");
        assert!(!group.join("old").exists());
        let memory = root.path().join("data/sessions/family/memory");
        assert_eq!(fs_err::read(memory).unwrap(), b"");
        assert_eq!(
            fs_err::read_dir(root.path().join("groups"))
                .unwrap()
                .count(),
            1
        );
    }

    #[test]
    fn what_is_not_the_runs_own_is_refused() {
        check_refused(
            r#"{"scope":"work","path":"a","type":"deleted"}"#,
            "`work` is not the scope of this run",
        );
        for path in [
            "",
            "/a",
            "../work/a",
            "a/../../work",
            "a//b",
            ".",
            "logs/run.log",
            &format!("a/{}", "b".repeat(LONGEST_NAME + 1)),
        ] {
            check_refused(
                &format!(r#"{{"scope":"group","path":"{path}","type":"deleted"}}"#),
                "is no path below the scope",
            );
        }
    }

    #[test]
    fn what_does_not_hold_together_is_refused() {
        check_refused(
            r#"{"scope":"group","path":"a","type":"added"}"#,
            "is missing",
        );
        check_refused(
            r#"{"scope":"group","path":"a","type":"added","content_base64":"a"}"#,
            "is not base64",
        );
        check_refused(
            r#"{"scope":"group","path":"a","type":"added","content_base64":"aGk=","size":3}"#,
            "`size` says 3, but there are 2 bytes",
        );
        check_refused(
            r#"{"scope":"group","path":"a","type":"added","content_base64":"MTIzNDU2Nzg5MDE="}"#,
            "it has 11 bytes, more than 10",
        );
    }
}
