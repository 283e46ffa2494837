//! `nanokimi workspace list|restore|verify|gc`: what the store of workspaces holds.

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{CommandError, Shown, show};
use crate::clock::Clock;
use crate::config::Config;
use crate::events::EventLog;
use crate::house::House;
use crate::ids::{ChatJid, GroupFolder};
use crate::instance;
use crate::store::Store;
use crate::workspace::{
    self, Bucket, Desk, Flaw, KEPT, Keep, StoreFault, Swept, Tickets, Workspace,
};

/// What to do with workspaces.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum WorkspaceCommand {
    /// Show the groups in the store, and their newest versions.
    List,
    /// Bring a group's newest version here, or go back to an earlier one. nanokimi must not run.
    Restore {
        group: GroupFolder,
        /// Go back to this one; the next run releases it as the newest.
        #[arg(long)]
        version: Option<u64>,
    },
    /// Look whether the newest versions are whole.
    Verify {
        /// This group alone.
        group: Option<GroupFolder>,
        /// Read every content, too.
        #[arg(long)]
        deep: bool,
    },
    /// Remove old versions, and contents that no version names.
    Gc {
        /// This group alone.
        group: Option<GroupFolder>,
        /// Versions of a group that stay, however old.
        #[arg(long, default_value_t = KEPT)]
        keep: usize,
        /// Nothing younger is removed: what is being released is not named yet.
        #[arg(long, value_name = "DURATION", default_value = "1d", value_parser = age)]
        older_than: Duration,
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Serialize)]
struct Row {
    group: GroupFolder,
    version: u64,
    #[serde(flatten)]
    held: Held,
    /// The version that this machine has.
    here: Option<u64>,
}

/// What the newest version of a group says.
#[derive(Serialize)]
#[serde(untagged)]
enum Held {
    Whole {
        released_at: Timestamp,
        files: usize,
        bytes: u64,
        chat: ChatJid,
    },
    /// It cannot be read.
    Damaged { problem: String },
}

impl Held {
    async fn of(bucket: &Bucket, group: &GroupFolder, version: u64) -> Result<Self, StoreFault> {
        match bucket.read(group, version).await {
            Ok(manifest) => Ok(Self::Whole {
                released_at: manifest.released_at,
                files: workspace::files_of(&manifest.entries),
                bytes: workspace::size_of(&manifest.entries),
                chat: manifest.group.chat,
            }),
            Err(fault @ StoreFault::Manifest { .. }) => Ok(Self::Damaged {
                problem: crate::chain(&fault),
            }),
            Err(fault) => Err(fault),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole {
                released_at,
                files,
                bytes,
                chat,
            } => write!(f, "{released_at}\t{files} files\t{bytes} bytes\t{chat}"),
            Self::Damaged { problem } => f.write_str(problem),
        }
    }
}

#[derive(Serialize)]
struct SweptRow {
    group: GroupFolder,
    #[serde(flatten)]
    swept: Swept,
}

fn age(text: &str) -> Result<Duration, String> {
    crate::duration::parse(text)
        .ok_or_else(|| "expected a duration such as `1d` or `12h`".to_owned())
}

pub async fn workspace(
    root: &Path,
    config: Config,
    command: WorkspaceCommand,
    shown: Shown,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let Some(bucket) = workspace::open(&config, &Clock::system()).map_err(fault)? else {
        let why = "workspace_store is not set: workspaces are on this machine alone";
        return Err(CommandError::Refused(why.to_owned()));
    };
    match command {
        WorkspaceCommand::List => list(root, &bucket, shown, out).await,
        WorkspaceCommand::Restore { group, version } => {
            restore(root, config, bucket, (group, version), out).await
        }
        WorkspaceCommand::Verify { group, deep } => {
            verify(&bucket, group, deep, (shown, out)).await
        }
        WorkspaceCommand::Gc {
            group,
            keep,
            older_than,
            dry_run,
        } => {
            let now = Timestamp::now();
            let keep = Keep {
                versions: keep,
                since: now.checked_sub(older_than).unwrap_or(Timestamp::MIN),
                is_dry: dry_run,
            };
            gc(&bucket, group, keep, (shown, out)).await
        }
    }
}

