//! Chat in, one agent run per group, reply out.
//!
//! Below, what everything stands on comes first; then the modules in the order in which a
//! message meets them. Nothing here knows that it is ever tested: it is handed its
//! configuration and reaches the world through that alone.

#![cfg_attr(
    not(feature = "whatsapp"),
    expect(dead_code, reason = "HTTP alone needs less of the seam")
)]
#![cfg_attr(
    not(any(feature = "whatsapp", test)),
    expect(unused_imports, reason = "HTTP alone needs less of the seam")
)]

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
mod mounts;
mod ipc;
mod splitting;
mod outbox;
mod channel;
mod workspace;

// Time.
mod clock_hand;
mod schedule;
mod scheduler;
mod task_changes;

// The process.
pub mod commands;
mod exit;
mod run;

pub use agent::{BoxesError, EngineError, Guard, PULL, guard};
pub use channel::{ChannelEnd, OpenError};
pub use config::{Config, ConfigError};
pub use exit::{EXIT_CODES, Exit};
pub use run::{RunError, RunOptions, run};
pub use running::Fault;
pub use store::StoreError;
pub use workspace::{StoreFault, WorkspaceFault};

/// Of the builds, the one that tests of pairing use must not be mistaken for another.
const UNVERIFIED: bool = cfg!(feature = "danger-pair-with-unverified-loopback-server");

/// What is to be known about this build before anything else.
pub const WARNING: Option<&str> = if UNVERIFIED {
    Some(
        "DANGER: this build takes any server on this machine for WhatsApp. It is for tests of pairing; never link a real account with it.",
    )
} else {
    None
};

/// What `--version` says.
pub const VERSION: &str = if UNVERIFIED {
    concat!(
        env!("CARGO_PKG_VERSION"),
        " DANGER: takes any server on this machine for WhatsApp; for tests of pairing"
    )
} else {
    env!("CARGO_PKG_VERSION")
};

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
