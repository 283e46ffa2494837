//! Chat in, one agent run per group, reply out.
//!
//! Below, what everything stands on comes first; then the modules in the order in which a
//! message meets them. Nothing here knows that it is ever tested: it is handed its
//! configuration and reaches the world through that alone.

// What everything stands on.
mod clock;
mod config;
mod duration;
mod events;
mod house;
mod ids;
mod instance;
mod logs;
mod running;
mod safe_dir;
mod store;

// The walk of a message.
mod http;
mod registration;
mod intake;
mod router;
mod group_queue;
mod turn;
mod agent;
mod ipc;
mod outbox;
mod channel;

// Time.
mod clock_hand;
mod schedule;
mod scheduler;
mod task_changes;

// The process.
pub mod commands;
mod run;

pub use agent::{Guard, guard};
pub use config::{Config, ConfigError};
pub use run::{RunError, RunOptions, run};
pub use store::StoreError;

/// An error and its causes in one line: no error here repeats its cause.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