async fn list(
    root: &Path,
    bucket: &Bucket,
    shown: Shown,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let mut rows = Vec::new();
    for group in groups(bucket, None).await? {
        let Some(newest) = newest(bucket, &group).await? else {
            continue;
        };
        rows.push(Row {
            version: newest,
            held: Held::of(bucket, &group, newest).await.map_err(fault)?,
            here: workspace::version_here(root, bucket, &group).map_err(fault)?,
            group,
        });
    }
    let line = |row: &Row| {
        let here = match row.here {
            Some(here) if here == row.version => "here".to_owned(),
            Some(here) => format!("here: {here}"),
            None => "-".to_owned(),
        };
        format!("{}\t{}\t{}\t{here}", row.group, row.version, row.held)
    };
    show(out, shown, &rows, line, "the store holds no workspaces")
}

async fn restore(
    root: &Path,
    config: Config,
    bucket: Bucket,
    (group, version): (GroupFolder, Option<u64>),
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    for folder in ["store", "data/sessions", "groups"] {
        fs_err::create_dir_all(root.join(folder))?;
    }
    let _instance =
        instance::lock(root).map_err(|error| CommandError::Refused(crate::chain(&error)))?;
    let clock = Clock::system();
    let house = House {
        root: root.to_owned(),
        config: Arc::new(config),
        store: Store::open(root)?,
        events: EventLog::new(clock.clone()),
        workspace: Workspace::default(),
        tickets: Tickets::default(),
        clock,
    };
    let desk = Desk::new(house, bucket);
    let restored = match version {
        Some(version) => Some(desk.go_back(&group, version).await.map_err(fault)?),
        None => desk.restore(&group).await.map_err(fault)?,
    };
    let Some(restored) = restored else {
        writeln!(out, "{group}: there is nothing newer in the store")?;
        return Ok(());
    };
    writeln!(out, "{group}: version {} is here", restored.version)?;
    for path in restored.kept {
        writeln!(out, "kept beside it: {path}")?;
    }
    Ok(())
}

async fn verify(
    bucket: &Bucket,
    group: Option<GroupFolder>,
    deep: bool,
    (shown, out): (Shown, &mut dyn Write),
) -> Result<(), CommandError> {
    let mut flaws = Vec::new();
    for group in groups(bucket, group).await? {
        if let Some(newest) = newest(bucket, &group).await? {
            let found = workspace::verify(bucket, &group, newest, deep).await;
            flaws.extend(found.map_err(fault)?);
        }
    }
    let line = |flaw: &Flaw| {
        format!(
            "{} version {}: {}: {} ({})",
            flaw.group, flaw.version, flaw.path, flaw.problem, flaw.object
        )
    };
    show(out, shown, &flaws, line, "all is whole")?;
    if flaws.is_empty() {
        return Ok(());
    }
    let count = flaws.len();
    Err(CommandError::Refused(format!(
        "{count} contents are damaged; `nanokimi workspace restore --version` goes back to an earlier version"
    )))
}

async fn gc(
    bucket: &Bucket,
    group: Option<GroupFolder>,
    keep: Keep,
    (shown, out): (Shown, &mut dyn Write),
) -> Result<(), CommandError> {
    let mut rows = Vec::new();
    for group in groups(bucket, group).await? {
        let swept = workspace::sweep(bucket, &group, keep)
            .await
            .map_err(fault)?;
        rows.push(SweptRow { group, swept });
    }
    let verb = if keep.is_dry { "to remove" } else { "removed" };
    let line = |row: &SweptRow| {
        let Swept {
            versions,
            objects,
            bytes,
        } = &row.swept;
        format!(
            "{}\t{verb}: {versions} versions, {objects} contents, {bytes} bytes",
            row.group
        )
    };
    show(out, shown, &rows, line, "the store holds no workspaces")
}

async fn groups(
    bucket: &Bucket,
    one: Option<GroupFolder>,
) -> Result<Vec<GroupFolder>, CommandError> {
    match one {
        Some(group) => Ok(vec![group]),
        None => bucket.groups().await.map_err(fault),
    }
}

async fn newest(bucket: &Bucket, group: &GroupFolder) -> Result<Option<u64>, CommandError> {
    bucket.newest(group, 0).await.map_err(fault)
}

fn fault(fault: impl Into<workspace::WorkspaceFault>) -> CommandError {
    CommandError::Workspace(Box::new(fault.into()))
}
