//! Rules of the wire that a script may put out of force, by name and in sight.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A rule that requests must keep, as they must with the real services.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum WireRule {
    /// Each call has a result before the next message, and each result answers a call.
    Pairing,
    /// Moonshot and Kimi: who lets the model think sends its thoughts back with its calls.
    ReasoningContent,
    /// The arguments of calls in the history are JSON, unless a script sent them otherwise.
    Arguments,
    /// A turn calls only tools that the request offers.
    UnknownTool,
    /// Each call in the history has an id of its own.
    DuplicateIds,
    /// A request offers no two tools of one name.
    DuplicateTools,
    /// Moonshot and Kimi: a request has at most 2,097,152 bytes.
    BodySize,
}

/// The rules that are out of force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lenience(BTreeSet<WireRule>);

impl Lenience {
    pub(crate) fn minds(&self, rule: WireRule) -> bool {
        !self.0.contains(&rule)
    }

    pub(crate) fn and(&self, rules: &[WireRule]) -> Self {
        Self(self.0.iter().chain(rules).copied().collect())
    }
}

impl WireRule {
    /// As scripts write it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pairing => "pairing",
            Self::ReasoningContent => "reasoning_content",
            Self::Arguments => "arguments",
            Self::UnknownTool => "unknown_tool",
            Self::DuplicateIds => "duplicate_ids",
            Self::DuplicateTools => "duplicate_tools",
            Self::BodySize => "body_size",
        }
    }
}
