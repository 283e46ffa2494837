//! What happens to groups' workspaces.

use jiff::Timestamp;
use serde::Serialize;

use crate::ids::GroupFolder;
use crate::workspace::LeftOut;

/// Something that has happened to a group's workspace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum WorkspaceEvent {
    /// A version of the group's workspace is in the store.
    Released {
        group: GroupFolder,
        version: u64,
        files: usize,
        /// Of these, how many contents were new to the store, and their bytes.
        uploaded: usize,
        bytes: u64,
    },
    /// The group's workspace is here as it was released.
    Restored {
        group: GroupFolder,
        version: u64,
        /// Files that were fetched, and their bytes.
        fetched: usize,
        bytes: u64,
    },
    /// Somebody else has released a version meanwhile. What both changed differently is theirs;
    /// ours is kept beside it, under these names.
    Conflict {
        group: GroupFolder,
        version: u64,
        kept: Vec<String>,
    },
    /// The workspace is not in the store yet, or not here yet; it is tried again.
    Failed {
        group: GroupFolder,
        #[serde(skip)]
        what: WorkspaceStep,
        reason: String,
        retry_at: Timestamp,
    },
    /// These are not kept in the store, and why; of many, the first.
    LeftOut {
        group: GroupFolder,
        count: usize,
        files: Vec<LeftOut>,
    },
}

/// What failed about a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkspaceStep {
    Release,
    Restore,
}

impl WorkspaceEvent {
    /// Whose workspace it is.
    pub(super) fn group(&self) -> &GroupFolder {
        match self {
            Self::Released { group, .. }
            | Self::Restored { group, .. }
            | Self::Conflict { group, .. }
            | Self::Failed { group, .. }
            | Self::LeftOut { group, .. } => group,
        }
    }

    /// The SSE event name.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Released { .. } => "workspace.released",
            Self::Restored { .. } => "workspace.restored",
            Self::Conflict { .. } => "workspace.conflict",
            Self::Failed { what, .. } => match what {
                WorkspaceStep::Release => "workspace.release_failed",
                WorkspaceStep::Restore => "workspace.restore_failed",
            },
            Self::LeftOut { .. } => "workspace.left_out",
        }
    }
}
