//! `nanokimi groups list|register|remove`, and what `mounts` has.

use std::io::Write;
use std::path::Path;

use agent_protocol::AvailableGroup;
use jiff::Timestamp;
use serde::Serialize;

use super::mounts::{MountsCommand, mounts};
use super::{CommandError, Shown, open, show};
use crate::config::Config;
use crate::ids::{ChatJid, GroupFolder};
use crate::ipc::Inbox;
use crate::store::{Group, NewGroup, Store, TriggerRule};

/// What to do with groups.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum GroupsCommand {
    /// Show the registered groups.
    List {
        /// Show every group that is known instead, registered or not.
        #[arg(long)]
        available: bool,
    },
    /// Serve a chat, with a folder of its own.
    Register {
        /// The chat: `http:<name>` or a WhatsApp id such as `120363@g.us`.
        jid: ChatJid,
        /// The folder below `groups/`.
        #[arg(long)]
        folder: GroupFolder,
        /// What people call it; the folder's name if not given.
        #[arg(long)]
        name: Option<String>,
        /// Answer what begins with this, instead of `@<assistant name>`.
        #[arg(long, conflicts_with = "always")]
        trigger: Option<String>,
        /// Answer every message.
        #[arg(long)]
        always: bool,
    },
    /// Stop serving a group. Its folder and its messages stay.
    Remove { folder: GroupFolder },
    #[command(flatten)]
    Mounts(MountsCommand),
}

#[derive(Serialize)]
struct Row {
    folder: GroupFolder,
    chat: ChatJid,
    name: String,
    trigger: String,
    main: bool,
}

pub async fn groups(
    root: &Path,
    config: &Config,
    command: GroupsCommand,
    shown: Shown,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let store = open(root)?;
    match command {
        GroupsCommand::List { available: true } => show_available(&store, shown, out).await,
        GroupsCommand::List { available: false } => show_registered(&store, shown, out).await,
        GroupsCommand::Register {
            jid,
            folder,
            name,
            trigger,
            always,
        } => {
            let new = NewGroup {
                name: name.unwrap_or_else(|| folder.to_string()),
                is_main: folder.is_main(),
                folder,
                chat: jid,
                trigger: rule(trigger, always),
            };
            let group = store.register_group(new, Timestamp::now()).await?;
            // A running orchestrator sees the new folder, and with it the new group.
            Inbox::open(&root.join("data/ipc"))?.prepare(group.folder.as_str())?;
            writeln!(out, "registered {} as {}", group.chat, group.folder)?;
            Ok(())
        }
        GroupsCommand::Remove { folder } => {
            if folder.is_main() {
                return Err(CommandError::Refused(
                    "the main group cannot be removed".to_owned(),
                ));
            }
            if !store.remove_group(folder.clone()).await? {
                return Err(CommandError::Refused(format!(
                    "there is no group `{folder}`"
                )));
            }
            writeln!(out, "removed {folder}; its folder and messages are kept")?;
            Ok(())
        }
        GroupsCommand::Mounts(command) => mounts((root, config), &store, command, shown, out).await,
    }
}

async fn show_registered(
    store: &Store,
    shown: Shown,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let rows: Vec<Row> = store.groups().await?.into_iter().map(row).collect();
    let line = |row: &Row| {
        format!(
            "{}\t{}\t{}\t{}",
            row.folder, row.chat, row.trigger, row.name
        )
    };
    show(out, shown, &rows, line, "no groups are registered")
}

async fn show_available(
    store: &Store,
    shown: Shown,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let line = |chat: &AvailableGroup| {
        let served = if chat.is_registered {
            "registered"
        } else {
            "-"
        };
        let (jid, name, last) = (&chat.jid, &chat.name, chat.last_activity);
        format!("{jid}\t{served}\t{last}\t{name}")
    };
    let chats = store.available_chats().await?;
    show(out, shown, &chats, line, "no groups are known")
}

fn rule(trigger: Option<String>, always: bool) -> TriggerRule {
    match (trigger, always) {
        (_, true) => TriggerRule::Always,
        (Some(word), false) => TriggerRule::Word(word),
        (None, false) => TriggerRule::AssistantName,
    }
}

fn row(group: Group) -> Row {
    Row {
        trigger: match &group.trigger {
            TriggerRule::Always => "always".to_owned(),
            TriggerRule::AssistantName => "@assistant".to_owned(),
            TriggerRule::Word(word) => format!("`{word}`"),
        },
        folder: group.folder,
        chat: group.chat,
        name: group.name,
        main: group.is_main,
    }
}
