//! The scenario's own way to the container engine, which a story can cut: for nanokimi the engine
//! is down then, and for every other scenario nothing has changed.
//!
//! Passes bytes on and reads none.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use fs_err as fs;
use serde_json::Value;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::folder::Folder;
use super::{Means, Stage, StageError};
use crate::scenario::Scenario;

/// A socket that leads to the engine, while it is up.
#[derive(Debug)]
pub(super) struct Relay {
    at: PathBuf,
    engine: PathBuf,
    passing: Option<Passing>,
}

#[derive(Debug)]
struct Passing {
    /// Dropped to end it.
    stop: oneshot::Sender<()>,
    /// One task, which owns all connections.
    task: JoinSet<()>,
}

impl Relay {
    pub(super) fn open(at: PathBuf, engine: PathBuf) -> io::Result<Self> {
        let mut relay = Self {
            at,
            engine,
            passing: None,
        };
        relay.up()?;
        Ok(relay)
    }

    /// What nanokimi must be told to use it.
    pub(super) fn setting(&self) -> (String, Value) {
        let address = format!("unix://{}", self.at.display());
        ("docker_host".to_owned(), address.into())
    }

    /// Says whether it was down.
    fn up(&mut self) -> io::Result<bool> {
        if self.passing.is_some() {
            return Ok(false);
        }
        let listener = UnixListener::bind(&self.at)?;
        // Who may enter the scenario's folder may speak to the engine.
        fs::set_permissions(&self.at, PermissionsExt::from_mode(0o666))?;
        let (stop, stopped) = oneshot::channel();
        let mut task = JoinSet::new();
        task.spawn(pass(listener, self.engine.clone(), stopped));
        self.passing = Some(Passing { stop, task });
        Ok(true)
    }

    /// Cuts everybody off, and nobody is there any more. Says whether it was up.
    async fn down(&mut self) -> io::Result<bool> {
        let Some(mut passing) = self.passing.take() else {
            return Ok(false);
        };
        drop(passing.stop);
        if let Some(Err(ended)) = passing.task.join_next().await
            && ended.is_panic()
        {
            std::panic::resume_unwind(ended.into_panic());
        }
        fs::remove_file(&self.at)?;
        Ok(true)
    }
}

async fn pass(listener: UnixListener, engine: PathBuf, mut stopped: oneshot::Receiver<()>) {
    let mut callers = JoinSet::new();
    loop {
        tokio::select! {
            _dropped = &mut stopped => break,
            // What broke off is told at both ends.
            Some(Ok(()) | Err(_)) = callers.join_next() => {}
            Ok((caller, _)) = listener.accept() => {
                callers.spawn(connect(caller, engine.clone()));
            }
            // It cannot take anybody any more: that is what it is to be down.
            else => break,
        }
    }
    drop(listener);
    callers.shutdown().await;
}

async fn connect(mut caller: UnixStream, engine: PathBuf) {
    let Ok(mut engine) = UnixStream::connect(&engine).await else {
        // The caller sees its connection end, as with an engine that is just ending.
        return;
    };
    let (Ok(_) | Err(_)) = copy_bidirectional(&mut caller, &mut engine).await;
}

/// Opens a way of its own for a scenario that cuts it.
pub(super) fn to_engine(
    scenario: &Scenario,
    means: &Means,
    folder: &Folder,
) -> Result<Option<Relay>, StageError> {
    let containers = means.ground.containers();
    let Some(containers) = containers.filter(|_| scenario.cuts_the_engine()) else {
        return Ok(None);
    };
    let relay = Relay::open(folder.engine(), containers.engine.socket()?);
    relay.map(Some).map_err(StageError::Relay)
}

impl Stage {
    /// From now on nanokimi finds no engine. Says whether it had one.
    pub(crate) async fn engine_down(&mut self) -> Result<bool, StageError> {
        let Some(relay) = &mut self.relay else {
            return Ok(false);
        };
        relay.down().await.map_err(StageError::Relay)
    }

    /// The engine is back. Says whether it was down.
    pub(crate) fn engine_up(&mut self) -> Result<bool, StageError> {
        let Some(relay) = &mut self.relay else {
            return Ok(false);
        };
        relay.up().map_err(StageError::Relay)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    async fn said_to(at: &Path) -> io::Result<(UnixStream, u8)> {
        let mut caller = UnixStream::connect(at).await?;
        caller.write_all(b"x").await?;
        let heard = timeout(PATIENCE, caller.read_u8()).await?;
        Ok((caller, heard?))
    }

    #[tokio::test]
    async fn it_leads_to_the_engine_until_it_is_cut_and_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let [engine, at] = ["engine", "relay"].map(|name| folder.path().join(name));
        let listener = UnixListener::bind(&engine).unwrap();
        let mut echoes = JoinSet::new();
        echoes.spawn(async move {
            let mut kept = Vec::new();
            loop {
                let (mut caller, _) = listener.accept().await.unwrap();
                let heard = caller.read_u8().await.unwrap();
                caller.write_u8(heard).await.unwrap();
                kept.push(caller);
            }
        });
        let mut relay = Relay::open(at.clone(), engine).unwrap();
        let (mut caller, heard) = said_to(&at).await.unwrap();
        assert_eq!(heard, b'x');

        assert!(relay.down().await.unwrap());
        let cut = timeout(PATIENCE, caller.read_u8()).await.unwrap();
        assert_eq!(cut.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let refused = said_to(&at).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::NotFound);
        assert!(!relay.down().await.unwrap());

        assert!(relay.up().unwrap());
        assert!(!relay.up().unwrap());
        assert_eq!(said_to(&at).await.unwrap().1, b'x');
    }
}
