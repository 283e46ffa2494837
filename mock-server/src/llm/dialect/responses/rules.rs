//! The rules that the server of Responses enforces, told in its words.

use std::collections::HashSet;

use serde_json::Value;

use crate::llm::dialect::Refused;
use crate::llm::dialect::responses::request::Body;
use crate::llm::script::lenient::WireRule;

/// What is wrong with a request.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("Missing required parameter: '{parameter}'.")]
    Missing { parameter: String },
    #[error("{place}: {fault}")]
    Unreadable { place: String, fault: String },
    #[error("Previous response with id '{id}' not found.")]
    NoPrevious { id: String },
    #[error("Item with id '{id}' not found.")]
    NoItem { id: String },
    #[error(
        "Duplicate item found with id {id}. Remove duplicate items from your input and try again."
    )]
    DuplicateItem { id: String },
    #[error("No tool output found for function call {id}.")]
    NoOutput { id: String },
    #[error("No tool call found for function call output with call_id {id}.")]
    NoCall { id: String },
}

impl Unfit {
    /// The rule that is broken, if a script may put it out of force.
    pub(crate) fn rule(&self) -> Option<WireRule> {
        match self {
            Self::NoOutput { .. } | Self::NoCall { .. } => Some(WireRule::Pairing),
            Self::DuplicateItem { .. } => Some(WireRule::DuplicateIds),
            Self::Missing { .. }
            | Self::Unreadable { .. }
            | Self::NoPrevious { .. }
            | Self::NoItem { .. } => None,
        }
    }

    /// Which parameter is at fault, and the service's name for it.
    pub(crate) fn refused(&self) -> Refused {
        let (parameter, code) = match self {
            Self::NoPrevious { .. } => {
                ("previous_response_id", Some("previous_response_not_found"))
            }
            Self::Missing { parameter } if parameter == "model" => {
                ("model", Some("missing_required_parameter"))
            }
            Self::Missing { parameter } if parameter.starts_with("tools") => {
                ("tools", Some("missing_required_parameter"))
            }
            Self::Missing { .. } => ("input", Some("missing_required_parameter")),
            Self::Unreadable { .. } => ("input", Some("invalid_value")),
            Self::NoItem { .. }
            | Self::DuplicateItem { .. }
            | Self::NoOutput { .. }
            | Self::NoCall { .. } => ("input", None),
        };
        Refused::Parameter { parameter, code }
    }
}

/// What must be there.
pub(super) fn check_body(body: &Body) -> Result<(), Unfit> {
    let missing = |parameter: &str| Unfit::Missing {
        parameter: parameter.to_owned(),
    };
    if body.model.is_none() {
        return Err(missing("model"));
    }
    if body.input.is_none() && body.previous_response_id.is_none() {
        return Err(missing("input"));
    }
    let mut tools = body.tools.iter();
    match tools.position(|tool| tool.r#type == "function" && tool.name.is_none()) {
        Some(place) => Err(missing(&format!("tools[{place}].name"))),
        None => Ok(()),
    }
}

/// What must fit together. The messages are those of the whole conversation.
pub(super) fn check(input: &[Value], messages: &[Value]) -> Result<(), Unfit> {
    let mut known = HashSet::new();
    for id in input.iter().filter_map(|item| item["id"].as_str()) {
        if !known.insert(id) {
            let id = id.to_owned();
            return Err(Unfit::DuplicateItem { id });
        }
    }
    check_pairs(messages)
}

fn check_pairs(messages: &[Value]) -> Result<(), Unfit> {
    let mut called = HashSet::new();
    let mut open = Vec::new();
    for message in messages {
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let id = call["id"].as_str().unwrap_or_default();
            called.insert(id);
            open.push(id);
        }
        if let Some(id) = message["tool_call_id"].as_str() {
            if !called.contains(id) {
                let id = id.to_owned();
                return Err(Unfit::NoCall { id });
            }
            open.retain(|call| *call != id);
        }
    }
    match open.first() {
        Some(id) => Err(Unfit::NoOutput {
            id: (*id).to_owned(),
        }),
        None => Ok(()),
    }
}
