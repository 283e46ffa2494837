//! What must outlive the process, in `store/messages.db`.
//!
//! One thread owns the connection; everyone else hands it closures through a bounded queue, so
//! there is one writer and no lock. A call that returns has been committed and synced: only
//! then may a message be acknowledged or a text be sent.

mod changes;
mod channels;
mod checkup;
mod deliveries;
mod giving_back;
mod groups;
mod messages;
mod migrations;
mod mounts;
mod outbox;
mod placing;
mod receipts;
mod recovery;
mod rows;
mod runs;
mod sessions;
mod status;
mod tasks;
#[cfg(test)]
mod tests;
mod workspaces;

use std::path::{Path, PathBuf};
use std::thread;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

pub(crate) use changes::{Changed, Edit, Revocation, Revoked, Revoker};
pub(crate) use checkup::Checkup;
pub(crate) use deliveries::Delivery;
pub(crate) use groups::{Group, GroupConflict, NewGroup, TriggerRule};
pub(crate) use messages::{HistoryLine, MessageState, NewMessage, Quoted, StoredMessage};
pub(crate) use outbox::{OutboxMedia, OutboxState, OutboxText, Output, Queued};
pub(crate) use placing::RunAhead;
pub(crate) use receipts::Receipt;
pub(crate) use runs::{Claim, Fate, Release, Released, Unit};
pub(crate) use sessions::StoredSession;
pub(crate) use status::StoreStatus;
pub(crate) use tasks::{DueTask, NewTask, Task, TaskStatus, TaskUpdate};
pub(crate) use workspaces::OwedRelease;

/// Work waiting for the store; a full queue slows the callers down, which is what we want.
const WAITING: usize = 64;

/// A handle to the store; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    jobs: mpsc::Sender<Job>,
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{}: cannot be opened as a database", .file.display())]
    Open {
        file: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error(
        "{}: was written by a newer nanokimi (schema {found}, this one knows {known}); run that version, or restore a backup",
        .file.display()
    )]
    Newer {
        file: PathBuf,
        found: usize,
        known: usize,
    },
    #[error("{}: cannot be brought to this version's schema", .file.display())]
    Migrate {
        file: PathBuf,
        #[source]
        source: rusqlite_migration::Error,
    },
    #[error("the disk is full: free some space, nothing was stored")]
    DiskFull,
    #[error("the store refused")]
    Sql(#[source] rusqlite::Error),
    #[error("the store holds `{value}` as {what}, which this version does not know")]
    Unknown { what: &'static str, value: String },
    #[error(transparent)]
    GroupConflict(#[from] GroupConflict),
    #[error("the store has stopped")]
    Stopped,
    #[error("the store's thread cannot be started")]
    Thread(#[source] std::io::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::DiskFull,
            Some(_) | None => Self::Sql(error),
        }
    }
}

impl Store {
    /// Opens the store below `root`, creates it if it is missing, and brings it up to date.
    /// Whoever runs (not merely looks) must hold the instance lock first.
    pub(crate) fn open(root: &Path) -> Result<Self, StoreError> {
        let mut connection = migrations::open(&root.join("store/messages.db"))?;
        let (jobs, mut waiting) = mpsc::channel::<Job>(WAITING);
        // It ends when the last handle is dropped, and closes the database with it.
        thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                while let Some(job) = waiting.blocking_recv() {
                    job(&mut connection);
                }
            })
            .map_err(StoreError::Thread)?;
        Ok(Self { jobs })
    }

    /// Runs `job` in one transaction, which is committed if it succeeds.
    async fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (done, outcome) = oneshot::channel();
        let run = Box::new(move |connection: &mut Connection| {
            // The caller may have gone; what it asked for has been done all the same.
            let (Ok(()) | Err(_)) = done.send(in_transaction(connection, job));
        });
        if self.jobs.send(run).await.is_err() {
            return Err(StoreError::Stopped);
        }
        match outcome.await {
            Ok(outcome) => outcome,
            Err(_dropped) => Err(StoreError::Stopped),
        }
    }
}

fn in_transaction<T>(
    connection: &mut Connection,
    job: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    // Immediate: a command of the same installation may be writing beside us.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let outcome = job(&transaction)?;
    transaction.commit()?;
    Ok(outcome)
}
