//! What people do to a message after they have sent it: they edit it, or take it back.
//!
//! Before an agent has it, that changes what the agent reads; afterwards it is only noted.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::rows::{instant, parsed};
use super::{MessageState, Store, StoreError};
use crate::ids::ChatJid;

/// A message with a new text.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    pub chat: ChatJid,
    pub id: String,
    /// Who edits, by each name the channel has for them: nobody edits another one's message.
    pub by: Vec<String>,
    /// The words; what the message says of its file stays.
    pub text: String,
}

/// A message that is taken back.
#[derive(Clone, Debug)]
pub(crate) struct Revocation {
    pub chat: ChatJid,
    pub id: String,
    pub by: Revoker,
}

/// Who takes a message back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Revoker {
    /// The sender, by each name the channel has for them.
    Sender(Vec<String>),
    /// Somebody whom the network lets take back what others wrote.
    Admin,
}

/// What taking a message back came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revoked {
    pub changed: Changed,
    /// The file that had come with it, below the group's folder.
    pub media: Option<String>,
}

/// What a change of a message came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// Whoever reads the message from now on reads it changed.
    InTime,
    /// An agent has, or had, the message as it was.
    Late,
    /// We never had the message, or it is not theirs to change, or it is gone.
    NoSuchMessage,
}

impl Store {
    /// Gives a message its new text. `now_meant` is its state if it calls the assistant with
    /// the new text and an agent has not had it yet.
    pub(crate) async fn edit_message(
        &self,
        edit: Edit,
        now_meant: MessageState,
        now: Timestamp,
    ) -> Result<Changed, StoreError> {
        self.call(move |tx| {
            let by = Revoker::Sender(edit.by);
            let (changed, state) = match standing(tx, &edit.chat, &edit.id, &by)? {
                None => return Ok(Changed::NoSuchMessage),
                Some(MessageState::Waiting | MessageState::Queued) => {
                    (Changed::InTime, Some(now_meant.word()))
                }
                Some(MessageState::InFlight | MessageState::Answered | MessageState::Failed) => {
                    (Changed::Late, None)
                }
            };
            tx.execute(
                "UPDATE messages SET edited_at = ?4, state = coalesce(?5, state),
                        attempts = CASE ?5 WHEN 'waiting' THEN 0 ELSE attempts END,
                        content = CASE WHEN media_note IS NULL THEN ?3 WHEN ?3 = '' THEN media_note
                                       ELSE ?3 || char(10) || media_note END
                 WHERE chat_jid = ?1 AND id = ?2",
                params![edit.chat.as_str(), edit.id, edit.text, instant(now), state],
            )?;
            Ok(changed)
        })
        .await
    }

    /// Forgets what a message said. One that no agent has had is settled: nobody answers it.
    pub(crate) async fn revoke_message(
        &self,
        revocation: Revocation,
        now: Timestamp,
    ) -> Result<Revoked, StoreError> {
        self.call(move |tx| {
            let Revocation { chat, id, by } = revocation;
            let changed = match standing(tx, &chat, &id, &by)? {
                None => {
                    return Ok(Revoked {
                        changed: Changed::NoSuchMessage,
                        media: None,
                    });
                }
                // What was given up waits for another chance, which it does not get.
                Some(MessageState::Waiting | MessageState::Queued | MessageState::Failed) => {
                    Changed::InTime
                }
                Some(MessageState::InFlight | MessageState::Answered) => Changed::Late,
            };
            let media = tx
                .prepare_cached("SELECT media FROM messages WHERE chat_jid = ?1 AND id = ?2")?
                .query_row(params![chat.as_str(), id], |row| row.get("media"))?;
            tx.execute(
                "UPDATE messages SET content = '', media = NULL, media_note = NULL, quoted_text = NULL, revoked_at = ?3,
                        state = CASE state WHEN 'in_flight' THEN state ELSE 'answered' END
                 WHERE chat_jid = ?1 AND id = ?2",
                params![chat.as_str(), id, instant(now)],
            )?;
            Ok(Revoked { changed, media })
        })
        .await
    }
}

/// Where a message stands that `by` may change.
fn standing(
    tx: &Transaction<'_>,
    chat: &ChatJid,
    id: &str,
    by: &Revoker,
) -> Result<Option<MessageState>, StoreError> {
    let found: Option<(MessageState, String)> = tx
        .prepare_cached(
            "SELECT state, sender FROM messages
             WHERE chat_jid = ?1 AND id = ?2 AND revoked_at IS NULL",
        )?
        .query_row(params![chat.as_str(), id], |row| {
            Ok((parsed(row, "state")?, row.get("sender")?))
        })
        .optional()?;
    Ok(found
        .filter(|(_, sender)| match by {
            Revoker::Sender(by) => by.contains(sender),
            Revoker::Admin => true,
        })
        .map(|(state, _)| state))
}
