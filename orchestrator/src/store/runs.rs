//! Claims: which run works at which messages or task. How it gives them back is in `giving_back`.
//!
//! Invariant: a message or task run is claimed by at most one live run, and a claim that ends
//! leaves what it held answered, queued again, or failed and reported.

use agent_protocol::ContextMode;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::giving_back::give_back;
use super::messages::open_messages;
use super::outbox::Output;
use super::rows::{instant, parsed, parsed_or_null, words};
use super::sessions::left_by;
use super::tasks::read_context_mode;
use super::{Group, Store, StoreError, StoredMessage, StoredSession};
use crate::events::{RunKind, RunOutcome};
use crate::ids::{GroupFolder, RunId, SessionId, TaskId};

words!(RunOutcome, "run outcome", {
    Answered => "answered",
    Silent => "silent",
    Failed => "failed",
    Interrupted => "interrupted",
});

/// Work that a run has claimed.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub run: RunId,
    pub group: Group,
    pub unit: Unit,
    /// Counted from 1.
    pub attempt: u32,
    /// The session to continue, if the unit continues one.
    pub session: Option<SessionId>,
    /// What the group has left and is to be written down.
    pub left: Vec<StoredSession>,
}

/// One thing an agent is started for.
#[derive(Clone, Debug)]
pub(crate) enum Unit {
    Messages(Vec<StoredMessage>),
    Task(ClaimedTask),
}

/// A task whose instant has come.
#[derive(Clone, Debug)]
pub(crate) struct ClaimedTask {
    pub id: TaskId,
    pub prompt: String,
    pub context_mode: ContextMode,
    pub due_at: Timestamp,
}

/// How a run ended, before the store decides what that means for what it claimed.
#[derive(Clone, Debug)]
pub(crate) enum Release {
    Done {
        session: Option<SessionId>,
        /// Its last text, if that is not in the outbox yet.
        answer: Option<Output>,
        /// The session is not the one that the unit was to continue, whatever it is called.
        is_fresh: bool,
    },
    /// What is claimed is tried again at this instant; `counts` if it was begun.
    Retry {
        error: String,
        at: Timestamp,
        counts: bool,
    },
    /// No more attempts: `report` is said in the chat, unless it is of a task that comes again.
    GiveUp { error: String, report: String },
    /// We are stopping.
    Interrupted,
}

/// What has become of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Released {
    pub outcome: RunOutcome,
    /// Texts the run has delivered into the outbox.
    pub outputs: u32,
    pub fate: Fate,
    /// The session was stored.
    pub session_stored: bool,
    /// It was said in the chat that the run has come to nothing.
    pub reported: bool,
}

/// Where the claimed work is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Over,
    /// In the queue again.
    Queued,
    /// It is a task that is due once more.
    Due,
}

impl Claim {
    #[must_use]
    pub(crate) fn kind(&self) -> RunKind {
        match self.unit {
            Unit::Messages(_) => RunKind::Message,
            Unit::Task(_) => RunKind::Task,
        }
    }

    /// Whether the run continues, and then becomes, the group's own conversation.
    #[must_use]
    pub(crate) fn in_group_session(&self) -> bool {
        match &self.unit {
            Unit::Messages(_) => true,
            Unit::Task(task) => task.context_mode == ContextMode::Group,
        }
    }
}

impl Store {
    /// Claims the next unit of work of a group: whatever waits longest, so that neither a task that
    /// is due again and again nor a talkative chat keeps the other waiting for ever.
    pub(crate) async fn claim(
        &self,
        folder: GroupFolder,
        now: Timestamp,
    ) -> Result<Option<Claim>, StoreError> {
        self.call(move |tx| {
            let group = tx
                .prepare_cached("SELECT * FROM groups WHERE folder = ?1")?
                .query_row([folder.as_str()], super::groups::group)
                .optional()?;
            let Some(group) = group else {
                return Ok(None);
            };
            if people_are_first(tx, &group)? {
                return claim_messages(tx, group, now);
            }
            match claim_task(tx, &group, now)? {
                Some(claim) => Ok(Some(claim)),
                None => claim_messages(tx, group, now),
            }
        })
        .await
    }

    /// Ends a run and gives back what it claimed.
    pub(crate) async fn release(
        &self,
        claim: Claim,
        release: Release,
        now: Timestamp,
    ) -> Result<Released, StoreError> {
        self.call(move |tx| give_back(tx, &claim, &release, now))
            .await
    }
}

/// Whether somebody wrote before the first task that waits was queued.
fn people_are_first(tx: &Transaction<'_>, group: &Group) -> Result<bool, StoreError> {
    let first = tx
        .prepare_cached(
            // The conditions of the indices are said as well.
            "SELECT EXISTS (SELECT 1 FROM messages WHERE chat_jid = ?1
                AND state IN ('waiting','queued','in_flight') AND state = 'queued' AND sent_at <
                (SELECT min(created_at) FROM runs
                 WHERE group_folder = ?2 AND state <> 'ended' AND state = 'queued'))",
        )?
        .query_row([group.chat.as_str(), group.folder.as_str()], |row| {
            row.get(0)
        })?;
    Ok(first)
}

