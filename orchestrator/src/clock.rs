//! What time it is, and when everything that it set off has settled.
//!
//! Schedules, back-off and retries ask this clock. In production it is the machine's; under
//! `--test-clock` it stands still until it is told to move, and a move is over only when all
//! work it woke has come to rest. Sockets and processes keep to real time elsewhere.
//!
//! A clock may be set back. Then nobody knows how long a wait has lasted, so all waits end, and
//! whoever waited looks anew: see [`Timer::due_until`], and [`LastLook`] for who waits for many
//! things and is woken by others too.

mod look;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{oneshot, watch};

pub(crate) use look::LastLook;

/// The machine's clock may be set while we wait, so no wait trusts it for longer.
const LONGEST_TRUST: Duration = Duration::from_secs(30);

/// A handle to the one clock of the process.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    kind: Kind,
    quiet: Arc<Quiet>,
}

#[derive(Clone, Debug)]
enum Kind {
    System,
    Test(Arc<Mutex<TestTime>>),
}

#[derive(Debug)]
struct TestTime {
    now: Timestamp,
    /// Keyed by instant, then by order of setting, so that equal instants fire in a fixed order.
    timers: BTreeMap<(Timestamp, u64), oneshot::Sender<Busy>>,
    set: u64,
}

/// What is still at work, by name.
#[derive(Debug)]
struct Quiet {
    working: watch::Sender<BTreeMap<Work, usize>>,
}

/// The kinds of work that a settled orchestrator has none of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    Intake,
    Channel,
    Run,
    Outbox,
    Ipc,
    Scheduler,
    Workspace,
    Timer,
}

impl Work {
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Channel => "channel",
            Self::Run => "agent run",
            Self::Outbox => "outbox",
            Self::Ipc => "IPC watcher",
            Self::Scheduler => "scheduler",
            Self::Workspace => "workspace",
            Self::Timer => "timer",
        }
    }
}

/// Held by whatever is at work; hand it on with the work, drop it when the work is done.
#[derive(Debug)]
pub(crate) struct Busy {
    work: Work,
    quiet: Arc<Quiet>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.quiet.working.send_modify(|working| {
            if let Some(count) = working.get_mut(&self.work) {
                *count -= 1;
                if *count == 0 {
                    working.remove(&self.work);
                }
            }
        });
    }
}

/// A wait that is already registered, so that nothing can be missed before it is awaited.
#[derive(Debug)]
pub(crate) struct Timer {
    clock: Clock,
    set_at: Timestamp,
    waiting: Waiting,
}

#[derive(Debug)]
enum Waiting {
    System(Timestamp),
    Test(oneshot::Receiver<Busy>),
    Never,
}

impl Timer {
    /// Returns when the instant has come, or the clock was set back, with the proof that this work
    /// is not settled yet.
    pub(crate) async fn fired(&mut self) -> Busy {
        match &mut self.waiting {
            Waiting::System(at) => {
                wait_until(*at, Timestamp::now).await;
                self.clock.busy(Work::Timer)
            }
            Waiting::Test(fired) => match fired.await {
                Ok(busy) => busy,
                // The clock is gone, and with it the process: nothing fires any more.
                Err(_clock_gone) => std::future::pending().await,
            },
            Waiting::Never => std::future::pending().await,
        }
    }

    /// Up to which instant things are due when it has fired: now; or, if the clock was set back
    /// since it was set, the end of time, so that nothing waits for an hour a second time.
    #[must_use]
    pub(crate) fn due_until(&self) -> Timestamp {
        let now = self.clock.now();
        if now < self.set_at {
            Timestamp::MAX
        } else {
            now
        }
    }
}

/// Waits until a clock shows the instant, or is seen to have been set back.
async fn wait_until(at: Timestamp, clock: impl Fn() -> Timestamp) {
    let mut seen = clock();
    while let Ok(left) = Duration::try_from(at.duration_since(seen)) {
        if left.is_zero() {
            break;
        }
        tokio::time::sleep_until(tokio::time::Instant::now() + left.min(LONGEST_TRUST)).await;
        let now = clock();
        if now < seen {
            break;
        }
        seen = now;
    }
}

/// Where a move of the test clock came to rest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub now: Timestamp,
    /// What was still at work when patience ran out; empty when all has settled.
    pub busy: Vec<&'static str>,
}

/// How far to move, and how long to wait for the work it sets off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Move {
    pub to: Timestamp,
    /// Real time allowed for each wait until quiet.
    pub patience: Duration,
    /// Do not wait for agent runs: they may be held by whoever moves the clock.
    pub leave_runs: bool,
}

impl Clock {
    #[must_use]
    pub(crate) fn system() -> Self {
        Self::of(Kind::System)
    }

