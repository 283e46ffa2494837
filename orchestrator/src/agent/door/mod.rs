//! The orchestrator's side of the door: who stands at it may go to the hosts of the run, and
//! nowhere else.
//!
//! One door per run, as a socket in a folder of its own that is mounted into the run's box (see
//! `agent_protocol::door`). What is encrypted stays so: it passes bytes on and reads none. It
//! does not decide which hosts those are.

mod caller;

use std::collections::BTreeSet;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agent_protocol::door::{
    Answer, DOOR, DOOR_FOLDER, DOOR_HOSTS, DOOR_SOCKET, DoorHost, DoorTarget, allot,
};
use fs_err as fs;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use caller::attend;

/// How many may be at one door at once, its lifeline among them: an agent asks its model and has
/// some tools running, and each caller costs us two file descriptors.
const MOST: usize = 64;
/// How long to wait when the machine has no more file descriptors.
const SHORTAGE: Duration = Duration::from_millis(100);

/// An open door. Dropping it closes it as well, but does not wait for it.
#[derive(Debug)]
pub(crate) struct Door {
    folder: PathBuf,
    hosts: Vec<DoorHost>,
    stop: CancellationToken,
    /// One task, which owns all that are at the door.
    serving: JoinSet<()>,
}

/// A door that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("no door can be opened for the agent in `{}`", folder.display())]
pub(crate) struct DoorError {
    folder: PathBuf,
    #[source]
    source: io::Error,
}

impl Door {
    /// Opens a door in a folder of its own, which is made; what lies there of a run before is
    /// removed. The folder above is made too if it is missing, for us alone: who can enter it can
    /// come to all doors in it.
    pub(crate) fn open(folder: PathBuf, targets: &[DoorTarget]) -> Result<Self, DoorError> {
        let listener = match listen(&folder) {
            Ok(listener) => listener,
            Err(source) => return Err(DoorError { folder, source }),
        };
        let stop = CancellationToken::new();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, targets.into(), stop.clone()));
        Ok(Self {
            folder,
            hosts: allot(targets),
            stop,
            serving,
        })
    }

    /// What is to be mounted at [`DOOR_FOLDER`].
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What tells the runner of the door.
    pub(crate) fn environment(&self) -> [(&'static str, String); 2] {
        let hosts: Vec<String> = self.hosts.iter().map(ToString::to_string).collect();
        [
            (DOOR, format!("{DOOR_FOLDER}/{DOOR_SOCKET}")),
            (DOOR_HOSTS, hosts.join(",")),
        ]
    }

    /// Lines for the box's `/etc/hosts`, as an engine takes them: `mock:127.0.0.1`.
    pub(crate) fn extra_hosts(&self) -> Vec<String> {
        // A name with two ports stands there once.
        let entries: BTreeSet<String> = self
            .hosts
            .iter()
            .filter_map(DoorHost::hosts_entry)
            .collect();
        entries.into_iter().collect()
    }

    /// Closes the door, and all that goes through it; its folder is gone afterwards. A runner
    /// that is still alive ends by it.
    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        if let Some(Err(error)) = self.serving.join_next().await {
            tell_panic(&error);
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, "the folder of an agent's door is left behind");
        }
    }
}

/// Makes the folder and binds the socket in it.
fn listen(folder: &Path) -> io::Result<UnixListener> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    if let Some(above) = folder.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(above)?;
    }
    fs::create_dir(folder)?;
    // The agent in the box is another user than we may be.
    fs::set_permissions(folder, PermissionsExt::from_mode(0o755))?;
    let opened = fs::File::open(folder)?;
    // The address of a socket has room for 107 bytes, whatever the length of our root.
    let short = format!("/proc/self/fd/{}/{DOOR_SOCKET}", opened.as_raw_fd());
    let listener = UnixListener::bind(&short)?;
    fs::set_permissions(&short, PermissionsExt::from_mode(0o666))?;
    Ok(listener)
}

async fn serve(listener: UnixListener, targets: Arc<[DoorTarget]>, stop: CancellationToken) {
    let mut callers = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = callers.join_next() => if let Err(error) = ended {
                tell_panic(&error);
            },
            arrived = listener.accept() => match arrived {
                Ok((caller, _)) if callers.len() < MOST => {
                    callers.spawn(attend(caller, Arc::clone(&targets)));
                }
                Ok((caller, _)) => turn_away(&caller),
                Err(error) => {
                    tracing::warn!(%error, "an agent cannot be let in at its door; it is tried again");
                    tokio::time::sleep_until(Instant::now() + SHORTAGE).await;
                }
            },
        }
    }
    callers.shutdown().await;
}

/// Says why, if it can be said without waiting.
fn turn_away(caller: &UnixStream) {
    let answer = Answer::Refused(format!("{MOST} connections of this agent are open already"));
    // A caller that does not take it sees its connection end.
    let (Ok(_) | Err(_)) = caller.try_write(format!("{answer}\n").as_bytes());
    tracing::info!("an agent was turned away at its door: {answer}");
}

fn tell_panic(error: &JoinError) {
    if error.is_panic() {
        // What it panicked with has been printed where it happened.
        tracing::error!("a task at an agent's door panicked");
    }
}

#[cfg(test)]
mod tests;
