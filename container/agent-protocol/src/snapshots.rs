//! Files the orchestrator writes into an agent's IPC folder for it to read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ScheduleType;

/// One entry of `current_tasks.json`: an array of the tasks this group may see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSnapshot {
    pub id: String,
    #[serde(rename = "groupFolder")]
    pub group_folder: String,
    pub prompt: String,
    pub schedule_type: ScheduleType,
    pub schedule_value: String,
    /// `active`, `paused` or `completed`.
    pub status: String,
    /// UTC; none when the task will not run again.
    pub next_run: Option<Timestamp>,
}

/// `available_groups.json`: the chats the main group may register. Empty for other groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AvailableGroups {
    pub groups: Vec<AvailableGroup>,
    pub last_sync: Timestamp,
}

/// One chat that is, or could be, a group of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AvailableGroup {
    pub jid: String,
    pub name: String,
    pub last_activity: Timestamp,
    pub is_registered: bool,
}
