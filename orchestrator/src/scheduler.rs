//! Wakes agents at their tasks' instants.
//!
//! A due task is claimed in the store (its next run moved on, its run queued) before anything
//! is dispatched; the group queue then treats it like any other work.
//!
//! At the start, and when the clock has been set back, each task is looked at whether its next run
//! is still where it belongs: the clock it was chosen by, or the zone, may be others now.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock::{Busy, Work};
use crate::events::{Event, TaskChange};
use crate::group_queue::GroupQueue;
use crate::house::House;
use crate::schedule::{Displaced, Schedule};
use crate::store::{DueTask, RunAhead, StoreError, Task};

/// Commands of the same installation may change tasks beside us, so look at least this often.
const LONGEST_LOOK: Duration = Duration::from_secs(60);

/// The way to tell the scheduler that tasks have changed.
#[derive(Clone, Debug)]
pub(crate) struct Scheduler {
    changed: mpsc::Sender<Busy>,
}

/// The scheduler's own end, to be served by one task.
#[derive(Debug)]
pub(crate) struct Changes(mpsc::Receiver<Busy>);

impl Scheduler {
    #[must_use]
    pub(crate) fn new() -> (Self, Changes) {
        let (changed, changes) = mpsc::channel(16);
        (Self { changed }, Changes(changes))
    }

    /// Tasks have changed. A stopped scheduler reads them at its next start.
    pub(crate) async fn tasks_changed(&self, busy: Busy) {
        let (Ok(()) | Err(_)) = self.changed.send(busy).await;
    }
}

/// Serves the schedule until it is told to stop.
pub(crate) async fn serve(
    Changes(mut changes): Changes,
    house: House,
    queue: GroupQueue,
    stop: CancellationToken,
) {
    tracing::info!("Scheduler loop started");
    let mut awake = Some(house.clock.busy(Work::Scheduler));
    let mut bearings = Bearings::default();
    loop {
        let next = match look(&house, &queue, &mut bearings).await {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(error = crate::chain(&error), "the schedule cannot be read");
                None
            }
        };
        let latest = house.clock.after(LONGEST_LOOK);
        let mut timer = house
            .clock
            .timer(Some(next.map_or(latest, |next| next.min(latest))));
        drop(awake.take());
        tokio::select! {
            () = stop.cancelled() => return,
            Some(busy) = changes.recv() => awake = Some(busy),
            busy = timer.fired() => awake = Some(busy),
        }
    }
}

/// What the scheduler knows of the clock.
#[derive(Default)]
struct Bearings {
    /// When it last looked.
    looked: Option<Timestamp>,
    /// What has been run of the time that comes again.
    ahead: Arc<RunAhead>,
}

/// Queues what is due and returns when something will be next.
async fn look(
    house: &House,
    queue: &GroupQueue,
    bearings: &mut Bearings,
) -> Result<Option<Timestamp>, StoreError> {
    let now = house.clock.now();
    let is_lost = bearings.looked.is_none_or(|before| now < before);
    if is_lost && let Err(error) = take_bearings(house, now, bearings).await {
        // What is due is due all the same; where it belongs is looked for again.
        tracing::error!(
            error = crate::chain(&error),
            "it cannot be seen whether each task's next run is where it belongs"
        );
        bearings.looked = None;
    } else {
        bearings.looked = Some(now);
    }
    dispatch_due(house, queue, now, bearings.ahead.clone()).await?;
    house.store.next_due().await
}

/// Looks at what has been run of the time to come, and where each task stands.
async fn take_bearings(
    house: &House,
    now: Timestamp,
    bearings: &mut Bearings,
) -> Result<(), StoreError> {
    bearings.ahead = Arc::new(house.store.run_ahead(now).await?);
    put_right(house, now, bearings.ahead.clone()).await
}

/// Moves what does not stand where it belongs, and tells so.
async fn put_right(house: &House, now: Timestamp, ahead: Arc<RunAhead>) -> Result<(), StoreError> {
    let zone = house.config.time_zone.clone();
    let none = BTreeSet::new();
    let belongs = move |task: &Task, stands| {
        let had = ahead.get(&task.id).unwrap_or(&none);
        match Schedule::parse(task.schedule_type, &task.schedule_value, &zone, now) {
            Ok(schedule) => schedule.belongs(stands, now, had),
            // It is paused, and told of, when it is due.
            Err(_unreadable) => None,
        }
    };
    for moved in house.store.put_right(belongs).await? {
        let why = match moved.reason {
            Displaced::Clock => "the clock was set back",
            Displaced::Zone => "the time zone is another one",
        };
        tracing::warn!(
            task = %moved.task, group = %moved.group, was = %moved.was, next_run = %moved.next_run,
            "{why}: the task's next run is moved"
        );
        house.events.tell(Event::TaskMoved(moved));
    }
    Ok(())
}

