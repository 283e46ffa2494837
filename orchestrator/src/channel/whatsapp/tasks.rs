//! The runtime that the client library is given: tokio's, with an owner.
//!
//! The library starts tasks of its own and lets go of them. Here they end with the channel, and
//! a panic in one of them is told and costs that one task. Its timers stay on real time: they
//! watch sockets.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use wacore::runtime::{AbortHandle, Runtime};

type Task = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// Gives tasks to the library.
#[derive(Clone, Debug)]
pub(super) struct OwnedTasks {
    tasks: TaskTracker,
    end: CancellationToken,
}

/// Ends the tasks when it is dropped.
#[derive(Debug)]
pub(super) struct TasksOwner {
    tasks: TaskTracker,
    end: DropGuard,
}

impl OwnedTasks {
    #[must_use]
    pub(super) fn new() -> (Self, TasksOwner) {
        let tasks = TaskTracker::new();
        let end = CancellationToken::new();
        let owner = TasksOwner {
            tasks: tasks.clone(),
            end: end.clone().drop_guard(),
        };
        (Self { tasks, end }, owner)
    }

    fn start(&self, task: Task) -> tokio::task::JoinHandle<()> {
        let end = self.end.clone();
        self.tasks.spawn(async move {
            let watched = AssertUnwindSafe(task).catch_unwind();
            if let Some(Err(_panic)) = end.run_until_cancelled(watched).await {
                // What it panicked with has been printed where it happened.
                tracing::error!("a task of the WhatsApp client panicked; the others go on");
            }
        })
    }
}

impl TasksOwner {
    /// Ends the tasks, and returns when they have ended.
    pub(super) async fn end(self) {
        let Self { tasks, end } = self;
        drop(end);
        tasks.close();
        tasks.wait().await;
    }
}

impl Runtime for OwnedTasks {
    fn spawn(&self, task: Task) -> AbortHandle {
        let handle = self.start(task);
        AbortHandle::new(move || handle.abort())
    }

    fn spawn_detached(&self, task: Task) {
        drop(self.start(task));
    }

    fn sleep(&self, span: Duration) -> Task {
        Box::pin(tokio::time::sleep_until(Instant::now() + span))
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) -> Task {
        let work = tokio::task::spawn_blocking(work);
        Box::pin(async move {
            if work.await.is_err() {
                tracing::error!("work of the WhatsApp client panicked");
            }
        })
    }

    fn yield_now(&self) -> Option<Task> {
        // We have one thread, and it serves HTTP and agents too.
        Some(Box::pin(tokio::task::yield_now()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn tasks_end_with_their_owner() {
        let (runtime, owner) = OwnedTasks::new();
        let (dropped, seen) = oneshot::channel::<()>();
        runtime.spawn_detached(Box::pin(async move {
            let _held_until_the_end = dropped;
            pending::<()>().await;
        }));

        owner.end().await;

        assert!(seen.await.is_err());
    }

    #[tokio::test]
    async fn a_panic_costs_one_task() {
        let (runtime, owner) = OwnedTasks::new();
        let (done, seen) = oneshot::channel();
        runtime.spawn_detached(Box::pin(async { panic!("on purpose") }));
        runtime.spawn_detached(Box::pin(async move { done.send(7).unwrap() }));

        assert_eq!(seen.await, Ok(7));
        owner.end().await;
    }
}
