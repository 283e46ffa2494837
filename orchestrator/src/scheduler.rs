//! Wakes agents at their tasks' instants.
//!
//! A due task is claimed in the store (its next run moved on, its run queued) before anything
//! is dispatched; the group queue then treats it like any other work.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock::{Busy, Work};
use crate::events::{Event, TaskChange};
use crate::group_queue::GroupQueue;
use crate::house::House;
use crate::schedule::Schedule;
use crate::store::{DueTask, StoreError, Task};

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
    loop {
        let next = match dispatch_due(&house, &queue).await {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(error = crate::chain(&error), "the schedule cannot be read");
                None
            }
        };
        let look = house.clock.after(LONGEST_LOOK);
        let mut timer = house
            .clock
            .timer(Some(next.map_or(look, |next| next.min(look))));
        drop(awake.take());
        tokio::select! {
            () = stop.cancelled() => return,
            Some(busy) = changes.recv() => awake = Some(busy),
            busy = timer.fired() => awake = Some(busy),
        }
    }
}

/// Queues what is due and returns when something will be next.
async fn dispatch_due(house: &House, queue: &GroupQueue) -> Result<Option<Timestamp>, StoreError> {
    let now = house.clock.now();
    let zone = house.config.time_zone.clone();
    let due = house
        .store
        .claim_due(now, move |task: &Task, due_at| {
            let schedule = Schedule::parse(task.schedule_type, &task.schedule_value, &zone, due_at)
                .map_err(|error| crate::chain(&error))?;
            Ok(schedule.next_after(due_at, now))
        })
        .await?;
    for task in due {
        tell(house, &task);
        if task.run.is_some() {
            let busy = house.clock.busy(Work::Scheduler);
            queue.arrived(task.group.clone(), busy).await;
        }
    }
    house.store.next_due().await
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
