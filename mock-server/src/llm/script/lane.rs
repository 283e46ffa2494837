//! Which of several conversations a request belongs to: the chat, a title, a sub-agent.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::llm::script::origin::{HeaderRule, KeyPattern, ToolsRule};
use crate::llm::script::pattern::TextPattern;
use crate::llm::script::turn::{Response, Times};

/// The lane of every request that no rule claims.
pub const MAIN_LANE: &str = "main";

/// A lane: the requests for which all conditions given here hold, and how its turns are
/// said. `main` has no conditions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LaneRule {
    /// What the system prompt holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<TextPattern>,
    /// The model that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<TextPattern>,
    /// The value of the header `x-lane`, exactly; or a map of headers and what their values
    /// hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderRule>,
    /// The API key, in clear or as `sk-1…9f`. It is masked wherever it is written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyPattern>,
    /// Tools that are offered, or are not: sub-agents have fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<ToolsRule>,
    /// The first real user text: what began the conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_user: Option<TextPattern>,
    /// The last real user text, as in `match`: what is asked now, e.g. for a summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<TextPattern>,
    /// What the client calls the conversation: `prompt_cache_key`, `session_id`, `user` or
    /// the header `x-session-id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<TextPattern>,
    /// `conversation`: each conversation has all the turns of the lane for itself, and owes
    /// them. Without it, they share them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Per>,
    /// How often the turns of the lane are said from the first to the last: a number, or
    /// `any` (also never, but a round that was begun is owed). Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Times>,
    /// What is said, as often as it is asked for, when no turn of the lane answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Response>,
}

/// The word `conversation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    Conversation,
}

impl LaneRule {
    /// A rule without a condition would take every request.
    pub(crate) fn has_conditions(&self) -> bool {
        let texts = [
            &self.system,
            &self.model,
            &self.first_user,
            &self.user,
            &self.conversation,
        ];
        texts.iter().any(|text| text.is_some())
            || self.header.is_some()
            || self.key.is_some()
            || self.tools.is_some()
    }
}

/// Lanes by name, for the error that names them.
pub(crate) fn known(lanes: &[&str]) -> String {
    let others = lanes.iter().copied().filter(|lane| *lane != MAIN_LANE);
    let names = std::iter::once(MAIN_LANE).chain(others);
    names.collect::<Vec<_>>().join(", ")
}

/// Headers by name.
pub(crate) type HeaderPatterns = BTreeMap<String, TextPattern>;
