//! A language model that says what its script says, and complains about anything else.
//!
//! Strict both ways: a request that no turn answers is an error that tells why, and a
//! turn that nobody asked for is reported at the end. Nothing is random and nothing is
//! made up: the same requests get the same bytes in every run.

mod delivery;
mod dialect;
mod oauth;
mod question;
mod quota;
mod routes;
mod score;
mod script;
mod scripted;
mod services;
mod tokens;

pub use oauth::{OAuthAct, Poll, ScriptedDevice, ScriptedOAuth, ScriptedTokens};
pub use score::{Owing, UnknownGate};
pub use script::{
    Any, Arguments, Breaking, Clauses, Drops, Emptiness, ErrorEvent, ErrorMoment, Fault,
    FaultMoment, FaultRule, FinishReason, FrameRange, HeaderRule, HeaderText, InvalidPattern,
    InvalidTemplate, KeyPattern, LaneRule, Limits, LineEnd, MAIN_LANE, Match, Neighbour, Nth,
    NumberOr, Per, Response, Script, ScriptError, ScriptedCall, ScriptedFault, ScriptedTurn,
    ScriptedUsage, Speaker, StatusFault, StreamError, StreamShape, TemplateText, TextPattern,
    Times, ToolResultClause, ToolsRule, UsagePlace, WireRule, Word,
};
pub use scripted::{FaultCount, ScriptedLlm, UnsaidTurn};
pub use services::{
    Account, Agents, Balance, Finding, KeyOnRecord, Keys, ListedModel, Price, Quota, ScriptedPage,
    ScriptedSearch, ScriptedServices,
};

pub(crate) use delivery::failure::proxy_page;
pub(crate) use dialect::responses::Conversations;
pub(crate) use dialect::{Complaint, Dialect};
pub(crate) use question::Question;
pub(crate) use question::request::{ChatBody, ToolResult, went_well};
pub(crate) use routes::routes;
pub(crate) use script::pattern::Heard;
