//! Two plays of one scenario that must write the same journal, byte for byte, after redaction:
//! one after the other, and with the mocks in our process and in one of their own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use harness::{Performance, Verdict, load, parse, told};
use libtest_mimic::Failed;

/// Scenarios with much that is concurrent, and with a kill.
pub(crate) const TWICE: [&str; 6] = [
    "chat/a-busy-group-does-not-block-others",
    "sessions/resumed-after-a-kill",
    "scheduler/cron-over-summer-time",
    "whatsapp/a-call-in-a-group-is-answered",
    "whatsapp/two-in-the-same-second",
    "whatsapp/killed-with-the-answer-in-the-outbox",
];

/// Scenarios of which each has something else to do with the mocks.
pub(crate) const APART: [&str; 14] = [
    // Turns of files and of their own, answers that are held, and that stumble.
    "chat/a-busy-group-does-not-block-others",
    "chat/streamed",
    "failure/the-model-stumbles-and-answers",
    // A clock that is moved far, and one that agents are at work on.
    "scheduler/cron-over-summer-time",
    "scheduler/the-agent-schedules-by-tool",
    // Files, tools and sessions.
    "ipc/an-interim-message-comes-before-the-answer",
    "bootstrap/identity-is-written",
    "sessions/resumed-after-a-kill",
    // Phones: groups that come to be, files beside the story, lines that break, a kill.
    "whatsapp/a-call-in-a-group-is-answered",
    "whatsapp/a-new-group-is-found-and-served",
    "whatsapp/pictures-and-documents-come-in",
    "whatsapp/the-agent-sends-a-picture",
    "whatsapp/cut-off-while-it-thinks",
    "whatsapp/killed-with-the-answer-in-the-outbox",
];

/// Plays all rows of a file in both ways, and tells the first line that differs.
pub(crate) fn compare(path: &Path, one: &Performance, other: &Performance) -> Result<(), Failed> {
    let (first, second) = (journal(path, one)?, journal(path, other)?);
    let mut lines = first.lines().zip(second.lines());
    match lines.find(|(one, other)| one != other) {
        None if first == second => Ok(()),
        None => Err("one journal is longer than the other".into()),
        Some((one, other)) => Err(format!("first:  {one}\nsecond: {other}").into()),
    }
}

fn journal(path: &Path, performance: &Performance) -> Result<String, Failed> {
    let mut journal = String::new();
    for scenario in load(path)? {
        let outcome = performance.play(&scenario)?;
        // Two that fail alike prove nothing.
        if !matches!(outcome.verdict, Verdict::Passed) {
            return Err(told(&outcome).into());
        }
        let trace = outcome.trace().ok_or("no journal was written")?;
        let canonical = trace.with_file_name("canonical.jsonl");
        journal.push_str(&std::fs::read_to_string(canonical)?);
    }
    Ok(journal)
}

const LOST: &str = "\
story: The mocks die while something is waited for.
steps:
  - expect: { event: run.started, within: 25s }
";

/// How soon it must be told that the mocks are gone; long before the story would be over.
const SOON: Duration = Duration::from_secs(15);

/// Plays a story whose mock server dies in the middle; that must be told soon, as our fault.
/// `doomed` is where a program can be written that is to be that server.
pub(crate) fn lose(mut performance: Performance, doomed: &Path) -> Result<(), Failed> {
    let binaries = &mut performance.means.binaries;
    let server = binaries.mock_server.replace(doomed.to_owned());
    let server = server.ok_or("there is no mock server to be killed")?;
    let text = "#!/bin/sh\nexec timeout -s KILL 2 ";
    let text = format!("{text}'{}' \"$@\"\n", server.display());
    std::fs::write(doomed, text)?;
    std::fs::set_permissions(doomed, std::fs::Permissions::from_mode(0o755))?;
    for scenario in parse(Path::new("tests/lost.yaml"), LOST)? {
        let outcome = performance.play(&scenario)?;
        let is_told = match &outcome.verdict {
            Verdict::Broke(why) => why.contains("the mock server does not do its part"),
            Verdict::Passed | Verdict::Failed(_) => false,
        };
        if !is_told || outcome.took > SOON {
            return Err(told(&outcome).into());
        }
    }
    Ok(())
}
