//! The step `snapshot`: what came out, beside the scenario, reviewed like any other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use mock_server::yaml::At;
use serde_json::{Map, Value};
use similar::{ChangeTag, TextDiff};

use super::Play;
use crate::failure::{Failure, Trouble};
use crate::record::{Redactor, canonical_journal, conversations, transcript};
use crate::scenario::Subject;
use crate::stage::{StageError, read_state};

impl Play<'_> {
    pub(super) fn snapshot(&mut self, subjects: &[At<Subject>]) -> Result<(), Trouble> {
        self.snapshots += 1;
        let mut redactor = Redactor::new(self.stage.root(), &self.scenario.file.redact);
        let entries = self.stage.journal().entries();
        let mut shown = Map::new();
        for subject in subjects {
            let (name, value) = match &subject.value {
                Subject::Transcript => ("transcript".to_owned(), transcript(&entries)),
                Subject::Llm => ("llm".to_owned(), conversations(&entries)),
                Subject::Journal => {
                    let lines = canonical_journal(&entries, &mut redactor);
                    ("journal".to_owned(), Value::Array(lines))
                }
                Subject::State(state) => {
                    (state.to_string(), read_state(self.stage.root(), state)?)
                }
            };
            shown.insert(name, redactor.value(&value));
        }
        let text = serde_yaml::to_string(&shown)
            .map_err(|error| StageError::Store(format!("a snapshot cannot be written: {error}")))?;
        compare(&self.scenario.path, &self.snapshot_name(), &text)
    }

    /// `1`, `2`, … or `paused-1`, … for a row of a matrix.
    fn snapshot_name(&self) -> String {
        match &self.scenario.row {
            Some(row) => format!("{}-{}", row.replace(['/', ' '], "-"), self.snapshots),
            None => self.snapshots.to_string(),
        }
    }
}

fn compare(scenario: &Path, name: &str, text: &str) -> Result<(), Trouble> {
    let folder = scenario.parent().map_or(Path::new("."), |folder| folder);
    let folder = std::path::absolute(folder).map_err(StageError::Folder)?;
    let stem = scenario.file_stem().map_or("scenario".into(), |stem| stem.to_string_lossy());
    let file = folder.join(format!("{stem}@{name}.snap"));
    // Without the file there is nothing to compare with, which `insta` says better.
    let kept = fs_err::read_to_string(&file).unwrap_or_else(|_missing| String::new());
    let kept = kept.splitn(3, "---\n").nth(2).map_or("", |body| body);
    if kept.trim_end() == text.trim_end() {
        return Ok(());
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_suffix(name);
    let accepted = catch_unwind(AssertUnwindSafe(|| {
        settings.bind(|| insta::assert_snapshot!(stem.as_ref(), text));
    }));
    if accepted.is_ok() {
        return Ok(());
    }
    let file = format!("{stem}@{name}.snap");
    let failure = match kept {
        "" => Failure::new(format!("there is no snapshot `{file}` yet")),
        kept => Failure::new(format!("`{file}` shows something else")).note(diff(kept, text)),
    };
    let help = "look at it with `cargo insta review`, or take it with INSTA_UPDATE=always";
    Err(failure.help(help).into())
}

/// The lines that differ, within a few lines.
fn diff(kept: &str, text: &str) -> String {
    const SHOWN: usize = 10;
    let diff = TextDiff::from_lines(kept, text);
    let changes = diff.iter_all_changes();
    let lines: Vec<String> = changes
        .filter_map(|change| match change.tag() {
            ChangeTag::Equal => None,
            ChangeTag::Delete => Some(format!("- {}", change.value().trim_end())),
            ChangeTag::Insert => Some(format!("+ {}", change.value().trim_end())),
        })
        .collect();
    let mut shown = lines[..lines.len().min(SHOWN)].join("\n");
    if lines.len() > SHOWN {
        shown.push_str(&format!("\n… and {} more lines", lines.len() - SHOWN));
    }
    shown
}
