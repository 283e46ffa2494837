//! A language model that says what its script says, and complains about anything else.
//!
//! Strict both ways: a request that no turn answers is an error that tells why, and a
//! turn that nobody asked for is reported at the end. Nothing is random and nothing is
//! made up: the same requests get the same bytes in every run.

mod clause;
mod dialect;
mod gates;
mod ids;
mod lane;
mod lines;
mod miss;
mod pattern;
mod performance;
mod pieces;
mod protocol;
mod question;
mod record;
mod repertoire;
mod request;
mod routes;
mod score;
mod script;
mod scripted;
mod template;
mod turn;
mod wire;
mod wording;

pub use gates::UnknownGate;
pub use lane::{LaneRule, MAIN_LANE};
pub use pattern::{InvalidPattern, TextPattern};
pub use score::Owing;
pub use script::{Script, ScriptError};
pub use scripted::{ScriptedLlm, UnsaidTurn};
pub use template::{InvalidTemplate, TemplateText};
pub use turn::{
    Any, Arguments, Clauses, FinishReason, Match, Response, ScriptedCall, ScriptedTurn,
    ScriptedUsage, Speaker, StreamShape, Times, ToolResultClause, Word,
};
pub use wording::NumberOr;

pub(crate) use routes::routes;
