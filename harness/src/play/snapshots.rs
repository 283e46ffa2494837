//! The step `snapshot`: what came out is compared with a file beside the scenario.
//!
//! The files are those of `insta`, so that `cargo insta review` shows and takes them.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use mock_server::render_requests;
use mock_server::yaml::At;
use serde_json::{Map, Value};
use similar::{ChangeTag, TextDiff};

use super::Play;
use crate::failure::{Failure, Trouble};
use crate::record::{Redactor, canonical_journal, transcript};
use crate::scenario::Subject;
use crate::stage::StageError;

/// What becomes of a snapshot that is new or different.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Snapshots {
    /// It is written beside the one in force, for review.
    #[default]
    Propose,
    /// It is taken.
    Take,
    /// Nothing is written.
    Compare,
}

impl Snapshots {
    /// As `insta` would by `INSTA_UPDATE`, and by whether it is on a machine of CI; what is asked
    /// for on the command line (`update`) comes first.
    #[must_use]
    pub fn wanted(update: bool, insta_update: Option<&OsStr>, is_ci: bool) -> Self {
        match insta_update.map(OsStr::as_encoded_bytes) {
            _ if update => Self::Take,
            Some(b"always") => Self::Take,
            Some(b"no") => Self::Compare,
            Some(b"new") => Self::Propose,
            Some(_) | None if is_ci => Self::Compare,
            Some(_) | None => Self::Propose,
        }
    }
}

impl Play<'_> {
    pub(super) async fn snapshot(&mut self, subjects: &[At<Subject>]) -> Result<(), Trouble> {
        self.taken += 1;
        let mut redactor = Redactor::new(self.stage.first_root(), &self.scenario.file.redact);
        let entries = self.stage.journal().entries();
        let mut shown = Map::new();
        for subject in subjects {
            let (name, value) = match &subject.value {
                Subject::Transcript => ("transcript".to_owned(), transcript(&entries)),
                Subject::Model => (
                    "model".to_owned(),
                    render_requests(&entries, &self.group_folders()?).into(),
                ),
                Subject::Journal => {
                    let lines = canonical_journal(&entries, &mut redactor);
                    ("journal".to_owned(), Value::Array(lines))
                }
                Subject::State(state) => (state.to_string(), self.stage.read(state).await?),
            };
            shown.insert(name, redactor.value(&value));
        }
        let text = serde_yaml::to_string(&shown)
            .map_err(|error| StageError::Store(format!("a snapshot cannot be written: {error}")))?;
        let text = self.stage.journal().masked(&text);
        let file = SnapshotFile::of(&self.scenario.path, &self.snapshot_name());
        file.compare(&text, self.snapshots)
    }

    /// The folders that agents work in, as they know them on each form of the stage.
    fn group_folders(&self) -> Result<Vec<(String, &'static str)>, StageError> {
        const IN_A_BOX: &str = "/workspace/group";
        const NAME: &str = "[group folder]";
        let mut folders = vec![(IN_A_BOX.to_owned(), NAME)];
        let groups = self.stage.root().join("groups");
        for folder in fs_err::read_dir(groups).map_err(StageError::Folder)? {
            let folder = folder.map_err(StageError::Folder)?;
            folders.push((folder.path().display().to_string(), NAME));
        }
        // The longer first: one may begin like another.
        folders.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Ok(folders)
    }

    /// `1`, `2`, … or `paused-1`, … for a row of a matrix.
    fn snapshot_name(&self) -> String {
        match &self.scenario.row {
            Some(row) => format!("{}-{}", row.replace(['/', ' '], "-"), self.taken),
            None => self.taken.to_string(),
        }
    }
}

/// `<scenario>@<name>.snap`.
struct SnapshotFile {
    path: PathBuf,
    name: String,
    scenario: String,
}

impl SnapshotFile {
    fn of(scenario: &Path, name: &str) -> Self {
        let stem = scenario
            .file_stem()
            .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let name = format!("{stem}@{name}.snap");
        Self {
            path: scenario.with_file_name(&name),
            name,
            scenario: crate::scenario::shown(scenario),
        }
    }

