//! What the assistant says, kept before it is sent and in the order it was said.

use jiff::Timestamp;
use rusqlite::{Row, Transaction, params};

use super::rows::{instant, parsed, parsed_or_null, words};
use super::{Claim, Store, StoreError};
use crate::ids::{ChatJid, GroupFolder, RunId};

/// A text that has yet to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutboxText {
    pub id: i64,
    pub chat: ChatJid,
    /// None for a chat that is nobody's group: main may speak there.
    pub group: Option<GroupFolder>,
    pub run: Option<RunId>,
    pub text: String,
    /// The same at every attempt, so that a channel can tell a repetition.
    pub message_id: String,
    pub attempts: u32,
}

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutboxState {
    Pending,
    Sent,
    /// The channel refused it for good.
    Failed,
}

words!(OutboxState, "outbox state", {
    Pending => "pending",
    Sent => "sent",
    Failed => "failed",
});

/// Whether a text was new to the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queued {
    New,
    /// The same output of the same run: it is said once.
    Already,
}

/// A text to keep.
pub(super) struct NewText<'a> {
    pub(super) chat: &'a ChatJid,
    pub(super) run: Option<&'a RunId>,
    /// Counted from 0 within the run; none for what an agent sends by IPC.
    pub(super) output_index: Option<u32>,
    pub(super) text: &'a str,
    pub(super) message_id: &'a str,
}

impl Store {
    /// Keeps one output of a run for sending.
    pub(crate) async fn queue_output(
        &self,
        claim: &Claim,
        output_index: u32,
        text: String,
        now: Timestamp,
    ) -> Result<Queued, StoreError> {
        let (run, chat) = (claim.run.clone(), claim.group.chat.clone());
        self.call(move |tx| {
            let text = NewText {
                chat: &chat,
                run: Some(&run),
                output_index: Some(output_index),
                text: &text,
                message_id: &format!("{run}-{output_index}"),
            };
            insert_text(tx, &text, now)
        })
        .await
    }

    /// The oldest unsent text of every chat: what may be sent now without changing the order.
    pub(crate) async fn unsent_heads(&self) -> Result<Vec<OutboxText>, StoreError> {
        self.call(|tx| {
            let mut rows = tx.prepare_cached(
                "SELECT outbox.*, groups.folder FROM outbox
                 LEFT JOIN groups ON groups.chat_jid = outbox.chat_jid
                 WHERE id IN (SELECT min(id) FROM outbox WHERE state = 'pending' GROUP BY chat_jid)
                 ORDER BY id",
            )?;
            let heads = rows.query_map([], outbox_text)?.collect::<Result<_, _>>()?;
            Ok(heads)
        })
        .await
    }

    /// Notes what an attempt to send came to.
    pub(crate) async fn note_attempt(
        &self,
        id: i64,
        state: OutboxState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.call(move |tx| {
            let sent_at = (state == OutboxState::Sent).then(|| instant(now));
            tx.execute(
                "UPDATE outbox SET state = ?2, attempts = attempts + 1, sent_at = ?3 WHERE id = ?1",
                params![id, state.word(), sent_at],
            )?;
            Ok(())
        })
        .await
    }
}

pub(super) fn insert_text(
    tx: &Transaction<'_>,
    new: &NewText<'_>,
    now: Timestamp,
) -> Result<Queued, StoreError> {
    let inserted = tx
        .prepare_cached(
            "INSERT INTO outbox (chat_jid, run_id, output_index, text, message_id, after_seq, state, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5,
                     (SELECT coalesce(max(seq), 0) FROM messages WHERE chat_jid = ?1), 'pending', ?6)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            new.chat.as_str(),
            new.run.map(RunId::as_str),
            new.output_index,
            new.text,
            new.message_id,
            instant(now)
        ])?;
    Ok(if inserted == 0 {
        Queued::Already
    } else {
        Queued::New
    })
}

fn outbox_text(row: &Row<'_>) -> rusqlite::Result<OutboxText> {
    Ok(OutboxText {
        id: row.get("id")?,
        chat: parsed(row, "chat_jid")?,
        group: parsed_or_null(row, "folder")?,
        run: parsed_or_null(row, "run_id")?,
        text: row.get("text")?,
        message_id: row.get("message_id")?,
        attempts: row.get("attempts")?,
    })
}
