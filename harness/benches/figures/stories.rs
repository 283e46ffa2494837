//! Scenarios that are played in this process, so that their own clock times them.

use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::{Binaries, Ground, Keep, Means, Performance, Snapshots, Verdict, load, told};
use serde_json::Value;
use tempfile::TempDir;

/// One message, one answer.
pub(crate) const TRIVIAL: &str = "\
story: A message is answered.
script:
  - { match: hello, times: any, response: { content: Hello. } }
steps:
  - ask: { chat: main, from: ada, text: hello, answer: Hello. }
";

const SILENT: &str = "\
story: It starts.
steps:
  - expect: { event: process.ready }
";

/// How many messages a conversation has after its first, and how often it is held.
const MESSAGES: usize = 20;
const CONVERSATIONS: usize = 5;

pub(crate) struct Stories {
    folder: TempDir,
    performance: Performance,
}

impl Stories {
    pub(crate) fn write(
        binaries: &Binaries,
        environment: Vec<(String, String)>,
    ) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let performance = Performance {
            means: Means {
                binaries: binaries.clone(),
                environment,
                fixtures: crate::workspace().join("fixtures"),
                ground: Ground::Process,
                crowding: NonZeroU32::MIN,
            },
            traces: folder.path().join("traces"),
            trace_all: false,
            keep: Keep::None,
            snapshots: Snapshots::Compare,
            seed: 0,
        };
        let stories = Self {
            folder,
            performance,
        };
        fs_err::create_dir(stories.folder.path().join("scenarios"))?;
        fs_err::write(stories.one_message(), TRIVIAL)?;
        fs_err::write(stories.no_message(), SILENT)?;
        let (_, ask) = TRIVIAL
            .split_once("steps:\n")
            .ok_or(io::ErrorKind::InvalidData)?;
        let conversation = format!("{TRIVIAL}{}", ask.repeat(MESSAGES));
        fs_err::write(stories.conversation(), conversation)?;
        Ok(stories)
    }

    pub(crate) fn one_message(&self) -> PathBuf {
        self.folder.path().join("scenarios/one-message.yaml")
    }

    pub(crate) fn no_message(&self) -> PathBuf {
        self.folder.path().join("scenarios/no-message.yaml")
    }

    fn conversation(&self) -> PathBuf {
        self.folder.path().join("scenarios/conversation.yaml")
    }

    /// Plays a scenario that must pass; how long it took from boot to torn down.
    pub(crate) fn play(&self, path: &Path) -> io::Result<Duration> {
        played(&self.performance, path)
    }

    /// How long each answer took, but for the first of each conversation.
    pub(crate) fn replies(&self) -> io::Result<Vec<Duration>> {
        let mut replies = Vec::new();
        for _ in 0..CONVERSATIONS {
            let journal = self.journal_of(&self.conversation())?;
            replies.extend(waits(&journal)?.into_iter().skip(1));
        }
        Ok(replies)
    }

    /// Writes a further scenario.
    pub(crate) fn add(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.folder.path().join(format!("scenarios/{name}.yaml"));
        fs_err::write(&path, text)?;
        Ok(path)
    }

    /// Plays a scenario that must pass; what happened in it, a line for each entry.
    pub(crate) fn journal_of(&self, path: &Path) -> io::Result<String> {
        let performance = Performance {
            trace_all: true,
            ..self.performance.clone()
        };
        played(&performance, path)?;
        let name = path.file_stem().ok_or(io::ErrorKind::InvalidInput)?;
        fs_err::read_to_string(performance.traces.join(name).join("journal.jsonl"))
    }
}

fn played(performance: &Performance, path: &Path) -> io::Result<Duration> {
    let mut took = Duration::ZERO;
    for scenario in load(path).map_err(io::Error::other)? {
        let outcome = performance.play(&scenario)?;
        if !matches!(outcome.verdict, Verdict::Passed) {
            return Err(io::Error::other(told(&outcome)));
        }
        took += outcome.took;
    }
    Ok(took)
}

/// From each `ask.sent` to the `ask.answered` that follows; nobody asks twice at a time here.
fn waits(journal: &str) -> io::Result<Vec<Duration>> {
    let mut waits = Vec::new();
    let mut sent = None;
    for line in journal.lines() {
        let entry: Value = serde_json::from_str(line)?;
        let real = entry["real_ms"].as_f64();
        match entry["event"].as_str() {
            Some("ask.sent") => sent = real,
            Some("ask.answered") => {
                let (Some(sent), Some(answered)) = (sent, real) else {
                    return Err(io::Error::other(
                        "an answer without a question in the journal",
                    ));
                };
                waits.push(Duration::from_secs_f64((answered - sent) / 1e3));
            }
            Some(_) | None => {}
        }
    }
    Ok(waits)
}
