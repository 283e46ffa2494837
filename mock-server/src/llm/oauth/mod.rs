//! Kimi's login: the device flow, and tokens that are renewed.
//!
//! Tokens are never written down; the journal calls them `[refresh-1]`, `[refresh-2]` … in
//! the order in which they were handed out.

pub(crate) mod ledger;
pub(crate) mod refusal;
mod routes;
mod script;

pub(crate) use routes::routes;
pub use script::{OAuthAct, Poll, ScriptedDevice, ScriptedOAuth, ScriptedTokens};