async fn dispatch_due(
    house: &House,
    queue: &GroupQueue,
    now: Timestamp,
    ahead: Arc<RunAhead>,
) -> Result<(), StoreError> {
    let zone = house.config.time_zone.clone();
    let none = BTreeSet::new();
    let due = house
        .store
        .claim_due(now, move |task: &Task, due_at| {
            let schedule = Schedule::parse(task.schedule_type, &task.schedule_value, &zone, due_at)
                .map_err(|error| crate::chain(&error))?;
            let had = ahead.get(&task.id).unwrap_or(&none);
            Ok(schedule.next_but(due_at, now, had))
        })
        .await?;
    for task in due {
        tell(house, &task);
        if task.run.is_some() {
            let busy = house.clock.busy(Work::Scheduler);
            queue.arrived(task.group.clone(), busy).await;
        }
    }
    Ok(())
}

fn tell(house: &House, due: &DueTask) {
    if let Some(broken) = &due.broken {
        tracing::error!(task = %due.task, group = %due.group, "the task's schedule cannot be read any more, so it is paused: {broken}");
        return;
    }
    let Some(run) = &due.run else {
        tracing::info!(task = %due.task, "the task is due again while it waits for its turn; it runs once");
        return;
    };
    house.events.tell(Event::TaskDue {
        task: due.task.clone(),
        group: due.group.clone(),
        run: run.clone(),
        due_at: due.due_at,
        next_run: due.next_run,
    });
    if due.next_run.is_none() {
        house.events.tell(Event::TaskChanged {
            change: TaskChange::Completed,
            task: due.task.clone(),
            group: due.group.clone(),
            next_run: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use agent_protocol::{ContextMode, ScheduleType};

    use super::*;
    use crate::ids::ChatJid;
    use crate::store::{NewGroup, NewTask, TriggerRule};

    async fn schedule(house: &House, id: &str) {
        let now = house.clock.now();
        let new = NewTask {
            id: id.parse().unwrap(),
            group: "ada".parse().unwrap(),
            prompt: "water the plants".to_owned(),
            schedule_type: ScheduleType::Interval,
            schedule_value: "1h".to_owned(),
            context_mode: ContextMode::Isolated,
            next_run: now,
        };
        assert!(house.store.create_task(new, None, now).await.unwrap());
    }

    #[tokio::test]
    async fn a_task_that_cannot_be_read_does_not_hold_up_the_others() {
        let root = tempfile::tempdir().unwrap();
        let house = House::staged(root.path(), "");
        let ada = NewGroup {
            folder: "ada".parse().unwrap(),
            chat: ChatJid::http("ada").unwrap(),
            name: "Ada".to_owned(),
            trigger: TriggerRule::Always,
            is_main: false,
        };
        let now = house.clock.now();
        house.store.register_group(ada, now).await.unwrap();
        for id in ["paused", "due", "whole"] {
            schedule(&house, id).await;
        }
        let beside = rusqlite::Connection::open(root.path().join("store/messages.db")).unwrap();
        for broken in [
            "UPDATE tasks SET next_run = 'one day', status = 'paused' WHERE id = 'paused'",
            "UPDATE tasks SET next_run = '2000, or so' WHERE id = 'due'",
        ] {
            assert_eq!(beside.execute(broken, []).unwrap(), 1);
        }
        let (queue, mut arrivals) = GroupQueue::new();

        let mut bearings = Bearings::default();
        let next = look(&house, &queue, &mut bearings).await.unwrap();

        assert_eq!(arrivals.so_far(), ["ada"]);
        assert_eq!(next, Some(now + Duration::from_secs(3600)));
        assert_eq!(bearings.looked, Some(now));
        let told = "SELECT status || ': ' || last_result FROM tasks WHERE id = 'due'";
        let told: String = beside.query_row(told, [], |row| row.get(0)).unwrap();
        assert!(
            told.starts_with("paused: ") && told.contains("`next_run` cannot be read"),
            "{told}"
        );
    }
}
