//! Stand-ins for every service the orchestrator and its agents talk to, on one port.
//!
//! A mock does three things: it takes requests, it answers from its script, and it writes
//! both into the [`Journal`]. It never decides whether a test passes.

mod control;
mod drift;
mod journal;
mod listening;
mod llm;
mod record;
mod scripts;
mod server;
mod text;
#[cfg(feature = "whatsapp")]
pub mod whatsapp;
pub mod yaml;

pub use drift::{Difference, Drift, DriftError, check_drift};
pub use journal::{Entry, Follower, Journal, MASK, WaitError, render_requests};
pub use listening::{ListenError, Listening};
pub use llm::{
    Any, Arguments, Clauses, FinishReason, InvalidPattern, InvalidTemplate, LaneRule, MAIN_LANE,
    Match, NumberOr, Owing, Response, Script, ScriptError, ScriptedCall, ScriptedLlm, ScriptedTurn,
    ScriptedUsage, Speaker, StreamShape, TemplateText, TextPattern, Times, ToolResultClause,
    UnknownGate, UnsaidTurn, Word,
};
pub use record::{
    InvalidUpstream, RecordError, RecordOptions, Recorded, Recorder, Refused, TapeError, Unfit,
    Upstream, exchanges_of,
};
pub use scripts::{ScriptFileError, read_scripts};
pub use server::{MockOptions, MockServer, StartError, Unexpected};