fn claim_task(
    tx: &Transaction<'_>,
    group: &Group,
    now: Timestamp,
) -> Result<Option<Claim>, StoreError> {
    let folder = group.folder.as_str();
    // A task that was cancelled or paused while it stood in the queue does not run.
    tx.execute(
        "UPDATE runs SET state = 'ended', outcome = 'interrupted', ended_at = ?2,
                error = 'the task was cancelled or paused before it started'
         WHERE group_folder = ?1 AND state = 'queued'
           AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.id = runs.task_id AND status <> 'paused')",
        params![folder, instant(now)],
    )?;
    let queued = tx
        .prepare_cached(
            "SELECT runs.id, runs.attempt, runs.due_at, tasks.id AS task, tasks.prompt, tasks.context_mode
             FROM runs JOIN tasks ON tasks.id = runs.task_id
             WHERE runs.group_folder = ?1 AND runs.state = 'queued'
             ORDER BY runs.created_at, runs.rowid LIMIT 1",
        )?
        .query_row([folder], |row| {
            let task = ClaimedTask {
                id: parsed(row, "task")?,
                prompt: row.get("prompt")?,
                context_mode: read_context_mode(row)?,
                due_at: parsed(row, "due_at")?,
            };
            Ok((parsed::<RunId>(row, "id")?, row.get::<_, u32>("attempt")?, task))
        })
        .optional()?;
    let Some((run, attempt, task)) = queued else {
        return Ok(None);
    };
    let session = match task.context_mode {
        ContextMode::Group => session_of(tx, folder)?,
        ContextMode::Isolated => None,
    };
    tx.execute(
        "UPDATE runs SET state = 'in_flight', started_at = ?2, session_id = ?3 WHERE id = ?1",
        params![
            run.as_str(),
            instant(now),
            session.as_ref().map(SessionId::as_str)
        ],
    )?;
    Ok(Some(Claim {
        run,
        group: group.clone(),
        unit: Unit::Task(task),
        attempt,
        session,
        left: left_by(tx, &group.folder)?,
    }))
}

fn claim_messages(
    tx: &Transaction<'_>,
    group: Group,
    now: Timestamp,
) -> Result<Option<Claim>, StoreError> {
    let chat = group.chat.as_str();
    let tried: Option<u32> = tx
        .prepare_cached(
            "SELECT max(attempts) FROM messages WHERE chat_jid = ?1 AND state = 'queued'",
        )?
        .query_row([chat], |row| row.get(0))?;
    let Some(tried) = tried else {
        return Ok(None);
    };
    let messages = open_messages(tx, chat)?;
    let session = session_of(tx, group.folder.as_str())?;
    let run = RunId::new_random();
    let attempt = tried + 1;
    tx.execute(
        "INSERT INTO runs (id, group_folder, kind, state, attempt, session_id, created_at, started_at)
         VALUES (?1, ?2, 'message', 'in_flight', ?3, ?4, ?5, ?5)",
        params![
            run.as_str(),
            group.folder.as_str(),
            attempt,
            session.as_ref().map(SessionId::as_str),
            instant(now)
        ],
    )?;
    tx.execute(
        // What is told as context is never attempted, and so stays context in every attempt.
        "UPDATE messages SET state = 'in_flight', run_id = ?2,
                attempts = CASE WHEN state = 'queued' OR attempts > 0 THEN ?3 ELSE 0 END
         WHERE chat_jid = ?1 AND (state IN ('waiting', 'queued') OR (state = 'failed' AND given_up = 1))",
        params![chat, run.as_str(), attempt],
    )?;
    let left = left_by(tx, &group.folder)?;
    Ok(Some(Claim {
        run,
        group,
        left,
        unit: Unit::Messages(messages),
        attempt,
        session,
    }))
}

/// Outputs that a run has put into the outbox itself (what it sent by IPC is not an answer).
pub(super) fn outputs_of(tx: &Transaction<'_>, run: &str) -> Result<u32, StoreError> {
    let count = tx
        .prepare_cached(
            "SELECT count(DISTINCT output_index) FROM outbox WHERE run_id = ?1 AND output_index IS NOT NULL",
        )?
        .query_row([run], |row| row.get(0))?;
    Ok(count)
}

pub(super) fn session_of(
    tx: &Transaction<'_>,
    folder: &str,
) -> Result<Option<SessionId>, StoreError> {
    let session = tx
        .prepare_cached("SELECT session_id FROM sessions WHERE group_folder = ?1")?
        .query_row([folder], |row| parsed_or_null(row, "session_id"))
        .optional()?;
    Ok(session.flatten())
}

pub(super) fn store_session(
    tx: &Transaction<'_>,
    folder: &GroupFolder,
    session: &SessionId,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO sessions (group_folder, session_id, updated_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (group_folder) DO UPDATE SET session_id = ?2, updated_at = ?3",
        params![folder.as_str(), session.as_str(), instant(now)],
    )?;
    Ok(())
}
