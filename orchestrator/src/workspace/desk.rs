//! What releasing and restoring share: the store, the house, and how much of either is used at
//! a time.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::bucket::{Bucket, StoreFault};
use super::entry::{Entries, Entry, EntryPath};
use super::index::Index;
use super::manifest::ManifestError;
use super::tree::{Found, Limits, Place, Tree, plain_entry};
use crate::config::WorkspaceSettings;
use crate::house::House;
use crate::ids::GroupFolder;
use crate::safe_dir::Stamp;
use crate::store::StoreError;

/// What one request carries at most, of what is larger than that.
pub(super) const PART: u64 = 8 << 20;
/// Requests of one group at a time: enough to hide the way to the store and back.
pub(super) const AT_ONCE: usize = 16;
/// Bytes on their way, of all groups together: what memory holds of releases, and what a line must
/// carry of restores within the time that a request may take.
const IN_MEMORY: u64 = 4 * PART;
/// Permits are of this many bytes, since they are counted in 32 bits.
const PERMIT: u64 = 1024;

/// Where workspaces are released and restored.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(super) house: House,
    pub(super) bucket: Bucket,
    pub(super) limits: Limits,
    memory: Arc<Semaphore>,
}

/// Why a workspace was not released, or not restored.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceFault {
    #[error(transparent)]
    Store(#[from] StoreFault),
    #[error(transparent)]
    Sql(#[from] StoreError),
    #[error("the workspace cannot be read or written on this machine")]
    Io(#[from] io::Error),
    #[error("the manifest cannot be made")]
    Manifest(#[from] ManifestError),
    #[error("its files change while they are read")]
    Moving,
    #[error("version {0} was released by somebody else meanwhile")]
    Behind(u64),
    #[error("an agent of the group is still at work")]
    Busy,
    #[error(
        "`{object}`, the content of `{path}`, is damaged: its {sum} is {found}, not {expected}; go back to an earlier version with `nanokimi workspace restore --version`"
    )]
    Damaged {
        object: String,
        path: String,
        sum: &'static str,
        found: String,
        expected: String,
    },
    #[error(
        "`{object}`, the content of `{path}`, is gone from the store; go back to an earlier version with `nanokimi workspace restore --version`"
    )]
    Lost { object: String, path: String },
    #[error("a thread that worked on it has ended")]
    Thread(#[from] tokio::task::JoinError),
}

impl WorkspaceFault {
    /// Whether nothing but time is needed.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Store(fault) => fault.is_passing(),
            // The chat is another group's here.
            Self::Sql(StoreError::GroupConflict(_)) => false,
            Self::Sql(_) | Self::Moving | Self::Busy | Self::Behind(_) => true,
            Self::Io(_)
            | Self::Manifest(_)
            | Self::Damaged { .. }
            | Self::Lost { .. }
            | Self::Thread(_) => false,
        }
    }
}

/// A workspace here, read.
#[derive(Debug)]
pub(super) struct Here {
    pub tree: Tree,
    pub entries: Entries,
    /// When the reading began, in nanoseconds since 1970.
    began: i64,
}

/// The kernel's stamps are no finer: what was written to just before we read may be written to
/// again, and look the same.
const COARSE: i64 = 20_000_000;

impl Here {
    /// The same where nobody else can write.
    pub(super) fn all_stamps_of(&self, entries: &Entries) -> BTreeMap<EntryPath, Stamp> {
        self.stamps(entries, i64::MAX)
    }

    /// The stamps by which files are known to be as `entries` has them without being read.
    pub(super) fn stamps_of(&self, entries: &Entries) -> BTreeMap<EntryPath, Stamp> {
        self.stamps(entries, self.began - COARSE)
    }

    /// What is to be released: what was read, and what we may not read as it was last agreed on,
    /// since it is unchanged as far as we know.
    pub(super) fn to_release(&self, agreed: Option<&Entries>) -> Entries {
        let mut entries = self.entries.clone();
        let agreed = agreed.into_iter().flatten();
        let unread = agreed.filter(|(path, _)| path.is_within(&self.tree.unreadable));
        entries.extend(unread.map(|(path, entry)| (path.clone(), entry.clone())));
        entries
    }

    fn stamps(&self, entries: &Entries, before: i64) -> BTreeMap<EntryPath, Stamp> {
        let stamp = |(path, found): (&EntryPath, &Found)| match found {
            Found::File(stamp)
                if entries.get(path) == self.entries.get(path) && stamp.changed < before =>
            {
                Some((path.clone(), *stamp))
            }
            Found::File(_) | Found::EmptyFolder | Found::Link(_) => None,
        };
        self.tree.found.iter().filter_map(stamp).collect()
    }
}

