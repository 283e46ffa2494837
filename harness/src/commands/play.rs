//! `harness run`: which scenarios are played on which forms of the stage, and how long each took.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use harness::{Form, Keep, Performance, Scenario, Snapshots, Verdict, told};

use super::means::{Programs, prepare};
use super::order::Shuffle;
use super::{CommandError, Exit, read_all, some_chosen};

#[derive(Debug)]
pub(crate) struct RunOptions {
    pub(crate) folder: PathBuf,
    pub(crate) which: Vec<String>,
    pub(crate) tag: Option<String>,
    /// One after the other.
    pub(crate) stages: Vec<Form>,
    pub(crate) jobs: Option<NonZeroUsize>,
    pub(crate) times: NonZeroUsize,
    pub(crate) shuffle: Option<Shuffle>,
    pub(crate) keep: bool,
    pub(crate) snapshots: Snapshots,
    pub(crate) seed: u64,
    pub(crate) traces: PathBuf,
    pub(crate) programs: Programs,
}

/// How many scenarios ended how.
#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
    broke: usize,
    not_played: usize,
    /// How often each did not pass that did not always.
    fell: BTreeMap<(Form, String), usize>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.broke += other.broke;
        self.not_played += other.not_played;
        for (which, times) in other.fell {
            *self.fell.entry(which).or_default() += times;
        }
    }
}

/// How long each scenario took on each form.
type Times = BTreeMap<String, BTreeMap<Form, Duration>>;

/// Plays the chosen scenarios, several at a time.
pub(crate) fn run(options: &RunOptions) -> Result<Exit, CommandError> {
    let files = some_chosen(&options.folder, &options.which)?;
    let mut tally = Tally::default();
    let mut times = Times::new();
    let mut wrong = 0;
    if let Some(shuffle) = options.shuffle {
        let seed = shuffle.seed();
        writeln!(
            io::stdout(),
            "shuffled; these orders again: --shuffle={seed}"
        )?;
    }
    let rounds = options.times.get();
    let plays =
        (1..=rounds).flat_map(|round| options.stages.iter().map(move |form| (round, *form)));
    for (round, form) in plays {
        match (rounds, options.stages.len()) {
            (1, 1) => {}
            (1, _) => writeln!(io::stdout(), "== {form}")?,
            (_, _) => writeln!(io::stdout(), "== {form}, {round} of {rounds}")?,
        }
        let (scenarios, mistaken) = read_all(&files, &mut io::stdout().lock())?;
        wrong = mistaken;
        let wanted = |scenario: &Scenario| match &options.tag {
            Some(tag) => scenario.tags().contains(tag),
            None => true,
        };
        let mut scenarios: VecDeque<Scenario> = scenarios.into_iter().filter(wanted).collect();
        if let Some(shuffle) = options.shuffle {
            scenarios = shuffle.order(round, scenarios);
        }
        if let (Some(tag), true) = (&options.tag, scenarios.is_empty()) {
            return Err(CommandError::NoSuchTag(tag.clone()));
        }
        tally.add(play_on((form, round), scenarios, options, &mut times)?);
    }
    let mut out = io::stdout().lock();
    if options.stages.len() > 1 {
        side_by_side(&options.stages, &times, &mut out)?;
    }
    if rounds > 1 {
        for ((form, name), times) in &tally.fell {
            writeln!(
                out,
                "did not pass {times} of {rounds} times on {form}: {name}"
            )?;
        }
    }
    summary(&tally, wrong, &mut out)?;
    let exits = [
        (tally.broke > 0, Exit::Broke),
        (wrong > 0, Exit::Wrong),
        (tally.failed > 0, Exit::Failed),
    ];
    let worst = exits.into_iter().find(|(applies, _)| *applies);
    Ok(worst.map_or(Exit::Passed, |(_, exit)| exit))
}

/// Plays all that can be played on this form of the stage, and says what cannot.
fn play_on(
    (form, round): (Form, usize),
    mut scenarios: VecDeque<Scenario>,
    options: &RunOptions,
    times: &mut Times,
) -> Result<Tally, CommandError> {
    let all = scenarios.len();
    for scenario in scenarios.iter().filter(|scenario| !scenario.plays_on(form)) {
        writeln!(io::stdout(), "skip {}: not on this stage", scenario.name())?;
    }
    scenarios.retain(|scenario| scenario.plays_on(form));
    let processors = thread::available_parallelism().map_or(2, NonZeroUsize::get);
    let jobs = options.jobs.map_or(processors, NonZeroUsize::get);
    let jobs = jobs.min(scenarios.len().max(1));
    let crowding = crowding(jobs, processors);
    let means = prepare(form, &options.programs, &mut scenarios, crowding)?;
    let performance = Performance {
        means,
        // Of each round its own, since the one that failed is wanted.
        traces: match options.times.get() {
            1 => options.traces.clone(),
            _several => options.traces.join(format!("{form}-{round}")),
        },
        trace_all: true,
        keep: if options.keep {
            Keep::All
        } else {
            Keep::Failed
        },
        snapshots: options.snapshots,
        seed: options.seed,
    };
    let not_played = all - scenarios.len();
    Ok(Tally {
        not_played,
        ..play_all(scenarios, &performance, jobs, times)?
    })
}

