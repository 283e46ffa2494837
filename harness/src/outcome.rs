//! One scenario from beginning to end: set the stage, play, judge, strike.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use mock_server::yaml::Source;
use mock_server::{Entry, Journal};
use serde_json::Value;
use tokio::time::timeout;

use crate::chain::chain;
use crate::failure::{Failure, Trouble};
use crate::judge::final_word;
use crate::play::{Play, Snapshots};
use crate::record::{Redactor, canonical_journal};
use crate::scenario::{Lapse, Scenario};
use crate::stage::{Closed, Ended, Leak, Means, Stage, StageError, TO_REST};

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

impl Outcome {
    /// nanokimi's folder, if it was kept.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.kept.as_deref()
    }

    /// The journal as a file, if it was written; beside it lies the one without what differs
    /// from run to run, `canonical.jsonl`.
    #[must_use]
    pub fn trace(&self) -> Option<&Path> {
        self.trace.as_deref()
    }
}

/// What a scenario says about nanokimi, or about us.
#[derive(Debug)]
pub enum Verdict {
    Passed,
    /// First cause first.
    Failed(Vec<Failure>),
    Broke(String),
}

impl Verdict {
    /// Without the secrets that the journal hides: reports are uploaded by CI, too.
    fn masked(self, journal: &Journal) -> Self {
        let mask = |text: String| journal.masked(&text);
        let masked = |failure: Failure| Failure {
            headline: mask(failure.headline),
            notes: failure.notes.into_iter().map(mask).collect(),
            help: failure.help.map(mask),
            ..failure
        };
        match self {
            Self::Passed => Self::Passed,
            Self::Failed(failures) => Self::Failed(failures.into_iter().map(masked).collect()),
            Self::Broke(error) => Self::Broke(mask(error)),
        }
    }
}

/// The longest nanokimi may take to come to rest when the story is told. It gives up by itself
/// a little earlier, and says what it is still at.
const REST: Duration = TO_REST.saturating_add(Duration::from_secs(2));
/// The longest the end of nanokimi and of all that it started may take, with every grace.
const END: Duration = Duration::from_secs(30);
/// The longest the mocks may take to end.
const STRIKE: Duration = Duration::from_secs(5);

/// All that comes after the last step.
pub(crate) const LONGEST_END: Duration = REST.saturating_add(END).saturating_add(STRIKE);

/// Waits for a part of the ending, which has its deadline as every step has.
async fn within<T>(
    limit: Duration,
    what: &str,
    ending: impl Future<Output = T>,
) -> Result<T, Failure> {
    timeout(limit, ending).await.map_err(|_elapsed| {
        let lapse = Lapse::new(limit);
        Failure::new(format!("{what} within {lapse}"))
    })
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
        let limit = self.means.leisurely(scenario.timeout());
        for trouble in play.perform(limit).await {
            found.add(trouble);
        }
        // It holds the whole stage, which is no small thing to carry about.
        Box::pin(self.conclude(scenario, play, found, began)).await
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
            let limit = play.stage.leisurely(REST);
            let resting = within(limit, "nanokimi did not come to rest", play.rest());
            match resting.await {
                Ok(rested) => rested.into_iter().for_each(|trouble| found.add(trouble)),
                Err(restless) => found.add(restless.into()),
            }
        }
        if let Err(error) = play.stage.mock().caught_up().await {
            found.add(error.into());
        }
        let clock = play.stage.journal().now();
        let journal = play.stage.journal().clone();
        let root = play.stage.first_root().to_owned();
        let played = journal.entries();
        // How it ends is judged as well, so it is ended before the last word.
        judge_end(scenario, &mut play.stage, &mut found).await;
        let failed = !found.is_nothing();
        let keep = match self.keep {
            Keep::All => true,
            Keep::Failed => failed,
            Keep::None => false,
        };
        let mock_log = play.stage.mock_log();
        let kept = self.strike(play.stage, keep, &mut found).await;
        let entries = journal.entries();
        let write = self.trace_all || !found.is_nothing();
        let trace =
            match write.then(|| self.write_trace(scenario, &entries, &root, mock_log.as_deref())) {
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
            verdict: found.verdict().masked(&journal),
            clock,
            seed: self.seed,
            source: Arc::clone(&scenario.source),
            played,
            trace,
            kept,
        }
    }

    /// Takes all away but what is to be kept, and says where that is.
    async fn strike(&self, stage: Stage, keep: bool, found: &mut Found) -> Option<PathBuf> {
        let limit = self.means.leisurely(STRIKE);
        let striking = Box::pin(stage.strike(keep));
        match within(limit, "the mocks did not end", striking).await {
            Ok(Ok(kept)) => kept,
            Ok(Err(error)) => {
                found.add(error.into());
                None
            }
            Err(stuck) => {
                found.add(StageError::Stuck(stuck.headline).into());
                None
            }
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
        mock_log: Option<&str>,
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
        if let Some(log) = mock_log {
            fs_err::write(folder.join("mock.log"), log)?;
        }
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
        // Where we broke ourselves, what nanokimi seems to have failed at is only a consequence.
        match (self.broke, self.failures.is_empty()) {
            (Some(broke), _) => Verdict::Broke(broke),
            (None, false) => Verdict::Failed(self.failures),
            (None, true) => Verdict::Passed,
        }
    }
}

/// Ends nanokimi and looks at all that it left, also on its way out.
async fn judge_end(scenario: &Scenario, stage: &mut Stage, found: &mut Found) {
    let running = stage.api().is_some();
    let limit = stage.leisurely(END);
    let closing = within(limit, "nanokimi did not end", stage.close()).await;
    let judged = final_word(scenario, stage).await;
    let left = match closing {
        Ok(closed) => closed.map(|closed| left_over(&closed, running)),
        Err(endless) => Ok(vec![endless]),
    };
    for judged in [judged, left] {
        match judged {
            Ok(failures) => failures
                .into_iter()
                .for_each(|failure| found.add(failure.into())),
            Err(error) => found.add(error.into()),
        }
    }
}

fn left_over(closed: &Closed, was_running: bool) -> Vec<Failure> {
    let mut failures = Vec::new();
    match (closed.ended, was_running) {
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
    for Leak { pid, command } in &closed.leaks {
        let headline = "a process of nanokimi outlived it";
        failures.push(Failure::new(headline).note(format!("{pid}: {command}")));
    }
    for agent in &closed.agents {
        let headline = "the container of an agent outlived nanokimi";
        failures.push(Failure::new(headline).note(format!("{}: {}", agent.name, agent.status)));
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_ending_that_does_not_come_is_told() {
        let ending = std::future::pending::<()>();
        let limit = Duration::from_secs(60);
        let told = timeout(limit, within(REST, "it did not end", ending)).await;
        let told = told.unwrap().unwrap_err();
        assert_eq!(told.headline, "it did not end within 22s");
    }

    #[test]
    fn a_verdict_tells_no_secret() {
        let journal = Journal::open();
        journal.hide("sk-1");
        let failure = Failure::new("heard sk-1").note("sk-1").help("not sk-1");
        let verdict = Verdict::Failed(vec![failure]).masked(&journal);
        assert!(!format!("{verdict:?}").contains("sk-1"), "{verdict:?}");
    }
}
