//! A container of nanokimi as it runs: its output read, signalled, waited for, removed.

use std::net::SocketAddr;
use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::{KillContainerOptionsBuilder, WaitContainerOptionsBuilder};
use futures_util::StreamExt as _;
use rustix::process::Signal;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Container;
use super::request::published;
use super::said::Said;
use crate::chain::chain;
use crate::engine::{Engine, EngineError, called};
use crate::stage::StageError;
use crate::stage::process::Ended;

/// The output of an ended container is on its way through the engine.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// A shell's way to tell a signal, which an init has too.
const SIGNALLED: i64 = 128;

/// How a container ended, or why that is not known.
type End = Result<Ended, String>;

/// A container that was started.
#[derive(Debug)]
pub(crate) struct Boxed {
    id: String,
    /// `None` once it is removed.
    container: Option<Container>,
    engine: Engine,
    said: Said,
    /// Keeps waiting for the end, however often we stop listening.
    _waiter: JoinSet<()>,
    end: watch::Receiver<Option<End>>,
}

impl Boxed {
    pub(super) fn new(container: Container, engine: Engine) -> Self {
        let id = container.id().to_owned();
        let said = Said::read(&engine, &id);
        let (tell, end) = watch::channel(None);
        let mut waiter = JoinSet::new();
        let (waiting, waited) = (engine.clone(), id.clone());
        waiter.spawn(async move {
            let ended = end_of(&waiting, &waited).await;
            tell.send_replace(Some(ended));
        });
        Self {
            id,
            container: Some(container),
            engine,
            said,
            _waiter: waiter,
            end,
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) async fn signal(&self, signal: Signal) -> Result<(), StageError> {
        let number = signal.as_raw().to_string();
        let options = KillContainerOptionsBuilder::new().signal(&number).build();
        let sent = self.engine.docker.kill_container(self.id(), Some(options));
        match sent.await {
            // One that has ended already has nothing to be told.
            Ok(())
            | Err(Error::DockerResponseServerError {
                status_code: 404 | 409,
                ..
            }) => Ok(()),
            Err(error) => Err(called("send a signal")(error).into()),
        }
    }

    /// Waits for the end, and for the last words. `None` after `patience`. Cancel-safe.
    pub(crate) async fn ended(&mut self, patience: Duration) -> Result<Option<Ended>, StageError> {
        let mut end = self.end.clone();
        let Ok(known) = timeout(patience, end.wait_for(Option::is_some)).await else {
            return Ok(None);
        };
        let lost = || "whoever waited for it is gone".to_owned();
        let ended = known.map_or_else(|_gone| None, |end| end.clone());
        let ended = ended.unwrap_or_else(|| Err(lost()));
        let ended = ended.map_err(|why| EngineError::Refused {
            what: "say how a container ended".to_owned(),
            why,
        })?;
        self.said.last_words(LAST_WORDS).await;
        Ok(Some(ended))
    }

    /// Kills it if it is alive, and removes it. Returns when it is gone.
    pub(crate) async fn remove(&mut self) -> Result<(), StageError> {
        let Some(container) = self.container.take() else {
            return Ok(());
        };
        let removed = container.rm().await;
        removed.map_err(|error| StageError::container("remove nanokimi", error))
    }

    pub(crate) async fn reached_at(&self, own: SocketAddr) -> Result<SocketAddr, StageError> {
        let gone = || EngineError::Refused {
            what: "publish a port".to_owned(),
            why: "the container has been removed".to_owned(),
        };
        let container = self.container.as_ref().ok_or_else(gone)?;
        published(container, own.port()).await
    }

    pub(crate) fn stdout(&self) -> String {
        self.said.stdout.text()
    }

    pub(crate) fn stderr(&self) -> String {
        self.said.stderr.text()
    }

    pub(crate) async fn says_more(&self) {
        self.said.stderr.grown().await;
    }
}

async fn end_of(engine: &Engine, id: &str) -> End {
    let options = WaitContainerOptionsBuilder::new()
        .condition("not-running")
        .build();
    let mut waiting = engine.docker.wait_container(id, Some(options));
    match waiting.next().await {
        Some(Ok(end)) => Ok(ended(end.status_code)),
        Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(ended(code)),
        Some(Err(error)) => Err(chain(&error)),
        None => Err("the engine fell silent".to_owned()),
    }
}

fn ended(code: i64) -> Ended {
    let number = |code: i64| i32::try_from(code).map_or(-1, |code| code);
    match code {
        code if code > SIGNALLED => Ended::Signal(number(code - SIGNALLED)),
        code => Ended::Code(number(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_container_ends_as_a_killed_process_does() {
        assert_eq!(ended(137), Ended::Signal(Signal::KILL.as_raw()));
        assert_eq!(ended(143), Ended::Signal(Signal::TERM.as_raw()));
        assert_eq!(ended(2), Ended::Code(2));
        assert_eq!(ended(0), Ended::Code(0));
    }
}
