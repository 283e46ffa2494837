//! Files the orchestrator leaves in an agent's IPC folder, in `input/`, for an agent that waits
//! for more ([`AgentInput::waits`](crate::AgentInput)).
//!
//! The spelling of `type` and `text`, and the name of the last file, are the ancestors'. A file is
//! put into place whole, under a name that ends in `.json` and does not begin with a dot; its
//! reader removes it before it acts on it. There is never more than one.

use serde::{Deserialize, Serialize};

/// The folder, below the IPC folder.
pub const INPUT_FOLDER: &str = "input";

/// The name of a file, empty, that tells a waiting agent to end.
pub const CLOSE: &str = "_close";

/// `input/*.json`: the conversation goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub enum FollowUp {
    Message {
        /// The conversation's new part, already formatted for the model.
        text: String,
        /// As in [`AgentInput`](crate::AgentInput).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input_id: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ancestors_follow_up_is_understood() {
        let text = r#"{"type":"message","text":"and then?"}"#;
        let follow_up = FollowUp::Message {
            text: "and then?".into(),
            input_id: None,
        };
        assert_eq!(serde_json::from_str::<FollowUp>(text).unwrap(), follow_up);
        assert_eq!(serde_json::to_string(&follow_up).unwrap(), text);
    }
}