    /// A clock that stands at `now` until [`Clock::advance`] moves it.
    #[must_use]
    pub(crate) fn test(now: Timestamp) -> Self {
        Self::of(Kind::Test(Arc::new(Mutex::new(TestTime {
            now,
            timers: BTreeMap::new(),
            set: 0,
        }))))
    }

    fn of(kind: Kind) -> Self {
        let quiet = Arc::new(Quiet {
            working: watch::Sender::new(BTreeMap::new()),
        });
        Self { kind, quiet }
    }

    #[must_use]
    pub(crate) fn is_test(&self) -> bool {
        matches!(self.kind, Kind::Test(_))
    }

    #[must_use]
    pub(crate) fn now(&self) -> Timestamp {
        match &self.kind {
            Kind::System => Timestamp::now(),
            Kind::Test(time) => lock(time).now,
        }
    }

    /// `now` plus a span of this clock's time; saturates at the end of time.
    #[must_use]
    pub(crate) fn after(&self, span: Duration) -> Timestamp {
        let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
        self.now().checked_add(span).unwrap_or(Timestamp::MAX)
    }

    #[must_use]
    pub(crate) fn busy(&self, work: Work) -> Busy {
        self.quiet
            .working
            .send_modify(|working| *working.entry(work).or_default() += 1);
        Busy {
            work,
            quiet: Arc::clone(&self.quiet),
        }
    }

    /// Registers a wait at once; none never fires.
    #[must_use]
    pub(crate) fn timer(&self, at: Option<Timestamp>) -> Timer {
        let waiting = match (at, &self.kind) {
            (None, _) => Waiting::Never,
            (Some(at), Kind::System) => Waiting::System(at),
            (Some(at), Kind::Test(time)) => {
                let (fire, fired) = oneshot::channel();
                let mut time = lock(time);
                if at <= time.now {
                    // Already due: firing needs nobody to move the clock.
                    let (Ok(()) | Err(_)) = fire.send(self.busy(Work::Timer));
                } else {
                    let order = time.set;
                    time.set += 1;
                    time.timers.insert((at, order), fire);
                }
                Waiting::Test(fired)
            }
        };
        Timer {
            clock: self.clone(),
            set_at: self.now(),
            waiting,
        }
    }

    /// Moves the test clock: each due timer is fired at its own instant and its work waited
    /// for before the next. Does nothing but settle on the system clock.
    pub(crate) async fn advance(&self, to: Move) -> Moved {
        loop {
            let busy = self.settle(to).await;
            let fired = busy.is_empty() && self.fire_next(to.to);
            if !fired {
                return Moved {
                    now: self.now(),
                    busy,
                };
            }
        }
    }

    /// Sets the test clock back: then each wait ends, in the order of their instants, and its work
    /// is waited for before the next.
    pub(crate) async fn set_back(&self, to: Move) -> Moved {
        let mut busy = self.settle(to).await;
        if busy.is_empty() {
            for wait in self.turn_back(to.to) {
                // Each must be told; a timer whose task has moved on is not a reason to wait.
                let woken = wait.send(self.busy(Work::Timer)).is_ok();
                if woken && busy.is_empty() {
                    busy = self.settle(to).await;
                }
            }
        }
        Moved {
            now: self.now(),
            busy,
        }
    }

    /// Sets the test clock back as a machine's is: nobody who waits has noticed it yet.
    #[cfg(test)]
    pub(crate) fn set_back_unnoticed(&self, to: Timestamp) {
        drop(self.turn_back(to));
    }

    /// Shows an earlier instant, and gives up all timers.
    fn turn_back(&self, to: Timestamp) -> Vec<oneshot::Sender<Busy>> {
        let Kind::Test(time) = &self.kind else {
            return Vec::new();
        };
        let mut time = lock(time);
        time.now = time.now.min(to);
        std::mem::take(&mut time.timers).into_values().collect()
    }

    /// Fires the earliest timer up to `to`, or moves there; says whether there is more to wait for.
    fn fire_next(&self, to: Timestamp) -> bool {
        let Kind::Test(time) = &self.kind else {
            return false;
        };
        let mut time = lock(time);
        while let Some((&(at, order), _)) = time.timers.first_key_value() {
            if at > to {
                break;
            }
            let fire = time.timers.remove(&(at, order));
            time.now = time.now.max(at);
            // A timer whose task has moved on is not a reason to wait.
            if fire.is_some_and(|fire| fire.send(self.busy(Work::Timer)).is_ok()) {
                return true;
            }
        }
        time.now = time.now.max(to);
        false
    }

