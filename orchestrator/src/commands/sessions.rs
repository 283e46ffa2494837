//! `nanokimi sessions list|clear`.

use std::io::Write;
use std::path::Path;

use super::{CommandError, Shown, open, show};
use crate::ids::GroupFolder;
use crate::store::StoredSession;

/// What to do with sessions.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum SessionsCommand {
    /// Show the conversation each group goes on with.
    List,
    /// Have a group, or all of them, start a new conversation next time.
    Clear {
        #[arg(required_unless_present = "all")]
        group: Option<GroupFolder>,
        #[arg(long, conflicts_with = "group")]
        all: bool,
    },
}

pub async fn sessions(
    root: &Path,
    command: SessionsCommand,
    shown: Shown,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let store = open(root)?;
    match command {
        SessionsCommand::List => {
            let line =
                |row: &StoredSession| format!("{}\t{}\t{}", row.group, row.updated_at, row.session);
            show(
                out,
                shown,
                &store.sessions().await?,
                line,
                "no sessions are stored",
            )
        }
        SessionsCommand::Clear { group, all: _ } => {
            let cleared = store.clear_sessions(group).await?;
            writeln!(out, "cleared {cleared}")?;
            Ok(())
        }
    }
}
