//! What this machine last agreed on with the store, in `data/workspace/<folder>.json`: which
//! version, what was in it, and the stamps by which a file that nobody touched is known without
//! being read. Lost, it costs a look at every file, no more.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::bucket::Bucket;
use super::entry::{Entries, Entry, EntryPath};
use super::manifest::{Content, Manifest, Registration};
use crate::ids::{GroupFolder, SessionId};
use crate::safe_dir::{SafeDir, Stamp};

/// The only format there is so far; any other is as good as none.
const FORMAT: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Index {
    format: u32,
    /// The store, by its URL: another one knows nothing of this.
    pub store: String,
    /// The newest version that this machine has taken over whole.
    pub version: u64,
    pub group: Registration,
    pub session: Option<SessionId>,
    pub entries: Entries,
    /// Of files that are here as `entries` has them.
    pub stamps: BTreeMap<EntryPath, Stamp>,
}

impl Index {
    pub(crate) fn of(manifest: &Manifest, store: &str, stamps: BTreeMap<EntryPath, Stamp>) -> Self {
        Self {
            format: FORMAT,
            store: store.to_owned(),
            version: manifest.version,
            group: manifest.group.clone(),
            session: manifest.session.clone(),
            entries: manifest.entries.clone(),
            stamps,
        }
    }

    /// The same, known by other stamps.
    pub(crate) fn with_stamps(&self, stamps: BTreeMap<EntryPath, Stamp>) -> Self {
        Self {
            stamps,
            ..self.clone()
        }
    }

    /// None if there is none of this store, or none that we can read.
    pub(crate) fn load(
        root: &Path,
        bucket: &Bucket,
        folder: &GroupFolder,
    ) -> io::Result<Option<Self>> {
        let file = root.join(FOLDER).join(name_of(folder));
        let bytes = match fs_err::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match serde_json::from_slice::<Self>(&bytes) {
            Ok(index) => {
                let is_ours = index.format == FORMAT && index.group.folder == *folder;
                Ok(Some(index).filter(|index| is_ours && index.store == bucket.shown()))
            }
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "what was last released cannot be read; it is compared anew");
                Ok(None)
            }
        }
    }

    pub(crate) fn store(&self, root: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec(self).map_err(io::Error::other)?;
        let folder = SafeDir::open(&root.join(FOLDER))?;
        folder.replace_durably(&name_of(&self.group.folder), &bytes)
    }

    pub(crate) fn content(&self) -> Content {
        Content {
            group: self.group.clone(),
            session: self.session.clone(),
            entries: self.entries.clone(),
        }
    }

    /// What a file holds, if nobody has touched it since.
    pub(crate) fn untouched(&self, path: &EntryPath, stamp: Stamp) -> Option<&Entry> {
        (self.stamps.get(path) == Some(&stamp))
            .then(|| self.entries.get(path))
            .flatten()
    }
}

const FOLDER: &str = "data/workspace";

fn name_of(folder: &GroupFolder) -> String {
    format!("{folder}.json")
}

/// The version of a group that this machine has of what the store holds.
pub(crate) fn version_here(
    root: &Path,
    bucket: &Bucket,
    folder: &GroupFolder,
) -> io::Result<Option<u64>> {
    let index = Index::load(root, bucket, folder)?;
    Ok(index.map(|index| index.version))
}

/// The groups that have agreed on something with the store.
pub(crate) fn known(root: &Path) -> io::Result<Vec<GroupFolder>> {
    let Some(folder) = SafeDir::open_existing(&root.join(FOLDER))? else {
        return Ok(Vec::new());
    };
    let group = |name: &std::ffi::OsString| {
        let name: PathBuf = name.into();
        match name.file_name()?.to_str()?.strip_suffix(".json")?.parse() {
            Ok(group) => Some(group),
            Err(_none_of_ours) => None,
        }
    };
    Ok(folder.names()?.iter().filter_map(group).collect())
}
