//! What an agent tells while it works: one JSON object per line on its stdout.
//!
//! Any line that is not such an object is noise; the orchestrator keeps it in the run log.
//! A run that ends without [`AgentEvent::Result`] has failed, whatever its exit code.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One line of an agent's stdout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub enum AgentEvent {
    /// The conversation the run works in, known before the first model request.
    Session {
        session_id: String,
        /// An earlier conversation is being continued.
        resumed: bool,
    },
    /// A conversation that the group has left is dealt with, and need not be named again.
    Archived {
        session_id: String,
        /// Where it is written down, below the group's folder; none if nothing of it was there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
    },
    /// A whole text of the assistant.
    Text {
        text: String,
        /// Said beside a tool call, so not yet an answer: kept in the run log, not delivered.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        interim: bool,
    },
    /// The model asked for a tool.
    ToolCall {
        id: String,
        name: String,
        arguments: Value,
    },
    /// A tool has answered.
    ToolResult {
        id: String,
        name: String,
        ok: bool,
        output: String,
    },
    /// What one model request cost.
    Usage(Usage),
    /// The turn is complete and its session is on disk.
    Result {
        new_session_id: String,
        /// Which input this answers, if it was called anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input_id: Option<String>,
    },
    /// The turn failed.
    Error {
        kind: AgentErrorKind,
        message: String,
        /// The same input may succeed later.
        retryable: bool,
    },
}

/// Token counts of one model request, as the endpoint reported them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    #[serde(default)]
    pub cached_tokens: u64,
}

/// Why a turn failed, in terms an operator can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentErrorKind {
    /// The input on stdin was not an `AgentInput`.
    Input,
    /// A setting is missing or wrong, e.g. no model or no key.
    Config,
    /// The endpoint refused the credential (401, 403).
    Auth,
    /// The account is out of credit (402).
    Quota,
    /// The endpoint asked to slow down (429) for longer than we wait.
    RateLimit,
    /// The endpoint failed (5xx, an error frame in a stream).
    Upstream,
    /// The connection failed or broke.
    Network,
    /// Nothing useful arrived for too long.
    Stalled,
    /// The endpoint refused the request as malformed or unknown (other 4xx).
    Request,
    /// The conversation no longer fits the model.
    ContextTooLong,
    /// The answer was withheld by the provider.
    ContentFilter,
    /// The endpoint answered, but not in its protocol.
    Protocol,
    /// The session to continue is not on disk, or cannot be read.
    SessionNotFound,
    /// The session to continue is larger than one that is gone on with.
    SessionTooLarge,
    /// The turn asked for more tool rounds than allowed.
    TooManySteps,
    /// The machine: a full disk, a missing folder.
    Io,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(event: &AgentEvent, line: &str) {
        assert_eq!(serde_json::to_string(event).unwrap(), line);
        assert_eq!(&serde_json::from_str::<AgentEvent>(line).unwrap(), event);
    }

    #[test]
    fn events_have_the_documented_shape() {
        check(
            &AgentEvent::Session {
                session_id: "s1".into(),
                resumed: true,
            },
            r#"{"type":"session","sessionId":"s1","resumed":true}"#,
        );
        check(
            &AgentEvent::Text {
                text: "hi".into(),
                interim: false,
            },
            r#"{"type":"text","text":"hi"}"#,
        );
        check(
            &AgentEvent::Result {
                new_session_id: "s1".into(),
                input_id: None,
            },
            r#"{"type":"result","newSessionId":"s1"}"#,
        );
        check(
            &AgentEvent::Result {
                new_session_id: "s1".into(),
                input_id: Some("r1".into()),
            },
            r#"{"type":"result","newSessionId":"s1","inputId":"r1"}"#,
        );
        check(
            &AgentEvent::Error {
                kind: AgentErrorKind::RateLimit,
                message: "slow down".into(),
                retryable: true,
            },
            r#"{"type":"error","kind":"rate_limit","message":"slow down","retryable":true}"#,
        );
        check(
            &AgentEvent::Usage(Usage {
                prompt_tokens: 1,
                completion_tokens: 2,
                cached_tokens: 0,
            }),
            r#"{"type":"usage","promptTokens":1,"completionTokens":2,"cachedTokens":0}"#,
        );
    }
}
