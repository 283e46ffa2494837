//! Which of several conversations a request belongs to: the chat, a title, a sub-agent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::llm::script::pattern::{Heard, TextPattern};

/// The lane of every request that no rule claims.
pub const MAIN_LANE: &str = "main";

/// The requests of a lane: those for which all that is given here holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LaneRule {
    /// What the system prompt holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<TextPattern>,
    /// The model that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<TextPattern>,
    /// The value of the header `x-lane`, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
}

/// What of a request a lane is known by.
#[derive(Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) header: Option<&'a str>,
    pub(crate) model: &'a Heard<'a>,
    pub(crate) system: Option<&'a Heard<'a>>,
}

impl LaneRule {
    /// A rule without a condition would take every request.
    pub(crate) fn is_empty(&self) -> bool {
        self.system.is_none() && self.model.is_none() && self.header.is_none()
    }

    pub(crate) fn claims(&self, origin: &Origin<'_>) -> bool {
        let header = self
            .header
            .as_deref()
            .is_none_or(|wanted| origin.header == Some(wanted));
        let model = self
            .model
            .as_ref()
            .is_none_or(|wanted| wanted.is_in(origin.model));
        let system = self
            .system
            .as_ref()
            .is_none_or(|wanted| origin.system.is_some_and(|system| wanted.is_in(system)));
        header && model && system
    }
}
