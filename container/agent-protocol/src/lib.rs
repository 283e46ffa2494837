//! What crosses the wall between the orchestrator and an agent, and nothing else.
//!
//! One [`AgentInput`] goes in on stdin; [`AgentEvent`]s come out on stdout, one JSON
//! object per line; [`IpcMessage`]s and [`IpcTask`]s are files the agent drops into its
//! IPC folder; snapshots and [`FollowUp`]s are files the orchestrator leaves there for it to read;
//! the credential file is how a secret gets in without being in an environment or an argv.
//!
//! Types, and how bytes are passed on at the [`door`]: nobody here opens a file or a connection,
//! or starts a process.

mod credentials;
pub mod door;
mod events;
mod follow_up;
mod input;
mod ipc;
mod snapshots;

pub use credentials::{CredentialError, parse_credentials, render_credentials};
pub use events::{AgentErrorKind, AgentEvent, Usage};
pub use follow_up::{CLOSE, FollowUp, INPUT_FOLDER};
pub use input::{AgentInput, LeftSession};
pub use ipc::{AdditionalMount, ContainerConfig, ContextMode, IpcMessage, IpcTask, ScheduleType};
pub use snapshots::{AvailableGroup, AvailableGroups, TaskSnapshot};