    fn compare(&self, text: &str, snapshots: Snapshots) -> Result<(), Trouble> {
        let kept = match fs_err::read_to_string(&self.path) {
            Ok(kept) => Some(kept),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(StageError::Folder(error).into()),
        };
        let kept = kept.as_deref().map(body);
        if kept.is_some_and(|kept| kept.trim_end() == text.trim_end()) {
            // What was proposed before is of no use any more.
            return self.forget_proposal();
        }
        let written = match snapshots {
            Snapshots::Take => {
                self.write(&self.path, text)?;
                return self.forget_proposal();
            }
            Snapshots::Propose => {
                self.write(&self.proposal(), text)?;
                "review it with `cargo insta review`, or take it with INSTA_UPDATE=always"
            }
            Snapshots::Compare => "run it without CI=1 or INSTA_UPDATE=no to get one for review",
        };
        let failure = match kept {
            None => Failure::new(format!("there is no snapshot `{}` yet", self.name)),
            Some(kept) => {
                Failure::new(format!("`{}` shows something else", self.name)).note(diff(kept, text))
            }
        };
        Err(failure.help(written).into())
    }

    fn proposal(&self) -> PathBuf {
        self.path.with_extension("snap.new")
    }

    fn forget_proposal(&self) -> Result<(), Trouble> {
        match fs_err::remove_file(self.proposal()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StageError::Folder(error).into()),
        }
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), StageError> {
        let head = format!("---\nsource: {}\n---\n", self.scenario);
        fs_err::write(path, head + text).map_err(StageError::Folder)
    }
}

/// What stands below the head of a snapshot file.
fn body(kept: &str) -> &str {
    kept.splitn(3, "---\n").nth(2).map_or("", |body| body)
}

/// The lines that differ, as far as they fit into a report.
fn diff(kept: &str, text: &str) -> String {
    const SHOWN: usize = 10;
    let diff = TextDiff::from_lines(kept, text);
    let changes = diff.iter_all_changes();
    let mut lines: Vec<String> = changes
        .filter_map(|change| match change.tag() {
            ChangeTag::Equal => None,
            ChangeTag::Delete => Some(format!("- {}", change.value().trim_end())),
            ChangeTag::Insert => Some(format!("+ {}", change.value().trim_end())),
        })
        .collect();
    let more = lines.len().saturating_sub(SHOWN);
    lines.truncate(SHOWN);
    if more > 0 {
        lines.push(format!("… and {more} lines more"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &SnapshotFile, text: &str, snapshots: Snapshots, expected: &str) {
        let told = match file.compare(text, snapshots) {
            Ok(()) => "same".to_owned(),
            Err(Trouble::Failed(failure)) => failure.headline,
            Err(Trouble::Broke(error)) => error.to_string(),
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn a_snapshot_is_proposed_taken_and_compared() {
        let folder = tempfile::tempdir().unwrap();
        let file = SnapshotFile::of(&folder.path().join("x.yaml"), "1");
        let missing = "there is no snapshot `x@1.snap` yet";

        check(&file, "a: 1\n", Snapshots::Compare, missing);
        assert!(!folder.path().join("x@1.snap.new").exists());
        check(&file, "a: 1\n", Snapshots::Propose, missing);
        assert!(folder.path().join("x@1.snap.new").exists());
        check(&file, "a: 1\n", Snapshots::Take, "same");
        assert!(!folder.path().join("x@1.snap.new").exists());
        check(&file, "a: 1\n", Snapshots::Compare, "same");
        check(
            &file,
            "a: 2\n",
            Snapshots::Compare,
            "`x@1.snap` shows something else",
        );
    }

    #[test]
    fn snapshots_are_taken_as_insta_would() {
        for (update, insta_update, is_ci, expected) in [
            (false, None, false, Snapshots::Propose),
            (false, None, true, Snapshots::Compare),
            (false, Some("always"), true, Snapshots::Take),
            (false, Some("no"), false, Snapshots::Compare),
            (false, Some("new"), true, Snapshots::Propose),
            (false, Some("auto"), true, Snapshots::Compare),
            (true, Some("no"), true, Snapshots::Take),
        ] {
            let found = Snapshots::wanted(update, insta_update.map(OsStr::new), is_ci);
            assert_eq!(found, expected, "{update} {insta_update:?} {is_ci}");
        }
    }

    #[test]
    fn a_difference_shows_the_lines_that_differ() {
        assert_eq!(diff("a\nb\nc\n", "a\nB\nc\n"), "- b\n+ B");
    }
}
