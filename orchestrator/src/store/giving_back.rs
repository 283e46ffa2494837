//! What becomes of claimed work when its run has ended: over, in the queue again, or due once more;
//! and what is said of it.

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use super::StoreError;
use super::outbox::{NewText, insert_output, insert_text};
use super::rows::instant;
use super::runs::{
    Claim, ClaimedTask, Fate, Release, Released, Unit, outputs_of, session_of, store_session,
};
use super::tasks::{end_task_run, is_due_once_more, was_its_last};
use crate::events::RunOutcome;
use crate::ids::SessionId;

/// Ends the run of a claim, as the release says.
pub(super) fn give_back(
    tx: &Transaction<'_>,
    claim: &Claim,
    release: &Release,
    now: Timestamp,
) -> Result<Released, StoreError> {
    let run = claim.run.as_str();
    if let Release::Done {
        answer: Some(answer),
        ..
    } = release
    {
        insert_output(tx, (&claim.run, &claim.group.chat), answer, now)?;
    }
    let outputs = outputs_of(tx, run)?;
    let (outcome, error) = match release {
        Release::Done { .. } if outputs > 0 => (RunOutcome::Answered, None),
        Release::Done { .. } => (RunOutcome::Silent, None),
        Release::Retry { error, .. } | Release::GiveUp { error, .. } => {
            (RunOutcome::Failed, Some(error.as_str()))
        }
        Release::Interrupted => (RunOutcome::Interrupted, None),
    };
    // What has been heard is not said again, so a run that delivered has answered.
    let again = match release {
        Release::Retry { at, counts, .. } if outputs == 0 => Some((*at, *counts)),
        // An attempt that we cut short ourselves does not count.
        Release::Interrupted if outputs == 0 => Some((now, false)),
        Release::Done { .. }
        | Release::Retry { .. }
        | Release::GiveUp { .. }
        | Release::Interrupted => None,
    };
    let session_stored = keep_session(tx, claim, release, now)?;
    let (fate, reported) = match (&claim.unit, again) {
        (Unit::Messages(_), Some((_, counts))) => {
            queue_messages_again(tx, run, counts)?;
            end_run(tx, run, (outcome, error), now)?;
            (Fate::Queued, false)
        }
        (Unit::Messages(_), None) => {
            let given_up = report(tx, claim, (release, outputs), now)?;
            end_messages(tx, run, given_up)?;
            end_run(tx, run, (outcome, error), now)?;
            (Fate::Over, given_up)
        }
        (Unit::Task(task), again) => {
            let of_agent = (release, outputs, (outcome, error));
            give_task_back(tx, (claim, task), of_agent, again, now)?
        }
    };
    Ok(Released {
        outcome,
        outputs,
        fate,
        session_stored,
        reported,
    })
}

/// The same of a task: whether it is tried again, and whether that is told in the chat.
fn give_task_back(
    tx: &Transaction<'_>,
    (claim, task): (&Claim, &ClaimedTask),
    (release, outputs, ended): (&Release, u32, (RunOutcome, Option<&str>)),
    again: Option<(Timestamp, bool)>,
    now: Timestamp,
) -> Result<(Fate, bool), StoreError> {
    let run = claim.run.as_str();
    let was_begun = again.is_none_or(|(_, counts)| counts);
    if !was_begun && queue_run_again(tx, (run, task), now)? {
        return Ok((Fate::Queued, false));
    }
    end_task_run(tx, claim, task, ended, now)?;
    end_run(tx, run, ended, now)?;
    if let Some((at, true)) = again
        && is_due_once_more(tx, task, at)?
    {
        return Ok((Fate::Due, false));
    }
    // One that comes again has its log.
    let is_told = was_its_last(tx, task)? && report(tx, claim, (release, outputs), now)?;
    Ok((Fate::Over, is_told))
}

/// Stores the session that a run which succeeded has left, if the group is to go on with it.
fn keep_session(
    tx: &Transaction<'_>,
    claim: &Claim,
    release: &Release,
    now: Timestamp,
) -> Result<bool, StoreError> {
    match release {
        Release::Done {
            session: Some(session),
            is_fresh,
            ..
        } if claim.in_group_session() && (*is_fresh || !was_left(tx, claim, session)?) => {
            store_session(tx, &claim.group.folder, session, now)?;
            Ok(true)
        }
        Release::Done { .. }
        | Release::Retry { .. }
        | Release::GiveUp { .. }
        | Release::Interrupted => Ok(false),
    }
}

/// Whether the session is the one that the run went on with, and somebody had the group leave it
/// meanwhile: it is not gone back to.
fn was_left(tx: &Transaction<'_>, claim: &Claim, session: &SessionId) -> Result<bool, StoreError> {
    let is_old = claim.session.as_ref() == Some(session);
    Ok(is_old && session_of(tx, claim.group.folder.as_str())?.as_ref() != Some(session))
}

/// Puts what a run had claimed back where it came from: questions into the queue, and context to
/// wait for one. The attempt is taken back if it does not count.
pub(super) fn queue_messages_again(
    tx: &Transaction<'_>,
    run: &str,
    counts: bool,
) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE messages SET run_id = NULL, attempts = max(0, attempts - ?2),
                state = CASE WHEN revoked_at IS NOT NULL THEN 'answered'
                             WHEN attempts = 0 THEN 'waiting' ELSE 'queued' END
         WHERE run_id = ?1 AND state = 'in_flight'",
        params![run, !counts],
    )?;
    Ok(())
}

fn end_messages(tx: &Transaction<'_>, run: &str, given_up: bool) -> Result<(), StoreError> {
    let state = if given_up { "failed" } else { "answered" };
    tx.execute(
        "UPDATE messages SET state = ?2, given_up = given_up + ?3
         WHERE run_id = ?1 AND state = 'in_flight'",
        params![run, state, given_up],
    )?;
    Ok(())
}

/// Says in the chat that the run has come to nothing, if it has said nothing itself.
fn report(
    tx: &Transaction<'_>,
    claim: &Claim,
    (release, outputs): (&Release, u32),
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Release::GiveUp { report, .. } = release else {
        return Ok(false);
    };
    if outputs > 0 {
        return Ok(false);
    }
    let text = NewText {
        chat: &claim.group.chat,
        run: Some(&claim.run),
        output_index: Some(0),
        part: 0,
        text: report,
        media: None,
    };
    insert_text(tx, &text, now)?;
    Ok(true)
}

/// Puts a run that was not begun, or was cut short by us, into the queue again, behind whatever
/// waits there; not if another run of its task waits already, for they are one.
fn queue_run_again(
    tx: &Transaction<'_>,
    (run, task): (&str, &ClaimedTask),
    now: Timestamp,
) -> Result<bool, StoreError> {
    let queued = tx.execute(
        "UPDATE runs SET state = 'queued', started_at = NULL, created_at = ?3 WHERE id = ?1
           AND NOT EXISTS (SELECT 1 FROM runs WHERE task_id = ?2 AND state <> 'ended' AND state = 'queued')",
        params![run, task.id.as_str(), instant(now)],
    )?;
    Ok(queued > 0)
}

fn end_run(
    tx: &Transaction<'_>,
    run: &str,
    (outcome, error): (RunOutcome, Option<&str>),
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE runs SET state = 'ended', outcome = ?2, error = ?3, ended_at = ?4 WHERE id = ?1",
        params![run, outcome.word(), error, instant(now)],
    )?;
    Ok(())
}
