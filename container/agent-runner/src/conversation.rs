//! What was said: the messages of a session, in the spelling of the completion API, which is
//! also that of the Kimi CLIs' `context.jsonl`.

use serde::{Deserialize, Serialize};

/// One message. The system prompt is not among them: it is assembled anew for each turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub(crate) enum Message {
    User {
        content: String,
    },
    Assistant {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<String>,
        /// What the model thought; Moonshot wants it back beside tool calls.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reasoning_content: Option<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ToolCall>,
    },
    Tool {
        tool_call_id: String,
        content: String,
    },
}

/// The model asks for a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ToolCall {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: CallKind,
    pub function: FunctionCall,
}

/// The API has one kind of tool call that we offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CallKind {
    Function,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FunctionCall {
    pub name: String,
    /// The text of a JSON object, as the API has it. Invariant: it parses; broken text in a
    /// history makes strict endpoints refuse every later request.
    pub arguments: String,
}
