//! Every long-lived task of the process, and the one way to end them.

use std::future::Future;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::channel::ChannelEnd;

/// The parts of a running orchestrator. A part returns its own name when it ends, and why if
/// it could not go on.
#[derive(Debug, Default)]
pub(crate) struct Running {
    parts: JoinSet<Ended>,
    stop: CancellationToken,
}

type Ended = (&'static str, Option<ChannelEnd>);

/// Why the orchestrator came to an end that nobody asked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the {0} ended on its own")]
    PartEnded(&'static str),
    #[error("{left} parts had not stopped after {grace:?}")]
    StillRunning { left: usize, grace: Duration },
    #[error(transparent)]
    Channel(#[from] ChannelEnd),
    #[error("told to stop a second time, so stopped without waiting")]
    Hurried,
}

impl Running {
    /// Cancelled when the parts are told to stop.
    pub(crate) fn stop_token(&self) -> CancellationToken {
        self.stop.child_token()
    }

    /// Starts a part, which must stop soon after its token is cancelled.
    pub(crate) fn add<F>(&mut self, name: &'static str, part: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let part = part(self.stop.child_token());
        self.parts.spawn(async move {
            part.await;
            (name, None)
        });
    }

    /// Starts a part that may come to an end of its own, which takes the rest down and is the
    /// process's.
    pub(crate) fn add_ending<F>(
        &mut self,
        name: &'static str,
        part: impl FnOnce(CancellationToken) -> F,
    ) where
        F: Future<Output = Result<(), ChannelEnd>> + Send + 'static,
    {
        let part = part(self.stop.child_token());
        self.parts.spawn(async move { (name, part.await.err()) });
    }

    /// Runs until `told` to stop or until a part ends by itself, then stops the rest. Being
    /// told a second time, by `hurried`, ends the waiting.
    pub(crate) async fn until(
        mut self,
        told: impl Future<Output = ()>,
        hurried: impl Future<Output = ()>,
        grace: Duration,
    ) -> Result<(), Fault> {
        let ended = tokio::select! {
            () = told => None,
            ended = self.next_ended() => ended,
        };
        self.stop.cancel();
        let drain = async { while self.next_ended().await.is_some() {} };
        let drained = tokio::select! {
            drained = tokio::time::timeout(grace, drain) => drained,
            () = hurried => return Err(Fault::Hurried),
        };
        if drained.is_err() {
            return Err(Fault::StillRunning {
                left: self.parts.len(),
                grace,
            });
        }
        match ended {
            None => Ok(()),
            Some((_name, Some(end))) => Err(Fault::Channel(end)),
            Some((name, None)) => Err(Fault::PartEnded(name)),
        }
    }

    async fn next_ended(&mut self) -> Option<Ended> {
        self.parts.join_next().await.map(unwound)
    }
}

/// A panic inside a task of ours is ours to pass on, not to survive.
pub(crate) fn unwound<T>(ended: Result<T, JoinError>) -> T {
    match ended {
        Ok(ended) => ended,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_stop_waits_for_every_part() {
        let mut running = Running::default();
        running.add("scheduler", |stop| async move { stop.cancelled().await });

        assert_eq!(running.until(ready(()), pending(), GRACE).await, Ok(()));
    }

    #[tokio::test]
    async fn a_part_that_ends_takes_the_rest_down_and_is_named() {
        let mut running = Running::default();
        running.add("scheduler", |stop| async move { stop.cancelled().await });
        running.add("IPC watcher", |_| ready(()));

        assert_eq!(
            running.until(pending(), pending(), GRACE).await,
            Err(Fault::PartEnded("IPC watcher"))
        );
    }

    #[tokio::test]
    async fn a_channel_that_cannot_go_on_says_why() {
        let mut running = Running::default();
        running.add("scheduler", |stop| async move { stop.cancelled().await });
        running.add_ending("WhatsApp", |_| ready(Err(ChannelEnd::LoggedOut)));

        assert_eq!(
            running.until(pending(), pending(), GRACE).await,
            Err(Fault::Channel(ChannelEnd::LoggedOut))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_ignores_the_stop_is_a_fault() {
        let mut running = Running::default();
        running.add("scheduler", |_| pending());

        let fault = running
            .until(ready(()), pending(), GRACE)
            .await
            .unwrap_err();

        assert_eq!(fault.to_string(), "1 parts had not stopped after 10s");
    }

    #[tokio::test]
    async fn a_second_signal_does_not_wait_for_the_grace() {
        let mut running = Running::default();
        running.add("scheduler", |_| pending());

        assert_eq!(
            running.until(ready(()), ready(()), GRACE).await,
            Err(Fault::Hurried)
        );
    }
}
