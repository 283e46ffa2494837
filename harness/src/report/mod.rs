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
/// What they mean is written beside them; all of them are in the trace.
const UNTOLD: &str = "whatsapp.stanza";

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
    let (first, further) = match failures.split_first() {
        Some((first, further)) => (block_of(first, &outcome.source), further),
        None => (Vec::new(), failures),
    };
    let also = also_of(further, &outcome.source);
    let mut lines = first;
    shorten(&mut lines, space - also.len());
    lines.extend(also);
    lines.extend(after);
    lines
}

/// What came after the first failure is most often its consequence: a line each.
fn also_of(further: &[Failure], source: &Source) -> Vec<String> {
    const SHOWN: usize = 3;
    let line = |failure: &Failure| {
        let place = failure
            .span
            .map(|span| format!(" ({})", source.place(span)));
        cut(&format!(
            "also: {}{}",
            one_line(&failure.headline),
            place.as_deref().unwrap_or("")
        ))
    };
    let mut lines: Vec<String> = further.iter().take(SHOWN).map(line).collect();
    if further.len() > SHOWN {
        lines.push(format!("also: {} failures more", further.len() - SHOWN));
    }
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

fn block_of(failure: &Failure, source: &Source) -> Vec<String> {
    let mut lines = vec![cut(&format!("error: {}", one_line(&failure.headline)))];
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
    let told = outcome.played.iter().rev();
    let told = told.filter(|entry| entry.event != UNTOLD).take(TIMELINE);
    let last: Vec<String> = told
        .map(|entry| cut(&format!("  {}", timed(entry))))
        .collect();
    if !last.is_empty() {
        lines.push("last:".to_owned());
        lines.extend(last.into_iter().rev());
    }
    let clock = outcome
        .clock
        .map_or_else(|| "not set".to_owned(), |now| now.to_string());
    lines.push(format!("clock: {clock}, seed: {}", outcome.seed));
    if let Some(trace) = &outcome.trace {
        lines.push(format!("trace: {}", short(trace)));
    }
    if let Some(kept) = &outcome.kept {
        lines.push(format!("folder: {}", kept.display()));
    }
    lines
}

/// One entry on one line, without the ids that nobody reads.
fn timed(entry: &Arc<Entry>) -> String {
    const UNREAD: [&str; 6] = ["id", "run", "session", "messages", "attempt", "tools"];
    format!(
        "+{:.3}s {}",
        entry.real.as_secs_f64(),
        entry.without(&UNREAD)
    )
}

/// A headline may quote a pattern of many lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
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
    let below = here.map_or(None, |here| {
        path.strip_prefix(here)
            .map_or(None, |path| Some(path.to_owned()))
    });
    below.map_or_else(
        || path.display().to_string(),
        |path| path.display().to_string(),
    )
}

#[cfg(test)]
mod tests;
