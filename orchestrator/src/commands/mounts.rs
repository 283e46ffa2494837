//! `nanokimi groups mounts|mount|unmount`: what groups see of this machine besides their folders.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use super::{CommandError, Shown, show};
use crate::config::Config;
use crate::ids::GroupFolder;
use crate::mounts::{AskedMount, Ground, Judge, MountName};
use crate::store::{Group, Store};

/// What to do with a group's mounts.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum MountsCommand {
    /// Show what a group's agents see of this machine besides their folder.
    Mounts { folder: GroupFolder },
    /// Have a group's agents see a folder or file of this machine, if the list allows it.
    Mount {
        folder: GroupFolder,
        /// From `/` or `~/` on.
        path: String,
        /// What it is called below /workspace/extra; as the path's end if not given.
        #[arg(long)]
        name: Option<String>,
        /// Let them write to it, where the list allows that too.
        #[arg(long)]
        writable: bool,
    },
    /// Have them see it no more.
    Unmount {
        folder: GroupFolder,
        name: MountName,
    },
}

pub(super) async fn mounts(
    here: (&Path, &Config),
    store: &Store,
    command: MountsCommand,
    shown: Shown,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    match command {
        MountsCommand::Mounts { folder } => {
            let group = existing(store, folder).await?;
            let mounts = store.mounts(group.folder).await?;
            let line = |mount: &AskedMount| {
                let access = if mount.writable { "rw" } else { "ro" };
                format!("{}\t{access}\t{}", mount.name, mount.path)
            };
            show(out, shown, &mounts, line, "nothing is mounted")
        }
        MountsCommand::Mount {
            folder,
            path,
            name,
            writable,
        } => {
            let group = existing(store, folder).await?;
            let asked = AskedMount::new(&path, name.as_deref(), writable);
            let asked = asked.map_err(|error| refused(&error))?;
            mount(here, store, &group, asked, out).await
        }
        MountsCommand::Unmount { folder, name } => {
            if !store.forget_mount(folder.clone(), name.clone()).await? {
                return Err(CommandError::Refused(format!(
                    "`{folder}` has no mount `{name}`; `nanokimi groups mounts {folder}` shows them"
                )));
            }
            writeln!(out, "unmounted {name} from {folder}'s next agent on")?;
            Ok(())
        }
    }
}

fn refused(error: &dyn Error) -> CommandError {
    CommandError::Refused(crate::chain(error))
}

async fn existing(store: &Store, folder: GroupFolder) -> Result<Group, CommandError> {
    let group = store.group_of_folder(folder.clone()).await?;
    group.ok_or_else(|| CommandError::Refused(format!("there is no group `{folder}`")))
}

/// Keeps a mount that would be made now; one that would not is of no use to anybody.
async fn mount(
    (root, config): (&Path, &Config),
    store: &Store,
    group: &Group,
    asked: AskedMount,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let ground = Ground::of(root, config).map_err(|error| refused(&error))?;
    let kept = store.writable_mounts().await?;
    let judge = Judge::new(ground, &kept).await;
    let judge = judge.map_err(|error| refused(&error))?;
    let granted = judge.judge(group.is_main, &asked).await;
    let granted = granted.map_err(|error| refused(&error))?;
    if asked.writable && !granted.writable {
        let why = "the list does not let this group write there; leave out --writable";
        return Err(CommandError::Refused(why.to_owned()));
    }
    let (name, path, folder) = (&granted.name, granted.path.display(), &group.folder);
    let done = format!("{path} is {name} from {folder}'s next agent on");
    store.keep_mount(group.folder.clone(), asked).await?;
    writeln!(out, "{done}")?;
    Ok(())
}
