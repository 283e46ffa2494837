//! What the assistant says, kept before it is sent and in the order it was said.

use jiff::Timestamp;
use rusqlite::{Row, Transaction, params};

use super::groups::touch_chat;
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
    /// A file that goes with the text, which is then its caption and may be empty.
    pub media: Option<OutboxMedia>,
    /// The same at every attempt, so that a channel can tell a repetition.
    pub message_id: String,
    pub attempts: u32,
}

/// A file to send. It lies where an agent can write: open it through `safe_dir` alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutboxMedia {
    /// The group whose agent sends it.
    pub group: GroupFolder,
    /// Below `groups/<folder>/`.
    pub path: String,
}

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutboxState {
    Pending,
    /// The channel has taken it over.
    Sent,
    /// It has come to somebody's device.
    Delivered,
    Read,
    /// The channel refused it for good.
    Failed,
}

words!(OutboxState, "outbox state", {
    Pending => "pending",
    Sent => "sent",
    Delivered => "delivered",
    Read => "read",
    Failed => "failed",
});

/// Whether a text was new to the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queued {
    New,
    /// The same output of the same run: it is said once.
    Already,
}

/// One text of a run, in the parts in which it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    /// Counted from 0 within the run.
    pub index: u32,
    pub parts: Vec<String>,
}

/// A text to keep.
pub(super) struct NewText<'a> {
    pub(super) chat: &'a ChatJid,
    pub(super) run: Option<&'a RunId>,
    /// Counted from 0 within the run; none for what an agent sends by IPC.
    pub(super) output_index: Option<u32>,
    /// Counted from 0 within the output.
    pub(super) part: u32,
    pub(super) text: &'a str,
    pub(super) media: Option<&'a OutboxMedia>,
}

impl NewText<'_> {
    /// Chosen once, before the first attempt. WhatsApp's looks like its own web client's: phones
    /// treat other ids as a foreign client's.
    fn message_id(&self) -> String {
        match (self.chat.http_conversation(), self.run, self.output_index) {
            (Some(_), Some(run), Some(index)) => format!("{run}-{index}"),
            (Some(_), _, _) => uuid::Uuid::new_v4().to_string(),
            (None, _, _) => {
                let random = uuid::Uuid::new_v4().simple().to_string().to_uppercase();
                format!("3EB0{}", &random[..18])
            }
        }
    }
}

impl Store {
    /// Keeps one output of a run for sending.
    pub(crate) async fn queue_output(
        &self,
        claim: &Claim,
        output: Output,
        now: Timestamp,
    ) -> Result<Queued, StoreError> {
        let (run, chat) = (claim.run.clone(), claim.group.chat.clone());
        self.call(move |tx| insert_output(tx, (&run, &chat), &output, now))
            .await
    }

    /// Keeps a text of nobody's run for sending, in the parts in which it leaves; returns the id of
    /// each.
    pub(crate) async fn queue_texts(
        &self,
        chat: ChatJid,
        parts: Vec<String>,
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        self.call(move |tx| {
            touch_chat(tx, &chat, None, now)?;
            let mut ids = Vec::new();
            for (part, text) in (0..).zip(&parts) {
                let text = NewText {
                    chat: &chat,
                    run: None,
                    output_index: None,
                    part,
                    text,
                    media: None,
                };
                insert_text(tx, &text, now)?;
                let sql = "SELECT message_id FROM outbox WHERE id = last_insert_rowid()";
                ids.push(tx.query_row(sql, [], |row| row.get(0))?);
            }
            Ok(ids)
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

    /// Notes what an attempt to send came to. A receipt may have been faster.
    pub(crate) async fn note_attempt(
        &self,
        id: i64,
        state: OutboxState,
        error: Option<String>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.call(move |tx| {
            let sent_at = (state == OutboxState::Sent).then(|| instant(now));
            tx.execute(
                "UPDATE outbox SET attempts = attempts + 1, sent_at = coalesce(sent_at, ?3), error = ?4,
                        state = CASE state WHEN 'pending' THEN ?2 ELSE state END
                 WHERE id = ?1",
                params![id, state.word(), sent_at, error],
            )?;
            Ok(())
        })
        .await
    }
}

/// Puts an output of a run into the outbox, unless it is there.
pub(super) fn insert_output(
    tx: &Transaction<'_>,
    (run, chat): (&RunId, &ChatJid),
    output: &Output,
    now: Timestamp,
) -> Result<Queued, StoreError> {
    let mut queued = Queued::Already;
    for (part, text) in (0..).zip(&output.parts) {
        let text = NewText {
            chat,
            run: Some(run),
            output_index: Some(output.index),
            part,
            text,
            media: None,
        };
        if insert_text(tx, &text, now)? == Queued::New {
            queued = Queued::New;
        }
    }
    Ok(queued)
}

pub(super) fn insert_text(
    tx: &Transaction<'_>,
    new: &NewText<'_>,
    now: Timestamp,
) -> Result<Queued, StoreError> {
    let inserted = tx
        .prepare_cached(
            "INSERT INTO outbox (chat_jid, run_id, output_index, part, text, media_group, media_path,
                                 message_id, after_seq, state, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,
                     (SELECT coalesce(max(seq), 0) FROM messages WHERE chat_jid = ?1), 'pending', ?9)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            new.chat.as_str(),
            new.run.map(RunId::as_str),
            new.output_index,
            new.part,
            new.text,
            new.media.map(|media| media.group.as_str()),
            new.media.map(|media| &media.path),
            new.message_id(),
            instant(now)
        ])?;
    Ok(if inserted == 0 {
        Queued::Already
    } else {
        Queued::New
    })
}

fn outbox_text(row: &Row<'_>) -> rusqlite::Result<OutboxText> {
    let group: Option<GroupFolder> = parsed_or_null(row, "media_group")?;
    let path: Option<String> = row.get("media_path")?;
    Ok(OutboxText {
        id: row.get("id")?,
        chat: parsed(row, "chat_jid")?,
        group: parsed_or_null(row, "folder")?,
        run: parsed_or_null(row, "run_id")?,
        text: row.get("text")?,
        media: group
            .zip(path)
            .map(|(group, path)| OutboxMedia { group, path }),
        message_id: row.get("message_id")?,
        attempts: row.get("attempts")?,
    })
}
