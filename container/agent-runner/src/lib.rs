//! An agent's turns: an [`AgentInput`](agent_protocol::AgentInput) in, [`AgentEvent`](agent_protocol::AgentEvent)s out.
//!
//! The walk of a turn, in order: in a box without a network the way out is opened, the input is
//! read, settings are made from the environment, the session is opened, the system prompt is
//! assembled, the model is asked, its tools are run until it has nothing more to ask for, the
//! session is stored. An agent that is to wait then takes the next question from a file, and so
//! on until it is told to end. Nothing outlives the turn: every process a tool has started is ended before
//! the result is told.
//!
//! With the engine `acp` another program does the thinking: it is started, asked over the Agent
//! Client Protocol, and given the tools that reach the orchestrator by [`serve_tools`].
//!
//! It does not decide who may do what: IPC files are requests, the orchestrator judges them.

mod door;
mod follow_ups;
mod input;
mod settings;

mod archive;
mod conversation;
mod session;
mod system_prompt;
mod told;

mod acp;
mod completion;
mod mcp;
mod tools;
mod turn;

mod events;
mod failure;
mod http;
mod parent;
mod replace_file;
mod span;

pub use mcp::{MCP, McpError, serve_tools};
pub use parent::{ParentGone, die_with_parent};
pub use settings::Environment;
pub use tools::{AGENT_LEASH, LEASH, hold_agent_leash, hold_leash};
pub use turn::play;
