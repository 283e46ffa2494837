//! What an agent may know: `current_tasks.json` and `available_groups.json` in its folder.
//!
//! They are written when its agent starts and after every change, since it may run meanwhile.

use std::collections::BTreeSet;
use std::io;

use agent_protocol::AvailableGroups;

use super::IpcDesk;
use crate::ids::GroupFolder;
use crate::store::{Group, StoreError, Task};

/// The files for an agent could not be left in its folder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("what the agent may know cannot be read")]
    Store(#[from] StoreError),
    #[error("the snapshots for the agent cannot be written")]
    Write(#[source] io::Error),
    #[error("the snapshots for the agent cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    #[error("the IPC watcher has stopped")]
    Stopped,
}

/// Writes the files of one group, if it has a folder.
pub(super) async fn publish(desk: &IpcDesk, group: &Group) -> Result<(), PublishError> {
    let store = &desk.house.store;
    let own = (!group.is_main).then(|| group.folder.clone());
    let tasks: Vec<_> = store.tasks(own).await?.iter().map(Task::snapshot).collect();
    let groups = if group.is_main {
        store.available_chats().await?
    } else {
        Vec::new()
    };
    let synced = store.groups_synced_at().await?;
    let available = AvailableGroups {
        groups,
        last_sync: synced.unwrap_or_else(|| desk.house.clock.now()),
    };
    let tasks = serde_json::to_vec_pretty(&tasks)?;
    let available = serde_json::to_vec_pretty(&available)?;
    for (name, text) in [
        ("current_tasks.json", tasks),
        ("available_groups.json", available),
    ] {
        desk.inbox
            .write_snapshot(group.folder.as_str(), name, &text)
            .map_err(PublishError::Write)?;
    }
    Ok(())
}

/// Writes the files of these groups anew. What fails is told, and written when the group's
/// agent starts.
pub(super) async fn republish(desk: &IpcDesk, folders: BTreeSet<GroupFolder>) {
    for folder in folders {
        if let Err(error) = republish_one(desk, folder.clone()).await {
            let error = crate::chain(&error);
            tracing::warn!(group = %folder, error, "a running agent does not see the latest change");
        }
    }
}

async fn republish_one(desk: &IpcDesk, folder: GroupFolder) -> Result<(), PublishError> {
    match desk.house.store.group_of_folder(folder).await? {
        Some(group) => publish(desk, &group).await,
        None => Ok(()),
    }
}
