//! What an agent is told when it starts.

use serde::{Deserialize, Serialize};

/// The first turn's work: a single JSON object on the agent's stdin, then end of file.
///
/// The field names are those that the seeds' `docker run -i … nanokimi-agent` uses by hand,
/// so only `prompt` is required there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentInput {
    /// The conversation's new part, already formatted for the model.
    pub prompt: String,
    /// The session to continue; none starts a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The group's folder name, for diagnostics and for the IPC files.
    #[serde(default)]
    pub group_folder: String,
    /// Where the conversation takes place, e.g. `120363@g.us` or `http:main`.
    #[serde(default)]
    pub chat_jid: String,
    /// The one privileged group.
    #[serde(default)]
    pub is_main: bool,
    /// Nobody wrote: the scheduler woke the agent.
    #[serde(default)]
    pub is_scheduled_task: bool,
    /// The assistant's name, for the system prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assistant_name: Option<String>,
    /// What the orchestrator calls this input; comes back with its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_id: Option<String>,
    /// After each result the agent waits for a [`FollowUp`](crate::FollowUp), until it is told
    /// to end. Without this it ends by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits: bool,
    /// Conversations that the group does not go on with any more: written down for people, and
    /// for the agent itself, before anything else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_sessions: Vec<LeftSession>,
}

/// A conversation that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftSession {
    pub session_id: String,
    /// The day of its last turn where the group lives, e.g. `2026-01-05`.
    pub last_day: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hand_typed_input_needs_only_a_prompt() {
        let input: AgentInput = serde_json::from_str(r#"{"prompt":"What is 2+2?"}"#).unwrap();
        assert_eq!(input.prompt, "What is 2+2?");
        assert_eq!(input.session_id, None);
        assert!(!input.is_main && !input.waits);
    }
}
