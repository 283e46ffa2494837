//! Whom an event is about.

use super::{Event, MovedTask};
use crate::ids::{ChatJid, GroupFolder};

impl Event {
    /// Whether it befell this group, or its chat.
    #[must_use]
    pub(crate) fn concerns(&self, ours: &GroupFolder, its_chat: &ChatJid) -> bool {
        match self {
            Self::MessageReceived { chat, .. }
            | Self::MessageSent { chat, .. }
            | Self::MessageFailed { chat, .. }
            | Self::MessageDelivered { chat, .. }
            | Self::MessageRead { chat, .. }
            | Self::MessageEdited { chat, .. }
            | Self::MessageRevoked { chat, .. }
            | Self::ChatNamed { chat, .. }
            | Self::MediaStored { chat, .. } => chat == its_chat,
            Self::RunStarted { group, .. }
            | Self::RunSession { group, .. }
            | Self::RunToolCall { group, .. }
            | Self::RunToolResult { group, .. }
            | Self::RunUsage { group, .. }
            | Self::RunEnded { group, .. }
            | Self::AgentStarted { group, .. }
            | Self::AgentWaiting { group, .. }
            | Self::AgentClosed { group, .. }
            | Self::SessionStored { group, .. }
            | Self::SessionDropped { group, .. }
            | Self::SessionArchived { group, .. }
            | Self::TaskChanged { group, .. }
            | Self::TaskDue { group, .. }
            | Self::TaskMoved(MovedTask { group, .. })
            | Self::GroupRegistered { folder: group, .. } => group == ours,
            // Named by the folder that a file lay in, whoever's that is.
            Self::IpcDone { group, .. }
            | Self::IpcRefused { group, .. }
            | Self::IpcQuarantined { group, .. } => group == ours.as_str(),
            Self::Workspace(event) => event.group() == ours,
            Self::ChannelState { .. } => false,
        }
    }
}
