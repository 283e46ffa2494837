//! Chats we have heard of, and the groups registered for them.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::rows::{instant, parsed};
use super::{Store, StoreError, workspaces};
use crate::ids::{ChatJid, GroupFolder};

/// A chat that the assistant serves, with a folder of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub folder: GroupFolder,
    pub chat: ChatJid,
    pub name: String,
    pub trigger: TriggerRule,
    pub is_main: bool,
    pub added_at: Timestamp,
}

/// When a message in a group is meant for the assistant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TriggerRule {
    /// Every message is.
    Always,
    /// One that begins with `@<assistant name>`.
    AssistantName,
    /// One that begins with this text.
    Word(String),
}

/// A group to register.
#[derive(Clone, Debug)]
pub(crate) struct NewGroup {
    pub folder: GroupFolder,
    pub chat: ChatJid,
    pub name: String,
    pub trigger: TriggerRule,
    pub is_main: bool,
}

/// Why a group cannot be registered. Nothing is ever taken over from an existing one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupConflict {
    #[error("the folder `{folder}` belongs to `{owner}`; choose another folder")]
    FolderTaken { folder: GroupFolder, owner: String },
    #[error("`{chat}` is registered with the folder `{folder}`; remove it first")]
    ChatTaken { chat: ChatJid, folder: String },
    #[error("`{0}` is the main group already; there is only one")]
    MainTaken(String),
    #[error(
        "an agent of `{0}` is at work, or was when nanokimi was killed; wait for it, or start nanokimi once"
    )]
    Busy(String),
    #[error("the folder `main` is reserved for the main group")]
    MainReserved,
}

impl Store {
    pub(crate) async fn groups(&self) -> Result<Vec<Group>, StoreError> {
        self.call(|tx| {
            let mut rows = tx.prepare_cached("SELECT * FROM groups ORDER BY added_at, folder")?;
            let groups = rows.query_map([], group)?.collect::<Result<_, _>>()?;
            Ok(groups)
        })
        .await
    }

    pub(crate) async fn group_of_chat(&self, chat: ChatJid) -> Result<Option<Group>, StoreError> {
        self.call(move |tx| find(tx, "chat_jid", chat.as_str()))
            .await
    }

    pub(crate) async fn group_of_folder(
        &self,
        folder: GroupFolder,
    ) -> Result<Option<Group>, StoreError> {
        self.call(move |tx| find(tx, "folder", folder.as_str()))
            .await
    }

    /// Finds out whether a registration would be refused.
    pub(crate) async fn may_register(&self, new: NewGroup) -> Result<(), StoreError> {
        self.call(move |tx| refuse_conflicts(tx, &new)).await
    }

    /// Registers a group. The same registration twice is one; a different one is refused.
    pub(crate) async fn register_group(
        &self,
        new: NewGroup,
        now: Timestamp,
    ) -> Result<Group, StoreError> {
        self.call(move |tx| {
            refuse_conflicts(tx, &new)?;
            touch_chat(tx, &new.chat, Some(&new.name), now)?;
            let (pattern, requires) = columns(&new.trigger);
            tx.execute(
                "INSERT INTO groups (folder, chat_jid, name, trigger_pattern, requires_trigger, is_main, added_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (folder) DO UPDATE SET
                   name = ?3, trigger_pattern = ?4, requires_trigger = ?5",
                params![new.folder.as_str(), new.chat.as_str(), new.name, pattern, requires, new.is_main, instant(now)],
            )?;
            find(tx, "folder", new.folder.as_str())?.ok_or(StoreError::Sql(rusqlite::Error::QueryReturnedNoRows))
        })
        .await
    }

    /// Forgets a group, its tasks and its session; says whether there was one to forget. Its
    /// messages stay, and what was not answered waits for the group to come back.
    pub(crate) async fn remove_group(&self, folder: GroupFolder) -> Result<bool, StoreError> {
        self.call(move |tx| {
            let live: bool = tx.query_row(
                "SELECT EXISTS (SELECT 1 FROM runs WHERE group_folder = ?1 AND state = 'in_flight')",
                [folder.as_str()],
                |row| row.get(0),
            )?;
            if live {
                return Err(GroupConflict::Busy(folder.to_string()).into());
            }
            tx.execute("DELETE FROM sessions WHERE group_folder = ?1", [folder.as_str()])?;
            tx.execute("DELETE FROM left_sessions WHERE group_folder = ?1", [folder.as_str()])?;
            tx.execute("DELETE FROM tasks WHERE group_folder = ?1", [folder.as_str()])?;
            workspaces::forget(tx, &folder)?;
            tx.execute(
                "UPDATE messages SET run_id = NULL WHERE run_id IN (SELECT id FROM runs WHERE group_folder = ?1)",
                [folder.as_str()],
            )?;
            tx.execute(
                "UPDATE outbox SET run_id = NULL, output_index = NULL
                 WHERE run_id IN (SELECT id FROM runs WHERE group_folder = ?1)",
                [folder.as_str()],
            )?;
            tx.execute("DELETE FROM runs WHERE group_folder = ?1", [folder.as_str()])?;
            Ok(tx.execute("DELETE FROM groups WHERE folder = ?1", [folder.as_str()])? > 0)
        })
        .await
    }

