//! How the outcome of a scenario is told: one line if it passed, its story if not.
//!
//! The same text wherever it is printed. At most [`MOST_LINES`] lines.

use std::path::Path;
use std::sync::Arc;

use mock_server::Entry;
use mock_server::yaml::Source;

use crate::failure::Failure;
use crate::outcome::{Outcome, Verdict};

/// No report of one scenario is longer.
const MOST_LINES: usize = 25;
/// The widest line.
const WIDEST: usize = 160;
/// How many last entries of the journal a failure shows.
const TIMELINE: usize = 5;

/// The whole report of one scenario, with a final newline.
#[must_use]
pub fn told(outcome: &Outcome) -> String {
    let took = outcome.took.as_millis();
    match &outcome.verdict {
        Verdict::Passed => format!("ok   {} {took} ms\n", outcome.name),
        Verdict::Broke(error) => {
            format!("BROKE {} {took} ms\nerror: {error}\n", outcome.name)
        }
        Verdict::Failed(failures) => {
            let mut lines = vec![format!("FAIL {} {took} ms", outcome.name)];
            lines.extend(story_of(failures, outcome));
            lines.join("\n") + "\n"
        }
    }
}

/// The failures, then what was happening, within the space there is.
fn story_of(failures: &[Failure], outcome: &Outcome) -> Vec<String> {
    let after = epilogue(outcome);
    let space = MOST_LINES - 1 - after.len();
    let mut lines = Vec::new();
    for (index, failure) in failures.iter().enumerate() {
        let block = block_of(failure, &outcome.source, index > 0);
        let left = failures.len() - index - 1;
        let reserved = usize::from(left > 0);
        if index > 0 && lines.len() + block.len() + reserved > space {
            lines.push(format!("… and {} more failures", left + 1));
            break;
        }
        lines.extend(block);
    }
    shorten(&mut lines, space);
    lines.extend(after);
    lines
}

/// A long story is cut before its end, so that its help is still told.
fn shorten(lines: &mut Vec<String>, space: usize) {
    const KEPT_AT_END: usize = 2;
    if lines.len() <= space {
        return;
    }
    let end = lines.len() - KEPT_AT_END;
    let start = space - KEPT_AT_END - 1;
    lines.splice(start..end, [format!("   … {} lines more", end - start)]);
}

fn block_of(failure: &Failure, source: &Source, further: bool) -> Vec<String> {
    let also = if further { "also: " } else { "" };
    let mut lines = vec![format!("error: {also}{}", failure.headline)];
    if let Some(span) = failure.span {
        let excerpt = source.excerpt(span, &failure.label);
        lines.extend(excerpt.lines().map(str::to_owned));
    }
    for note in &failure.notes {
        lines.extend(note.lines().enumerate().map(|(index, line)| {
            let sign = if index == 0 { "=" } else { " " };
            cut(&format!(" {sign} {line}"))
        }));
    }
    if let Some(help) = &failure.help {
        lines.push(format!("help: {help}"));
    }
    lines
}

/// What the system was doing, when, and where to read on.
fn epilogue(outcome: &Outcome) -> Vec<String> {
    let mut lines = Vec::new();
    let last = &outcome.journal[outcome.journal.len().saturating_sub(TIMELINE)..];
    if !last.is_empty() {
        lines.push("last:".to_owned());
        lines.extend(last.iter().map(|entry| cut(&format!("  {}", timed(entry)))));
    }
    let clock = outcome.clock.map_or_else(|| "not set".to_owned(), |now| now.to_string());
    lines.push(format!("clock: {clock}, seed: {}", outcome.seed));
    if let Some(trace) = &outcome.trace {
        lines.push(format!("trace: {}", short(trace)));
    }
    if let Some(kept) = &outcome.kept {
        lines.push(format!("folder: {}", kept.display()));
    }
    lines
}

fn timed(entry: &Arc<Entry>) -> String {
    format!("+{:.3}s {entry}", entry.real.as_secs_f64())
}

fn cut(line: &str) -> String {
    if line.chars().count() <= WIDEST {
        return line.to_owned();
    }
    let start: String = line.chars().take(WIDEST - 1).collect();
    format!("{start}…")
}

/// Relative to where we are, if it lies below.
fn short(path: &Path) -> String {
    let here = std::env::current_dir();
    let below = here.map_or(None, |here| path.strip_prefix(here).map_or(None, |path| Some(path.to_owned())));
    below.map_or_else(|| path.display().to_string(), |path| path.display().to_string())
}
