//! What people wrote, each message in exactly one state.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::Serialize;

use super::groups::touch_chat;
use super::rows::{instant, parsed, words};
use super::{Store, StoreError};
use crate::ids::ChatJid;

/// A message as a channel received it.
#[derive(Clone, Debug)]
pub(crate) struct NewMessage {
    pub chat: ChatJid,
    /// The channel's own id; a second delivery of the same id is the same message.
    pub id: String,
    /// Who wrote, as the channel addresses them.
    pub sender: String,
    pub sender_name: String,
    pub content: String,
    pub sent_at: Timestamp,
}

/// Where a message stands. Invariant: exactly one of these, at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageState {
    /// Context for a later message that means the assistant.
    Waiting,
    /// To be answered.
    Queued,
    /// Claimed by a live run.
    InFlight,
    Answered,
    /// Given up, and that has been said in the chat.
    Failed,
}

words!(MessageState, "message state", {
    Waiting => "waiting",
    Queued => "queued",
    InFlight => "in_flight",
    Answered => "answered",
    Failed => "failed",
});

/// A message as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredMessage {
    pub seq: i64,
    pub sender_name: String,
    pub content: String,
    pub sent_at: Timestamp,
    /// It called nobody: it is told as context, and may be left out where there is too much.
    pub is_context: bool,
}

/// One line of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct HistoryLine {
    pub role: Speaker,
    /// Who wrote; none for the assistant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub content: String,
    pub at: Timestamp,
}

/// Which side of a conversation spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Speaker {
    User,
    Assistant,
}

impl Store {
    /// Keeps a message; none if it is kept already.
    pub(crate) async fn store_message(
        &self,
        new: NewMessage,
        state: MessageState,
    ) -> Result<Option<i64>, StoreError> {
        self.call(move |tx| {
            touch_chat(tx, &new.chat, None, new.sent_at)?;
            let seq = tx
                .prepare_cached(
                    "INSERT INTO messages (chat_jid, id, sender, sender_name, content, sent_at, state)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                     ON CONFLICT (chat_jid, id) DO NOTHING RETURNING seq",
                )?
                .query_row(
                    params![
                        new.chat.as_str(),
                        new.id,
                        new.sender,
                        new.sender_name,
                        new.content,
                        instant(new.sent_at),
                        state.word()
                    ],
                    |row| row.get(0),
                )
                .optional()?;
            Ok(seq)
        })
        .await
    }

    /// The conversation in a chat, oldest first: messages, and what has been sent.
    pub(crate) async fn history(&self, chat: ChatJid) -> Result<Vec<HistoryLine>, StoreError> {
        self.call(move |tx| {
            let mut rows = tx.prepare_cached(
                "SELECT seq AS place, 0 AS reply, 0 AS id, sender_name, content, sent_at AS at
                   FROM messages WHERE chat_jid = ?1
                 UNION ALL
                 SELECT after_seq, 1, id, NULL, text, sent_at
                   FROM outbox WHERE chat_jid = ?1 AND state = 'sent'
                 ORDER BY place, reply, id",
            )?;
            let lines = rows
                .query_map([chat.as_str()], history_line)?
                .collect::<Result<_, _>>()?;
            Ok(lines)
        })
        .await
    }
}

fn history_line(row: &Row<'_>) -> rusqlite::Result<HistoryLine> {
    let name: Option<String> = row.get("sender_name")?;
    Ok(HistoryLine {
        role: if name.is_some() {
            Speaker::User
        } else {
            Speaker::Assistant
        },
        name,
        content: row.get("content")?,
        at: parsed(row, "at")?,
    })
}

/// Everything a claim on `chat` takes: the waiting context, the queued messages, and what was
/// given up once, which gets one more chance.
pub(super) fn open_messages(
    tx: &Transaction<'_>,
    chat: &str,
) -> Result<Vec<StoredMessage>, StoreError> {
    let mut rows = tx.prepare_cached(
        "SELECT seq, sender_name, content, sent_at, state = 'waiting' AS is_context FROM messages
         WHERE chat_jid = ?1 AND (state IN ('waiting', 'queued') OR (state = 'failed' AND given_up = 1))
         ORDER BY seq",
    )?;
    let messages = rows
        .query_map([chat], |row| {
            Ok(StoredMessage {
                seq: row.get("seq")?,
                sender_name: row.get("sender_name")?,
                content: row.get("content")?,
                sent_at: parsed(row, "sent_at")?,
                is_context: row.get("is_context")?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(messages)
}