impl Desk {
    pub(crate) fn new(house: House, bucket: Bucket) -> Self {
        let limits = Limits::from(&house.config.workspace);
        let permits = usize::try_from(IN_MEMORY / PERMIT).unwrap_or(usize::MAX);
        Self {
            house,
            bucket,
            limits,
            memory: Arc::new(Semaphore::new(permits)),
        }
    }

    pub(super) fn place(&self, folder: &GroupFolder) -> Place {
        Place {
            root: self.house.root.clone(),
            folder: folder.clone(),
        }
    }

    /// What was last agreed on with this very store.
    pub(super) fn index(&self, folder: &GroupFolder) -> io::Result<Option<Index>> {
        Index::load(&self.house.root, &self.bucket, folder)
    }

    /// Room in memory for a part of so many bytes.
    pub(super) async fn room(&self, bytes: u64) -> OwnedSemaphorePermit {
        let permits = bytes.min(PART) / PERMIT + 1;
        let permits = u32::try_from(permits).unwrap_or(u32::MAX);
        match Arc::clone(&self.memory).acquire_many_owned(permits).await {
            Ok(room) => room,
            // It is never closed.
            Err(_closed) => std::future::pending().await,
        }
    }

    /// Looks the workspace over and reads what may have changed since `index`.
    pub(super) async fn read_here(
        &self,
        folder: &GroupFolder,
        index: Option<Index>,
    ) -> Result<Here, WorkspaceFault> {
        let (place, limits) = (self.place(folder), self.limits);
        let read = tokio::task::spawn_blocking(move || read_here(&place, limits, index.as_ref()));
        read.await?
    }

    /// Looks it over without reading.
    pub(super) async fn look(&self, folder: &GroupFolder) -> Result<Tree, WorkspaceFault> {
        let (place, limits) = (self.place(folder), self.limits);
        let looked = tokio::task::spawn_blocking(move || place.look(limits));
        Ok(looked.await??)
    }
}

fn read_here(place: &Place, limits: Limits, index: Option<&Index>) -> Result<Here, WorkspaceFault> {
    let began = Timestamp::now().as_nanosecond();
    let began = i64::try_from(began).unwrap_or(i64::MAX);
    let tree = place.look(limits)?;
    let mut entries = Entries::new();
    for (path, found) in &tree.found {
        let entry = match (plain_entry(found), found) {
            (Some(entry), _) => entry,
            (None, Found::File(stamp)) => {
                match index.and_then(|index| index.untouched(path, *stamp)) {
                    Some(entry) => entry.clone(),
                    None => place
                        .read_sums(path, *stamp)?
                        .ok_or(WorkspaceFault::Moving)?,
                }
            }
            (None, Found::EmptyFolder | Found::Link(_)) => continue,
        };
        entries.insert(path.clone(), entry);
    }
    Ok(Here {
        tree,
        entries,
        began,
    })
}

/// How many files there are among entries.
pub(crate) fn files_of(entries: &Entries) -> usize {
    let is_file = |entry: &&Entry| matches!(entry, Entry::File { .. });
    entries.values().filter(is_file).count()
}

impl From<&WorkspaceSettings> for Limits {
    fn from(settings: &WorkspaceSettings) -> Self {
        Self {
            files: settings.max_files,
            file_size: settings.max_file_size,
            size: settings.max_size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_may_not_read_is_released_as_it_was_last_agreed_on() {
        let paths = |names: &str| -> Vec<EntryPath> {
            let names = names.split_whitespace();
            names.map(|name| name.parse().unwrap()).collect()
        };
        let entries = |names: &str| -> Entries {
            let names = paths(names).into_iter();
            names.map(|path| (path, Entry::Folder {})).collect()
        };
        let here = Here {
            tree: Tree {
                unreadable: paths("group/shut group/in/file home/new")
                    .into_iter()
                    .collect(),
                ..Tree::default()
            },
            entries: entries("group/here"),
            began: 0,
        };
        let agreed =
            "group/gone group/in/file group/in/file2 group/shut/a/b group/shut2/a home/shut";
        let released = here.to_release(Some(&entries(agreed)));

        assert_eq!(released, entries("group/here group/in/file group/shut/a/b"));
    }
}
