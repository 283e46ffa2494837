//! The rules that Anthropic's server enforces, told in its words.
//!
//! Neighbours with one role count as one message, as the service reads them; places are
//! those of the request, so that a client finds what it sent.

use std::collections::HashSet;

use crate::llm::dialect::anthropic::answer::signature;
use crate::llm::dialect::anthropic::request::{Block, Body, Message, Role, Tool};
use crate::llm::script::lenient::WireRule;

/// The fewest tokens that a thought may be allowed.
const SMALLEST_BUDGET: i64 = 1024;

/// What is wrong with a request.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("{field}: Field required")]
    Missing { field: &'static str },
    #[error("{place}: {fault}")]
    Unreadable { place: String, fault: String },
    #[error(
        "messages: Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, not \"system\" as an input message role."
    )]
    SystemRole,
    #[error("{field}: Input should be greater than or equal to {least}")]
    TooSmall { field: &'static str, least: i64 },
    #[error("`max_tokens` must be greater than `thinking.budget_tokens`.")]
    Budget,
    #[error("messages: at least one message is required")]
    NoMessages,
    #[error("messages: first message must use the \"user\" role")]
    FirstRole,
    #[error(
        "messages.{place}: all messages must have non-empty content except for the optional final assistant message"
    )]
    Empty { place: usize },
    #[error("messages: text content blocks must be non-empty")]
    EmptyText,
    #[error("messages: text content blocks must contain non-whitespace text")]
    BlankText,
    #[error("messages: final assistant content cannot end with trailing whitespace")]
    TrailingSpace,
    #[error("messages: `tool_use` ids must be unique")]
    DuplicateId,
    #[error(
        "messages.{place}: `tool_use` ids were found without `tool_result` blocks immediately after: {ids}. Each `tool_use` block must have a corresponding `tool_result` block in the next message."
    )]
    Unanswered { place: usize, ids: String },
    #[error(
        "messages.{place}.content.{block}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
    )]
    NoSuchUse {
        place: usize,
        block: usize,
        id: String,
    },
    #[error(
        "messages.{place}.content.{block}: each tool_use must have a single result. Found multiple `tool_result` blocks with id: {id}"
    )]
    AnsweredTwice {
        place: usize,
        block: usize,
        id: String,
    },
    #[error("{place}: String should match pattern '{pattern}'")]
    Pattern {
        place: String,
        pattern: &'static str,
    },
    #[error("messages.{place}.content.{block}: Invalid `signature` in `thinking` block")]
    Signature { place: usize, block: usize },
    #[error("tools: Tool names must be unique.")]
    DuplicateTool,
    #[error("tools.{place}.custom.input_schema: Field required")]
    NoSchema { place: usize },
}

impl Unfit {
    /// The rule that is broken, if a script may put it out of force.
    pub(crate) fn rule(&self) -> Option<WireRule> {
        match self {
            Self::Unanswered { .. } | Self::NoSuchUse { .. } | Self::AnsweredTwice { .. } => {
                Some(WireRule::Pairing)
            }
            Self::DuplicateId => Some(WireRule::DuplicateIds),
            Self::DuplicateTool => Some(WireRule::DuplicateTools),
            Self::Missing { .. }
            | Self::Unreadable { .. }
            | Self::SystemRole
            | Self::TooSmall { .. }
            | Self::Budget
            | Self::NoMessages
            | Self::FirstRole
            | Self::Empty { .. }
            | Self::EmptyText
            | Self::BlankText
            | Self::TrailingSpace
            | Self::Pattern { .. }
            | Self::Signature { .. }
            | Self::NoSchema { .. } => None,
        }
    }
}

/// An answer has a length that the request must bound.
pub(super) fn check_length(body: &Body) -> Result<(), Unfit> {
    let field = "max_tokens";
    let length = body.max_tokens.ok_or(Unfit::Missing { field })?;
    if length < 1 {
        return Err(Unfit::TooSmall { field, least: 1 });
    }
    let thinking = body.thinking.as_ref();
    match thinking.and_then(|thinking| thinking.budget_tokens) {
        Some(budget) if budget < SMALLEST_BUDGET => Err(Unfit::TooSmall {
            field: "thinking.enabled.budget_tokens",
            least: SMALLEST_BUDGET,
        }),
        Some(budget) if budget >= length => Err(Unfit::Budget),
        Some(_) | None => Ok(()),
    }
}

/// All other rules.
pub(super) fn check(body: &Body, messages: &[Message]) -> Result<(), Unfit> {
    if body.model.is_none() {
        return Err(Unfit::Missing { field: "model" });
    }
    check_tools(&body.tools)?;
    let first = messages.first().ok_or(Unfit::NoMessages)?;
    if first.role != Role::User {
        return Err(Unfit::FirstRole);
    }
    for (place, message) in messages.iter().enumerate() {
        let is_last = place + 1 == messages.len();
        check_content(place, message, is_last)?;
    }
    check_pairs(messages)
}

