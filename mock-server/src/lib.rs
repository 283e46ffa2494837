//! Stand-ins for every service the orchestrator and its agents talk to, on one port.
//!
//! A mock does three things: it takes requests, it answers from its script, and it writes
//! both into the [`Journal`]. It never decides whether a test passes.

mod clock;
mod control;
mod journal;
mod line;
mod listening;
mod llm;
mod scripts;
mod server;
mod text;
#[cfg(feature = "whatsapp")]
pub mod whatsapp;
pub mod yaml;

pub use journal::{Entry, Follower, Journal, MASK, WaitError};
pub use listening::{ListenError, Listening};
pub use llm::{
    Account, Agents, Balance, Finding, KeyOnRecord, Keys, ListedModel, OAuthAct, Poll, Price,
    Quota, ScriptedDevice, ScriptedOAuth, ScriptedPage, ScriptedSearch, ScriptedServices,
    ScriptedTokens,
};
pub use llm::{
    Any, Arguments, Breaking, Clauses, Drops, Emptiness, Fault, FaultMoment, FinishReason,
    FrameRange, HeaderRule, HeaderText, InvalidPattern, InvalidTemplate, KeyPattern, LaneRule,
    Lapse, LineEnd, MAIN_LANE, Match, NumberOr, Owing, Per, Response, Script, ScriptError,
    ScriptedCall, ScriptedFault, ScriptedLlm, ScriptedTurn, ScriptedUsage, Speaker, StatusFault,
    StreamError, StreamShape, TemplateText, TextPattern, Times, ToolResultClause, ToolsRule,
    UnknownGate, UnsaidTurn, UsagePlace, WireRule, Word,
};
pub use scripts::{ScriptFileError, read_scripts};
pub use server::{MockOptions, MockServer, StartError, Unexpected};
