//! One scenario from beginning to end: set the stage, play, judge, strike.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use mock_server::Entry;
use mock_server::yaml::Source;
use serde_json::Value;
use tokio::time::timeout;

use crate::chain::chain;
use crate::failure::{Failure, Trouble};
use crate::judge::final_word;
use crate::play::{Play, Snapshots};
use crate::record::{Redactor, canonical_journal};
use crate::scenario::{Lapse, Scenario};
use crate::stage::{Ended, Leak, Means, Stage, StageError, Struck};

/// How a scenario went.
#[derive(Debug)]
pub struct Outcome {
    pub name: String,
    pub took: Duration,
    pub verdict: Verdict,
    /// Where the virtual clock stood at the end.
    pub clock: Option<Timestamp>,
    pub seed: u64,
    pub(crate) source: Arc<Source>,
    /// What happened before the curtain fell.
    pub(crate) played: Vec<Arc<Entry>>,
    /// The journal as a file, if it was written.
    pub(crate) trace: Option<PathBuf>,
    /// nanokimi's folder, if it was kept.
    pub(crate) kept: Option<PathBuf>,
}

/// What a scenario says about nanokimi, or about us.
#[derive(Debug)]
pub enum Verdict {
    Passed,
    /// First cause first.
    Failed(Vec<Failure>),
    Broke(String),
}

/// How scenarios are played.
#[derive(Clone, Debug)]
pub struct Performance {
    pub means: Means,
    /// Traces are written below this folder.
    pub traces: PathBuf,
    /// Write a trace although the scenario passed.
    pub trace_all: bool,
    /// Whose folder is kept for a person to look at.
    pub keep: Keep,
    pub snapshots: Snapshots,
    /// Ids that mocks make are the same for the same seed.
    pub seed: u64,
}

/// Which folders are kept for a person to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    #[default]
    Failed,
    All,
    None,
}

impl Performance {
    /// Plays one scenario on a runtime of its own, on the calling thread.
    ///
    /// The thread must live until this returns: nanokimi ends with the thread it was
    /// started on, so that killing the harness leaves nothing behind.
    ///
    /// # Errors
    /// No runtime can be had.
    pub fn play(&self, scenario: &Scenario) -> std::io::Result<Outcome> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(runtime.block_on(self.perform(scenario)))
    }

    async fn perform(&self, scenario: &Scenario) -> Outcome {
        let began = Instant::now();
        let stage = match Stage::set(scenario, &self.means, self.seed).await {
            Ok(stage) => stage,
            Err(error) => return self.broken(scenario, began, &error),
        };
        let mut play = Play::new(scenario, stage, self.snapshots);
        let mut found = Found::default();
        let limit = scenario.timeout();
        match timeout(limit, play.perform()).await {
            Ok(troubles) => troubles.into_iter().for_each(|trouble| found.add(trouble)),
            Err(_elapsed) => {
                let lapse = Lapse::new(limit);
                found.add(Failure::new(format!("the scenario took longer than {lapse}")).into());
            }
        }
        self.conclude(scenario, play, found, began).await
    }

    /// Brings nanokimi to rest, judges, ends everything and writes it down.
    async fn conclude(
        &self,
        scenario: &Scenario,
        mut play: Play<'_>,
        mut found: Found,
        began: Instant,
    ) -> Outcome {
        if found.is_nothing() && play.stage.api().is_some() {
            // Only a nanokimi at rest can be judged; one that cannot rest has failed.
            if let Err(trouble) = play.settle().await {
                found.add(trouble);
            }
        }
        match final_word(scenario, &play.stage) {
            Ok(failures) => failures
                .into_iter()
                .for_each(|failure| found.add(failure.into())),
            Err(error) => found.add(error.into()),
        }
        let clock = play.stage.journal().now();
        let journal = play.stage.journal().clone();
        let root = play.stage.root().to_owned();
        let failed = !found.is_nothing();
        let keep = match self.keep {
            Keep::All => true,
            Keep::Failed => failed,
            Keep::None => false,
        };
        let running = play.stage.api().is_some();
        let played = journal.entries();
        let kept = match play.stage.strike(keep).await {
            Ok(struck) => {
                left_over(&struck, running)
                    .into_iter()
                    .for_each(|failure| found.add(failure.into()));
                struck.kept
            }
            Err(error) => {
                found.add(error.into());
                None
            }
        };
        let entries = journal.entries();
        let write = self.trace_all || !found.is_nothing();
        let trace = match write.then(|| self.write_trace(scenario, &entries, &root)) {
            Some(Ok(trace)) => Some(trace),
            Some(Err(error)) => {
                found.add(StageError::Trace(error).into());
                None
            }
            None => None,
        };
        Outcome {
            name: scenario.name(),
            took: began.elapsed(),
            verdict: found.verdict(),
            clock,
            seed: self.seed,
            source: Arc::clone(&scenario.source),
            played,
            trace,
            kept,
        }
    }

    fn broken(&self, scenario: &Scenario, began: Instant, error: &StageError) -> Outcome {
        Outcome {
            name: scenario.name(),
            took: began.elapsed(),
            verdict: Verdict::Broke(chain(error)),
            clock: None,
            seed: self.seed,
            source: Arc::clone(&scenario.source),
            played: Vec::new(),
            trace: None,
            kept: None,
        }
    }

    /// `<traces>/<name>/journal.jsonl` as it was, and `canonical.jsonl`, the same in each run.
    fn write_trace(
        &self,
        scenario: &Scenario,
        entries: &[Arc<Entry>],
        root: &Path,
    ) -> std::io::Result<PathBuf> {
        let folder = self.traces.join(folder_name(&scenario.name()));
        fs_err::create_dir_all(&folder)?;
        let line = |value: &Value| format!("{value}\n");
        let raw: Vec<Value> = entries
            .iter()
            .map(|entry| serde_json::to_value(&**entry))
            .collect::<Result<_, _>>()?;
        let trace = folder.join("journal.jsonl");
        fs_err::write(&trace, raw.iter().map(line).collect::<String>())?;
        let mut redactor = Redactor::new(root, &scenario.file.redact);
        let canonical = canonical_journal(entries, &mut redactor);
        let canonical: String = canonical.iter().map(line).collect();
        fs_err::write(folder.join("canonical.jsonl"), canonical)?;
        Ok(trace)
    }
}