    /// Notes that people talk in a chat, whoever's it is: when, and under which name. What they
    /// say there is not kept. Returns whether the name is news.
    pub(crate) async fn note_chat(
        &self,
        chat: ChatJid,
        name: Option<String>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.call(move |tx| {
            let known: Option<String> = tx
                .prepare_cached("SELECT name FROM chats WHERE jid = ?1")?
                .query_row([chat.as_str()], |row| row.get(0))
                .optional()?;
            touch_chat(tx, &chat, name.as_deref(), at)?;
            Ok(name.is_some() && name != known)
        })
        .await
    }

    /// Chats of groups that could be registered, newest activity first, with their folder if
    /// they are.
    pub(crate) async fn available_chats(
        &self,
    ) -> Result<Vec<agent_protocol::AvailableGroup>, StoreError> {
        self.call(|tx| {
            let mut rows = tx.prepare_cached(
                "SELECT jid, chats.name, last_activity, groups.folder IS NOT NULL AS is_registered
                 FROM chats LEFT JOIN groups ON groups.chat_jid = chats.jid
                 WHERE is_group = 1 ORDER BY last_activity DESC, jid",
            )?;
            let chats = rows
                .query_map([], |row| {
                    Ok(agent_protocol::AvailableGroup {
                        jid: row.get("jid")?,
                        name: row.get("name")?,
                        last_activity: parsed(row, "last_activity")?,
                        is_registered: row.get("is_registered")?,
                    })
                })?
                .collect::<Result<_, _>>()?;
            Ok(chats)
        })
        .await
    }
}

fn refuse_conflicts(tx: &Transaction<'_>, new: &NewGroup) -> Result<(), StoreError> {
    if new.is_main != new.folder.is_main() {
        return Err(GroupConflict::MainReserved.into());
    }
    if let Some(owner) = find(tx, "folder", new.folder.as_str())?
        && owner.chat != new.chat
    {
        return Err(GroupConflict::FolderTaken {
            folder: new.folder.clone(),
            owner: owner.chat.to_string(),
        }
        .into());
    }
    match find(tx, "chat_jid", new.chat.as_str())? {
        Some(group) if group.folder != new.folder => Err(GroupConflict::ChatTaken {
            chat: new.chat.clone(),
            folder: group.folder.to_string(),
        }
        .into()),
        Some(_) | None => Ok(()),
    }
}

/// Upserts a chat: a name is only overwritten by a name, activity only moves forward.
pub(super) fn touch_chat(
    tx: &Transaction<'_>,
    chat: &ChatJid,
    name: Option<&str>,
    at: Timestamp,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO chats (jid, name, is_group, last_activity) VALUES (?1, coalesce(?2, ?1), ?3, ?4)
         ON CONFLICT (jid) DO UPDATE SET
           name = coalesce(?2, name), last_activity = max(last_activity, ?4)",
    )?
    .execute(params![chat.as_str(), name, chat.is_group(), instant(at)])?;
    Ok(())
}

/// `column` is one of our own two words, never input.
fn find(
    tx: &Transaction<'_>,
    column: &'static str,
    value: &str,
) -> Result<Option<Group>, StoreError> {
    let found = tx
        .prepare_cached(&format!("SELECT * FROM groups WHERE {column} = ?1"))?
        .query_row([value], group)
        .optional()?;
    Ok(found)
}

pub(super) fn group(row: &Row<'_>) -> rusqlite::Result<Group> {
    let trigger = match (
        row.get::<_, bool>("requires_trigger")?,
        row.get::<_, Option<String>>("trigger_pattern")?,
    ) {
        (false, _) => TriggerRule::Always,
        (true, Some(word)) => TriggerRule::Word(word),
        (true, None) => TriggerRule::AssistantName,
    };
    Ok(Group {
        folder: parsed(row, "folder")?,
        chat: parsed(row, "chat_jid")?,
        name: row.get("name")?,
        trigger,
        is_main: row.get("is_main")?,
        added_at: parsed(row, "added_at")?,
    })
}

fn columns(trigger: &TriggerRule) -> (Option<&str>, bool) {
    match trigger {
        TriggerRule::Always => (None, false),
        TriggerRule::AssistantName => (None, true),
        TriggerRule::Word(word) => (Some(word), true),
    }
}
