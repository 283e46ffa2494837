//! Stand-ins for every service the orchestrator and its agents talk to, on one port.
//!
//! A mock does three things: it takes requests, it answers from its script, and it writes
//! both into the [`Journal`]. It never decides whether a test passes.

mod advertised;
mod clock;
mod control;
mod drift;
mod https;
mod identity;
mod journal;
mod lapse;
mod line;
mod listening;
mod llm;
mod record;
mod refused;
mod scatter;
mod scripts;
mod server;
mod storage;
mod text;
#[cfg(feature = "whatsapp")]
pub mod whatsapp;
pub mod yaml;

pub use advertised::{Advertised, InvalidAdvertised};
pub use control::JOURNAL_AT;
pub use drift::{Difference, Drift, DriftError, check_drift};
pub use journal::{Entry, Fields, Follower, Journal, MASK, WaitError, render_requests};
pub use lapse::Lapse;
pub use listening::{ListenError, Listening};
pub use llm::{
    Account, Agents, Any, Arguments, Balance, Breaking, Clauses, Drops, Emptiness, ErrorEvent,
    ErrorMoment, Fault, FaultCount, FaultMoment, FaultRule, Finding, FinishReason, FrameRange,
    HeaderRule, HeaderText, InvalidPattern, InvalidTemplate, KeyOnRecord, KeyPattern, Keys,
    LaneRule, Limits, LineEnd, ListedModel, MAIN_LANE, Match, Neighbour, Nth, NumberOr, OAuthAct,
    Owing, Per, Poll, Price, Quota, Response, Script, ScriptError, ScriptedCall, ScriptedDevice,
    ScriptedFault, ScriptedLlm, ScriptedOAuth, ScriptedPage, ScriptedSearch, ScriptedServices,
    ScriptedTokens, ScriptedTurn, ScriptedUsage, Speaker, StatusFault, StreamError, StreamShape,
    TemplateText, TextPattern, Times, ToolResultClause, ToolsRule, UnknownGate, UnsaidTurn,
    UsagePlace, WireRule, Word,
};
pub use record::{
    InvalidUpstream, RecordError, RecordOptions, Recorded, Recorder, Refused, TapeError, Unfit,
    Upstream, exchanges_of,
};
pub use scripts::{ScriptFileError, read_scripts};
pub use server::{MockOptions, MockServer, StartError, Unexpected, unexpected_in};
pub use storage::{
    Access, StagedBucket, StagedObject, StagedStorage, Storage, StorageClause, StorageVerb,
    ToldObject, Unstorable,
};
