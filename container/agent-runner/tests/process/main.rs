//! The agent as its orchestrator sees it: a process with a stdin, a stdout and an environment.
//!
//! The model is a scripted one on a loopback port that writes raw bytes, so that a stream can
//! be broken in every way. Nothing here looks at the agent's insides.

#![cfg(test)]

mod acp;
mod acp_ends;
mod acp_instructions;
mod acp_limits;
mod acp_secrets;
mod commands;
mod conversation;
mod door;
mod double;
mod kills;
mod mcp;
mod model;
mod requests;
mod stage;
mod trouble;
mod waiting;