    /// Waits until nothing is at work; returns what still is when patience runs out.
    async fn settle(&self, to: Move) -> Vec<&'static str> {
        let mut working = self.quiet.working.subscribe();
        let is_quiet = |working: &BTreeMap<Work, usize>| {
            working
                .keys()
                .all(|work| to.leave_runs && *work == Work::Run)
        };
        let quiet = working.wait_for(is_quiet);
        match tokio::time::timeout(to.patience, quiet).await {
            Ok(_quiet) => Vec::new(),
            Err(_elapsed) => self
                .quiet
                .working
                .borrow()
                .keys()
                .map(|work| work.name())
                .collect(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds the time, so a poisoned lock still holds a whole one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn to(text: &str) -> Move {
        Move {
            to: at(text),
            patience: Duration::from_secs(5),
            leave_runs: false,
        }
    }

    #[tokio::test]
    async fn timers_fire_in_order_each_at_its_own_instant() {
        let clock = Clock::test(at("2026-01-05T09:00:00Z"));
        let mut tasks = JoinSet::new();
        let ticking = clock.clone();
        let mut timer = clock.timer(Some(clock.after(Duration::from_secs(60))));
        tasks.spawn(async move {
            let mut seen = Vec::new();
            for _ in 0..3 {
                let awake = timer.fired().await;
                seen.push(ticking.now().to_string());
                timer = ticking.timer(Some(ticking.after(Duration::from_secs(60))));
                drop(awake);
            }
            seen
        });

        let moved = clock.advance(to("2026-01-05T09:03:30Z")).await;

        assert_eq!(moved.now, at("2026-01-05T09:03:30Z"));
        assert_eq!(
            tasks.join_next().await.unwrap().unwrap(),
            [
                "2026-01-05T09:01:00Z",
                "2026-01-05T09:02:00Z",
                "2026-01-05T09:03:00Z"
            ],
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_move_that_cannot_settle_says_who_is_at_work() {
        let clock = Clock::test(at("2026-01-05T09:00:00Z"));
        let _run = clock.busy(Work::Run);

        let moved = clock.advance(to("2026-01-05T10:00:00Z")).await;

        assert_eq!(moved.busy, ["agent run"]);
        assert_eq!(moved.now, at("2026-01-05T09:00:00Z"));
    }

    #[tokio::test]
    async fn runs_can_be_left_at_work_while_time_moves() {
        let clock = Clock::test(at("2026-01-05T09:00:00Z"));
        let _run = clock.busy(Work::Run);
        let mut moving = to("2026-01-05T10:00:00Z");
        moving.leave_runs = true;

        assert_eq!(clock.advance(moving).await.now, at("2026-01-05T10:00:00Z"));
    }

    /// Until when each timer was due that fired, up to the one that was due when it fired; each is
    /// set a minute ahead when the one before has fired.
    async fn fired_until_now(clock: Clock, mut timer: Timer) -> Vec<Timestamp> {
        let mut due = Vec::new();
        while due.last() != Some(&clock.now()) {
            let awake = timer.fired().await;
            due.push(timer.due_until());
            timer = clock.timer(Some(clock.after(Duration::from_secs(60))));
            drop(awake);
        }
        due
    }

    #[tokio::test]
    async fn whoever_waits_looks_anew_when_the_clock_is_set_back() {
        let clock = Clock::test(at("2026-01-05T09:00:00Z"));
        let mut tasks = JoinSet::new();
        for minutes in [2, 1] {
            let timer = clock.timer(Some(clock.after(Duration::from_secs(60 * minutes))));
            tasks.spawn(fired_until_now(clock.clone(), timer));
        }
        let moved = clock.set_back(to("2026-01-05T08:00:00Z")).await;
        assert_eq!(moved.now, at("2026-01-05T08:00:00Z"));
        assert_eq!(moved.busy, [""; 0]);

        clock.advance(to("2026-01-05T08:01:00Z")).await;

        while let Some(due) = tasks.join_next().await {
            let in_step = at("2026-01-05T08:01:00Z");
            assert_eq!(due.unwrap(), [Timestamp::MAX, in_step]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_on_the_machines_clock_ends_when_it_is_set_back() {
        let shown = ["10:00:00", "10:00:30", "09:01:00", "09:01:30"];
        let shown = Mutex::new(shown.into_iter());
        let clock = || {
            let next = lock(&shown).next().unwrap();
            at(&format!("2026-01-05T{next}Z"))
        };
        wait_until(at("2026-01-05T10:05:00Z"), clock).await;
        assert_eq!(lock(&shown).next(), Some("09:01:30"));
    }

    #[tokio::test]
    async fn a_timer_that_nobody_awaits_any_more_is_skipped() {
        let clock = Clock::test(at("2026-01-05T09:00:00Z"));
        drop(clock.timer(Some(at("2026-01-05T09:01:00Z"))));

        assert_eq!(
            clock.advance(to("2026-01-05T09:02:00Z")).await.busy,
            [""; 0]
        );
    }
}