fn check_tools(tools: &[Tool]) -> Result<(), Unfit> {
    let mut names = HashSet::new();
    for (place, tool) in tools.iter().enumerate() {
        let is_custom = tool.r#type.as_deref().is_none_or(|kind| kind == "custom");
        if is_custom && !(is_name(&tool.name) && tool.name.len() <= 128) {
            return Err(Unfit::Pattern {
                place: format!("tools.{place}.custom.name"),
                pattern: "^[a-zA-Z0-9_-]{1,128}$",
            });
        }
        if is_custom && tool.input_schema.is_none() {
            return Err(Unfit::NoSchema { place });
        }
        if !names.insert(&tool.name) {
            return Err(Unfit::DuplicateTool);
        }
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    !text.is_empty() && text.chars().all(legal)
}

fn check_content(place: usize, message: &Message, is_last: bool) -> Result<(), Unfit> {
    let may_be_empty = is_last && message.role == Role::Assistant;
    let is_empty = match &message.blocks[..] {
        [] => true,
        [Block::Text { text }] => text.is_empty(),
        _several => false,
    };
    if is_empty && !may_be_empty {
        return Err(Unfit::Empty { place });
    }
    for (block, content) in message.blocks.iter().enumerate() {
        check_block(place, block, content, may_be_empty)?;
    }
    match message.blocks.last() {
        Some(Block::Text { text }) if may_be_empty && text.ends_with(char::is_whitespace) => {
            Err(Unfit::TrailingSpace)
        }
        Some(_) | None => Ok(()),
    }
}

fn check_block(
    place: usize,
    block: usize,
    content: &Block,
    may_be_empty: bool,
) -> Result<(), Unfit> {
    match content {
        Block::Text { text } if text.is_empty() && !may_be_empty => Err(Unfit::EmptyText),
        Block::Text { text } if text.trim().is_empty() && !may_be_empty => Err(Unfit::BlankText),
        Block::ToolUse { id, .. } if !is_name(id) => Err(Unfit::Pattern {
            place: format!("messages.{place}.content.{block}.tool_use.id"),
            pattern: "^[a-zA-Z0-9_-]+$",
        }),
        Block::Thinking {
            thinking,
            signature: signed,
        } if *signed != signature(thinking) => Err(Unfit::Signature { place, block }),
        Block::Text { .. }
        | Block::Image { .. }
        | Block::ToolUse { .. }
        | Block::ToolResult { .. }
        | Block::Thinking { .. }
        | Block::RedactedThinking { .. }
        | Block::Other => Ok(()),
    }
}

/// Neighbours with one role, and where their blocks stand.
struct Group<'a> {
    role: Role,
    blocks: Vec<(usize, usize, &'a Block)>,
}

/// Each use is answered once, at the very beginning of what follows it.
fn check_pairs(messages: &[Message]) -> Result<(), Unfit> {
    let mut known = HashSet::new();
    let mut open = Vec::new();
    for group in groups(messages) {
        check_answered(&group, &open)?;
        open = group.uses().collect();
        if !open.iter().all(|(_place, id)| known.insert(*id)) {
            return Err(Unfit::DuplicateId);
        }
    }
    unanswered(&open, &HashSet::new())
}

fn groups(messages: &[Message]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (place, message) in messages.iter().enumerate() {
        let blocks = message.blocks.iter().enumerate();
        let blocks = blocks.map(|(block, content)| (place, block, content));
        match groups.last_mut() {
            Some(group) if group.role == message.role => group.blocks.extend(blocks),
            Some(_) | None => groups.push(Group {
                role: message.role,
                blocks: blocks.collect(),
            }),
        }
    }
    groups
}

impl<'a> Group<'a> {
    fn uses(&self) -> impl Iterator<Item = (usize, &'a str)> {
        let blocks = self.blocks.iter();
        blocks.filter_map(|(place, _block, content)| match content {
            Block::ToolUse { id, .. } => Some((*place, id.as_str())),
            Block::Text { .. }
            | Block::Image { .. }
            | Block::ToolResult { .. }
            | Block::Thinking { .. }
            | Block::RedactedThinking { .. }
            | Block::Other => None,
        })
    }
}

/// Checks the results of a group against the uses before it.
fn check_answered(group: &Group<'_>, open: &[(usize, &str)]) -> Result<(), Unfit> {
    let mut answered = HashSet::new();
    let mut leading = HashSet::new();
    let mut leads = true;
    for (place, block, content) in &group.blocks {
        let Block::ToolResult { tool_use_id, .. } = content else {
            leads = false;
            continue;
        };
        let (place, block, id) = (*place, *block, tool_use_id.clone());
        if !open.iter().any(|(_place, used)| *used == id) {
            return Err(Unfit::NoSuchUse { place, block, id });
        }
        if !answered.insert(tool_use_id.as_str()) {
            return Err(Unfit::AnsweredTwice { place, block, id });
        }
        if leads {
            leading.insert(tool_use_id.as_str());
        }
    }
    unanswered(open, &leading)
}

fn unanswered(open: &[(usize, &str)], answered: &HashSet<&str>) -> Result<(), Unfit> {
    let missing = open.iter().filter(|(_place, id)| !answered.contains(id));
    let missing: Vec<_> = missing.collect();
    let Some((place, _id)) = missing.first() else {
        return Ok(());
    };
    let ids: Vec<_> = missing.iter().map(|(_place, id)| *id).collect();
    Err(Unfit::Unanswered {
        place: *place,
        ids: ids.join(", "),
    })
}
