//! The commands beside `run`: they read, or change, the store of an installation, whether an
//! orchestrator runs in it or not; `send` and `events` ask the one that runs.

#[cfg(feature = "whatsapp")]
mod auth;
mod client;
mod config;
mod doctor;
mod events;
mod groups;
mod mounts;
mod send;
mod sessions;
mod status;
mod tasks;
mod workspace;

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

#[cfg(feature = "whatsapp")]
pub use auth::{AuthError, AuthOptions, auth};
pub use config::config;
pub use doctor::doctor;
pub use events::{EventsOptions, events};
pub use groups::{GroupsCommand, groups};
pub use mounts::MountsCommand;
pub use send::{SendOptions, send};
pub use sessions::{SessionsCommand, sessions};
pub use status::status;
pub use tasks::{TasksCommand, tasks};
pub use workspace::{WorkspaceCommand, workspace};

use crate::http::TokenError;
use crate::store::{Store, StoreError};
use crate::workspace::WorkspaceFault;
use client::ClientError;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("{}: nanokimi has never run here; start it once, or give --root", .0.display())]
    NoInstallation(std::path::PathBuf),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Workspace(Box<WorkspaceFault>),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("{0}")]
    Refused(String),
    #[error("the output cannot be written")]
    Output(#[from] io::Error),
    #[error("the output cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// How a command shows what it read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Text,
    Json,
}

fn open(root: &Path) -> Result<Store, CommandError> {
    if !root.join("store").is_dir() {
        return Err(CommandError::NoInstallation(root.to_owned()));
    }
    Ok(Store::open(root)?)
}

/// Writes rows as JSON, or as lines of text with `none` where there are none.
fn show<T: Serialize>(
    out: &mut dyn Write,
    shown: Shown,
    rows: &[T],
    line: impl Fn(&T) -> String,
    none: &str,
) -> Result<(), CommandError> {
    match shown {
        Shown::Json => {
            serde_json::to_writer_pretty(&mut *out, rows)?;
            writeln!(out)?;
        }
        Shown::Text if rows.is_empty() => writeln!(out, "{none}")?,
        Shown::Text => {
            for row in rows {
                writeln!(out, "{}", line(row))?;
            }
        }
    }
    Ok(())
}
