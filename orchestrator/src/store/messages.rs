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
    /// Written with the assistant's own number: by its owner, or by itself.
    pub from_me: bool,
    pub quoted: Option<Quoted>,
    /// A file that came with it, below the group's folder.
    pub media: Option<String>,
    /// What the end of the content says of a file, whether it was kept or not.
    pub media_note: Option<String>,
}

/// The message that another one replies to, as its sender saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quoted {
    pub id: String,
    /// A name to show.
    pub from: String,
    pub text: String,
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
    /// Nothing is left to do: a run had it, or it is not for us to answer.
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
    pub quoted: Option<Quoted>,
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
    /// How far what the assistant said has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
}

/// Which side of a conversation spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Speaker {
    User,
    Assistant,
}

impl Store {
    /// Keeps a message that people, or the owner, wrote; none if it is kept already, or is one
    /// of our own texts come back.
    pub(crate) async fn store_message(
        &self,
        new: NewMessage,
        state: MessageState,
    ) -> Result<Option<i64>, StoreError> {
        self.call(move |tx| insert_message(tx, &new, state, false))
            .await
    }

    /// Keeps what the assistant itself said where we did not see it say so, e.g. before its store
    /// was lost. It is part of the conversation and never answered.
    pub(crate) async fn store_own_words(&self, new: NewMessage) -> Result<Option<i64>, StoreError> {
        self.call(move |tx| insert_message(tx, &new, MessageState::Answered, true))
            .await
    }

    /// Whether a message is kept already.
    pub(crate) async fn has_message(&self, chat: ChatJid, id: String) -> Result<bool, StoreError> {
        self.call(move |tx| {
            let known = tx
                .prepare_cached("SELECT 1 FROM messages WHERE chat_jid = ?1 AND id = ?2")?
                .exists(params![chat.as_str(), id])?;
            Ok(known)
        })
        .await
    }

    /// The conversation in a chat, oldest first: messages, and what has been sent.
    pub(crate) async fn history(&self, chat: ChatJid) -> Result<Vec<HistoryLine>, StoreError> {
        self.call(move |tx| {
            let mut rows = tx.prepare_cached(
                "SELECT seq AS place, 0 AS reply, 0 AS id,
                        CASE is_bot WHEN 1 THEN NULL ELSE sender_name END AS sender_name,
                        content, sent_at AS at, NULL AS delivery
                   FROM messages WHERE chat_jid = ?1 AND revoked_at IS NULL
                 UNION ALL
                 SELECT after_seq, 1, id, NULL, text, sent_at, state
                   FROM outbox WHERE chat_jid = ?1 AND state IN ('sent', 'delivered', 'read')
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
        delivery: row.get("delivery")?,
    })
}

fn insert_message(
    tx: &Transaction<'_>,
    new: &NewMessage,
    state: MessageState,
    is_bot: bool,
) -> Result<Option<i64>, StoreError> {
    touch_chat(tx, &new.chat, None, new.sent_at)?;
    let quoted = new.quoted.as_ref();
    let seq = tx
        .prepare_cached(
            "INSERT INTO messages (chat_jid, id, sender, sender_name, content, sent_at, state,
                                   from_me, is_bot, quoted_id, quoted_from, quoted_text, media,
                                   media_note)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14
             WHERE NOT EXISTS (SELECT 1 FROM outbox WHERE message_id = ?2 AND chat_jid = ?1)
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
                state.word(),
                new.from_me,
                is_bot,
                quoted.map(|quoted| &quoted.id),
                quoted.map(|quoted| &quoted.from),
                quoted.map(|quoted| &quoted.text),
                new.media,
                new.media_note
            ],
            |row| row.get(0),
        )
        .optional()?;
    Ok(seq)
}

/// Everything a claim on `chat` takes: the waiting context, the queued messages, and what was
/// given up once, which gets one more chance.
pub(super) fn open_messages(
    tx: &Transaction<'_>,
    chat: &str,
) -> Result<Vec<StoredMessage>, StoreError> {
    let mut rows = tx.prepare_cached(
        "SELECT seq, sender_name, content, sent_at,
                state <> 'queued' AND attempts = 0 AS is_context,
                quoted_id, quoted_from, quoted_text FROM messages
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
                quoted: quoted(row)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(messages)
}

fn quoted(row: &Row<'_>) -> rusqlite::Result<Option<Quoted>> {
    let (id, from, text) = (
        row.get::<_, Option<String>>("quoted_id")?,
        row.get::<_, Option<String>>("quoted_from")?,
        row.get::<_, Option<String>>("quoted_text")?,
    );
    Ok(id.map(|id| Quoted {
        id,
        from: from.unwrap_or_default(),
        text: text.unwrap_or_default(),
    }))
}
