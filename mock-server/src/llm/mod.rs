//! A language model that says what its script says, and complains about anything else.
//!
//! Strict both ways: a request that no turn answers is an error that tells why, and a
//! turn that nobody asked for is reported at the end. Nothing is random and nothing is
//! made up: the same requests get the same bytes in every run.

mod delivery;
mod dialect;
mod question;
mod routes;
mod score;
mod script;
mod scripted;

pub use score::{Owing, UnknownGate};
pub use script::{
    Any, Arguments, Clauses, FinishReason, InvalidPattern, InvalidTemplate, LaneRule, MAIN_LANE,
    Match, NumberOr, Response, Script, ScriptError, ScriptedCall, ScriptedTurn, ScriptedUsage,
    Speaker, StreamShape, TemplateText, TextPattern, Times, ToolResultClause, Word,
};
pub use scripted::{ScriptedLlm, UnsaidTurn};

pub(crate) use question::Question;
pub(crate) use question::request::{ChatBody, ToolResult, went_well};
pub(crate) use routes::routes;
#[cfg(test)]
pub(crate) use script::pattern::Heard;
