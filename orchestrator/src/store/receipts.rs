//! Receipts for IPC files: what a file asks for and the note that it was done are one
//! transaction, so a file that outlives us (a crash, a folder we may not write) is not done twice.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::groups::touch_chat;
use super::outbox::{NewText, OutboxMedia, insert_text};
use super::rows::{instant, parsed};
use super::tasks::{TaskUpdate, forget, write_update};
use super::{Store, StoreError};
use crate::ids::{ChatJid, GroupFolder, RunId, TaskId};

/// A file as its receipt names it: the folder it lay in, then `messages/…` or `tasks/…`.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    pub group: GroupFolder,
    pub file: String,
}

impl Store {
    pub(crate) async fn has_receipt(&self, receipt: Receipt) -> Result<bool, StoreError> {
        self.call(move |tx| {
            let found: Option<i64> = tx
                .prepare_cached("SELECT 1 FROM ipc_receipts WHERE group_folder = ?1 AND file = ?2")?
                .query_row(params![receipt.group.as_str(), receipt.file], |row| {
                    row.get(0)
                })
                .optional()?;
            Ok(found.is_some())
        })
        .await
    }

    /// The file is gone, so its receipt may go.
    pub(crate) async fn drop_receipt(&self, receipt: Receipt) -> Result<(), StoreError> {
        self.call(move |tx| {
            tx.execute(
                "DELETE FROM ipc_receipts WHERE group_folder = ?1 AND file = ?2",
                params![receipt.group.as_str(), receipt.file],
            )?;
            Ok(())
        })
        .await
    }

    /// Notes that a file is handled which changes nothing here: refused, or without effect. A
    /// second receipt for a file is the first.
    pub(crate) async fn keep_receipt(
        &self,
        receipt: Receipt,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.call(move |tx| give_receipt(tx, &receipt, now)).await
    }

    /// Changes a task as a file asks; says whether there was one.
    pub(crate) async fn update_task_for(
        &self,
        receipt: Receipt,
        id: TaskId,
        update: TaskUpdate,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.call(move |tx| {
            give_receipt(tx, &receipt, now)?;
            write_update(tx, &id, update)
        })
        .await
    }

    /// Forgets a task as a file asks; says whether there was one.
    pub(crate) async fn cancel_task_for(
        &self,
        receipt: Receipt,
        id: TaskId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.call(move |tx| {
            give_receipt(tx, &receipt, now)?;
            forget(tx, &id)
        })
        .await
    }

    /// Keeps what an agent sent by IPC, in the parts in which it leaves, with the receipt for
    /// its file. It belongs to the live run of the agent's group, if there is one.
    pub(crate) async fn queue_ipc_text(
        &self,
        receipt: Receipt,
        chat: ChatJid,
        (parts, media): (Vec<String>, Option<OutboxMedia>),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.call(move |tx| {
            give_receipt(tx, &receipt, now)?;
            touch_chat(tx, &chat, None, now)?;
            let run: Option<RunId> = tx
                .prepare_cached(
                    "SELECT id FROM runs WHERE group_folder = ?1 AND state = 'in_flight'",
                )?
                .query_row([receipt.group.as_str()], |row| parsed(row, "id"))
                .optional()?;
            for (part, text) in (0..).zip(&parts) {
                let text = NewText {
                    chat: &chat,
                    run: run.as_ref(),
                    output_index: None,
                    part,
                    text,
                    // The first part is its caption.
                    media: media.as_ref().filter(|_| part == 0),
                };
                insert_text(tx, &text, now)?;
            }
            Ok(())
        })
        .await
    }
}

pub(super) fn give_receipt(
    tx: &Transaction<'_>,
    receipt: &Receipt,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO ipc_receipts (group_folder, file, handled_at) VALUES (?1, ?2, ?3)
         ON CONFLICT DO NOTHING",
        params![receipt.group.as_str(), receipt.file, instant(now)],
    )?;
    Ok(())
}