/// The name of a scenario as a relative path.
fn folder_name(name: &str) -> PathBuf {
    let plain = |letter: char| {
        if letter.is_alphanumeric() || "/-_.".contains(letter) {
            letter
        } else {
            '_'
        }
    };
    let name: String = name.chars().map(plain).collect();
    let parts = Path::new(&name).components();
    parts
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect()
}

/// What went wrong so far.
#[derive(Debug, Default)]
struct Found {
    failures: Vec<Failure>,
    broke: Option<String>,
}

impl Found {
    fn add(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Failed(failure) => {
                // The end of a scenario may tell again what a step has told already.
                let told =
                    |known: &Failure| known.notes == failure.notes && !known.notes.is_empty();
                if !self.failures.iter().any(told) {
                    self.failures.push(*failure);
                }
            }
            Trouble::Broke(error) => {
                self.broke.get_or_insert_with(|| chain(&error));
            }
        }
    }

    fn is_nothing(&self) -> bool {
        self.failures.is_empty() && self.broke.is_none()
    }

    /// A failure of nanokimi explains why we could not go on; without one, we broke.
    fn verdict(self) -> Verdict {
        match (self.failures.is_empty(), self.broke) {
            (false, _) => Verdict::Failed(self.failures),
            (true, Some(broke)) => Verdict::Broke(broke),
            (true, None) => Verdict::Passed,
        }
    }
}

fn left_over(struck: &Struck, was_running: bool) -> Vec<Failure> {
    let mut failures = Vec::new();
    match (struck.ended, was_running) {
        (Some(Ended::Code(0)), _) | (None, false) => {}
        (Some(ended), _) => {
            let headline = format!("nanokimi did not end well when the scenario was over: {ended}");
            failures.push(Failure::new(headline));
        }
        (None, true) => {
            let headline = "nanokimi did not end on SIGTERM when the scenario was over";
            failures.push(Failure::new(headline));
        }
    }
    for Leak { pid, command } in &struck.leaks {
        let headline = "a process of nanokimi outlived it";
        failures.push(Failure::new(headline).note(format!("{pid}: {command}")));
    }
    failures
}