/// How many share a processor, when so many scenarios play at the same time.
fn crowding(jobs: usize, processors: usize) -> NonZeroU32 {
    let many = u32::try_from(jobs.div_ceil(processors.max(1))).unwrap_or(u32::MAX);
    NonZeroU32::new(many).unwrap_or(NonZeroU32::MIN)
}

fn play_all(
    scenarios: VecDeque<Scenario>,
    performance: &Performance,
    jobs: usize,
    times: &mut Times,
) -> io::Result<Tally> {
    let form = performance.means.ground.form();
    let waiting = Mutex::new(scenarios);
    let tally = Mutex::new((Tally::default(), times));
    let next = || {
        waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    };
    // Each scenario is played on one thread from beginning to end, which nanokimi's life
    // hangs on.
    let work = || -> io::Result<()> {
        while let Some(scenario) = next() {
            let outcome = performance.play(&scenario)?;
            io::stdout().lock().write_all(told(&outcome).as_bytes())?;
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            let (tally, times) = &mut *tally;
            if !matches!(outcome.verdict, Verdict::Passed) {
                let which = (form, outcome.name.clone());
                *tally.fell.entry(which).or_default() += 1;
            }
            match outcome.verdict {
                Verdict::Passed => tally.passed += 1,
                Verdict::Failed(_) => tally.failed += 1,
                Verdict::Broke(_) => tally.broke += 1,
            }
            times
                .entry(outcome.name)
                .or_default()
                .insert(form, outcome.took);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        let ended = workers.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .map(|ended| ended.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked)))
            .collect::<io::Result<Vec<()>>>()
    })?;
    let (tally, _times) = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(tally)
}

/// A line for each scenario with its time on each form, then all that were played on all of them.
fn side_by_side(forms: &[Form], times: &Times, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "== milliseconds on {}", names(forms))?;
    let mut sums = vec![Duration::ZERO; forms.len()];
    for (name, took) in times {
        let cells = forms.iter().map(|form| match took.get(form) {
            Some(took) => took.as_millis().to_string(),
            None => "–".to_owned(),
        });
        let cells: Vec<String> = cells.collect();
        writeln!(out, "{} {name}", cells.join(" "))?;
        if forms.iter().all(|form| took.contains_key(form)) {
            for (sum, form) in sums.iter_mut().zip(forms) {
                *sum += took.get(form).copied().unwrap_or(Duration::ZERO);
            }
        }
    }
    let first = sums.first().copied().unwrap_or(Duration::ZERO);
    let ratio = |sum: &Duration| sum.as_secs_f64() / first.as_secs_f64().max(0.001);
    let cells = sums
        .iter()
        .map(|sum| format!("{} (×{:.1})", sum.as_millis(), ratio(sum)));
    let cells: Vec<String> = cells.collect();
    writeln!(out, "{} together, of those played on all", cells.join(" "))
}

fn names(forms: &[Form]) -> String {
    let names: Vec<&str> = forms.iter().map(|form| form.name()).collect();
    names.join(", ")
}

fn summary(tally: &Tally, wrong: usize, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{} passed", tally.passed)?;
    let others = [
        (tally.failed, "failed"),
        (tally.broke, "broke"),
        (wrong, "wrong"),
        (tally.not_played, "not played"),
    ];
    for (count, word) in others.into_iter().filter(|(count, _)| *count > 0) {
        write!(out, ", {count} {word}")?;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_called_late_for_sharing_a_processor() {
        let times = |jobs, processors| crowding(jobs, processors).get();
        assert_eq!(times(1, 2), 1);
        assert_eq!(times(2, 2), 1);
        assert_eq!(times(3, 2), 2);
        assert_eq!(times(6, 2), 3);
        assert_eq!(times(4, 64), 1);
    }

    #[test]
    fn times_stand_side_by_side_and_only_what_was_played_twice_is_added_up() {
        let took = |times: &[(Form, u64)]| {
            let times = times.iter();
            times
                .map(|(form, millis)| (*form, Duration::from_millis(*millis)))
                .collect::<BTreeMap<_, _>>()
        };
        let times = Times::from([
            (
                "a".into(),
                took(&[(Form::Process, 50), (Form::Docker, 100)]),
            ),
            ("b".into(), took(&[(Form::Process, 10)])),
        ]);
        let mut out = Vec::new();
        side_by_side(&[Form::Process, Form::Docker], &times, &mut out).unwrap();
        let told = String::from_utf8(out).unwrap();
        let expected = "== milliseconds on process, docker\n50 100 a\n10 – b\n50 (×1.0) 100 (×2.0) together, of those played on all\n";
        assert_eq!(told, expected);
    }
}
