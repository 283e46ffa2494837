//! Where workspaces are kept, as we use it:
//!
//! ```text
//! <prefix>/<folder>/objects/<sha-256>              a content, under its own name
//! <prefix>/<folder>/manifests/<ten digits>.json    a version, written once
//! ```
//!
//! A version is created under a name that must be free, which every store can promise: of two
//! writers that build on the same version, one is told that it comes too late.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetResultPayload, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutPayload,
};

use super::entry::Sha256Hex;
use super::manifest::{Manifest, ManifestError};
use super::manners::Manners;
use super::sums::next_chunk;
use crate::ids::GroupFolder;

/// The store, and where in it.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    shown: String,
    manners: Manners,
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    #[error("workspace_store: `{url}` cannot be used")]
    Open {
        url: String,
        #[source]
        source: Error,
    },
    #[error("workspace_store: `{what}` cannot be {done}")]
    Request {
        what: String,
        done: &'static str,
        #[source]
        source: Box<Error>,
    },
    #[error(
        "workspace_store: `{what}` is damaged; go back to an earlier version with `nanokimi workspace restore --version`"
    )]
    Manifest {
        what: String,
        #[source]
        source: ManifestError,
    },
}

impl StoreFault {
    /// Whether asking again later is all that can be done, and may help.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Open { .. } | Self::Manifest { .. } => false,
            Self::Request { source, .. } => !matches!(
                **source,
                Error::PermissionDenied { .. }
                    | Error::Unauthenticated { .. }
                    | Error::NotImplemented { .. }
                    | Error::NotSupported { .. }
                    | Error::InvalidPath { .. }
                    | Error::NotFound { .. }
            ),
        }
    }

    /// Whether a version is there, and nobody can read what it says.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Manifest { source, .. } => !matches!(source, ManifestError::Newer(_)),
            Self::Open { .. } | Self::Request { .. } => false,
        }
    }

    /// Whether there is no such object.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Request { source, .. } if matches!(**source, Error::NotFound { .. }))
    }
}

/// What became of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    Done,
    /// Somebody else's version has the number.
    TooLate,
}

/// An object, as a listing tells of it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub size: u64,
    pub modified: Timestamp,
}

impl Bucket {
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        prefix: Path,
        shown: String,
        manners: Manners,
    ) -> Self {
        Self {
            store,
            prefix,
            shown,
            manners,
        }
    }

    /// Until when the store has asked not to be asked.
    pub(super) fn not_before(&self) -> Option<Timestamp> {
        self.manners.not_before()
    }

    /// The URL that it was opened by.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// The groups that have something here. What is no group of ours is passed over.
    pub(crate) async fn groups(&self) -> Result<Vec<GroupFolder>, StoreFault> {
        let listed = self.store.list_with_delimiter(Some(&self.prefix)).await;
        let listed = listed.map_err(|source| self.fault(&self.prefix, "listed", source))?;
        let folder = |path: &Path| match path.filename()?.parse() {
            Ok(folder) => Some(folder),
            Err(_none_of_ours) => None,
        };
        Ok(listed.common_prefixes.iter().filter_map(folder).collect())
    }

    /// The versions of a group that are numbered above `after`, and when each was written.
    pub(crate) async fn versions(
        &self,
        group: &GroupFolder,
        after: u64,
    ) -> Result<BTreeMap<u64, Stored>, StoreFault> {
        let folder = self.manifests(group);
        let offset = self.manifest(group, after);
        let listing = self.store.list_with_offset(Some(&folder), &offset);
        let listed: Vec<ObjectMeta> = listing
            .try_collect()
            .await
            .map_err(|source| self.fault(&folder, "listed", source))?;
        let version = |meta: &ObjectMeta| {
            let number = meta.location.filename()?.strip_suffix(".json")?.parse();
            match number {
                Ok(number) if number > after => Some((number, stored(meta))),
                Ok(_) | Err(_) => None,
            }
        };
        Ok(listed.iter().filter_map(version).collect())
    }

    /// The number of the newest version above `after`.
    pub(crate) async fn newest(
        &self,
        group: &GroupFolder,
        after: u64,
    ) -> Result<Option<u64>, StoreFault> {
        let versions = self.versions(group, after).await?;
        Ok(versions.last_key_value().map(|(number, _)| *number))
    }

    pub(crate) async fn read(
        &self,
        group: &GroupFolder,
        version: u64,
    ) -> Result<Manifest, StoreFault> {
        let path = self.manifest(group, version);
        let read = async { self.store.get(&path).await?.bytes().await };
        let bytes = read
            .await
            .map_err(|source| self.fault(&path, "read", source))?;
        Manifest::read(&bytes, group).map_err(|source| StoreFault::Manifest {
            what: self.name(&path),
            source,
        })
    }

    /// Makes a version of what is in the store already.
    pub(crate) async fn publish(
        &self,
        group: &GroupFolder,
        manifest: &Manifest,
    ) -> Result<Published, StoreFault> {
        let path = self.manifest(group, manifest.version);
        let bytes = manifest.to_bytes().map_err(|source| StoreFault::Manifest {
            what: self.name(&path),
            source,
        })?;
        let payload = PutPayload::from(bytes);
        let put = || {
            let payload = payload.clone();
            self.store.put_opts(&path, payload, PutMode::Create.into())
        };
        let mut came_to = put().await;
        if came_to.as_ref().is_err_and(may_be_there) {
            // The crate does not repeat this by itself, since it cannot know whether what it
            // would find there is its own; whoever asked us compares.
            came_to = put().await;
        }
        match came_to {
            Ok(_put) => Ok(Published::Done),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(Published::TooLate),
            Err(source) => Err(self.fault(&path, "written", source)),
        }
    }

    /// Puts a content under its name. One that is there is replaced by the same, and is young
    /// again: nobody takes it for garbage before the version that names it is there.
    pub(crate) async fn put(
        &self,
        group: &GroupFolder,
        sha256: &Sha256Hex,
        content: PutPayload,
    ) -> Result<(), StoreFault> {
        let path = self.object(group, sha256);
        match self.store.put(&path, content).await {
            Ok(_put) => Ok(()),
            Err(source) => Err(self.fault(&path, "written", source)),
        }
    }

    /// Begins to put a content in parts; it is not there before it is whole.
    pub(crate) async fn put_in_parts(
        &self,
        group: &GroupFolder,
        sha256: &Sha256Hex,
    ) -> Result<Box<dyn MultipartUpload>, StoreFault> {
        let path = self.object(group, sha256);
        let begun = self.store.put_multipart(&path).await;
        begun.map_err(|source| self.fault(&path, "written", source))
    }

    pub(crate) fn part_fault(
        &self,
        group: &GroupFolder,
        sha256: &Sha256Hex,
        source: Error,
    ) -> StoreFault {
        self.fault(&self.object(group, sha256), "written", source)
    }

    /// How many bytes a content has that is there.
    pub(crate) async fn size_of(
        &self,
        group: &GroupFolder,
        sha256: &Sha256Hex,
    ) -> Result<Option<u64>, StoreFault> {
        let path = self.object(group, sha256);
        match self.store.head(&path).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.fault(&path, "looked at", source)),
        }
    }

    /// A part of a content, in the chunks that it comes in.
    pub(super) async fn get(
        &self,
        group: &GroupFolder,
        sha256: &Sha256Hex,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreFault>>, StoreFault> {
        let path = self.object(group, sha256);
        let options = GetOptions::new().with_range(Some(range));
        let got = self.store.get_opts(&path, options).await;
        let got = got.map_err(|source| self.fault(&path, "read", source))?;
        let chunks = match got.payload {
            GetResultPayload::Stream(chunks) => chunks,
            GetResultPayload::File(file, _path) => chunks_of(file, got.range),
        };
        let bucket = self.clone();
        let fault = move |source| bucket.fault(&path, "read", source);
        Ok(chunks.map_err(fault).boxed())
    }

    /// All contents of a group, by their names.
    pub(crate) async fn objects(
        &self,
        group: &GroupFolder,
    ) -> Result<BTreeMap<Sha256Hex, Stored>, StoreFault> {
        let folder = self.of_group(group, "objects");
        let listed: Vec<ObjectMeta> = self
            .store
            .list(Some(&folder))
            .try_collect()
            .await
            .map_err(|source| self.fault(&folder, "listed", source))?;
        let object =
            |meta: &ObjectMeta| match Sha256Hex::try_from(meta.location.filename()?.to_owned()) {
                Ok(sha256) => Some((sha256, stored(meta))),
                // Half an upload of a folder store, or nothing of ours.
                Err(_no_name) => None,
            };
        Ok(listed.iter().filter_map(object).collect())
    }

    pub(crate) async fn remove_object(
        &self,
        group: &GroupFolder,
        sha256: &Sha256Hex,
    ) -> Result<(), StoreFault> {
        self.remove(&self.object(group, sha256)).await
    }

    pub(crate) async fn remove_version(
        &self,
        group: &GroupFolder,
        version: u64,
    ) -> Result<(), StoreFault> {
        self.remove(&self.manifest(group, version)).await
    }

    async fn remove(&self, path: &Path) -> Result<(), StoreFault> {
        match self.store.delete(path).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(self.fault(path, "removed", source)),
        }
    }

    /// The name of an object, as an operator finds it.
    pub(crate) fn object_name(&self, group: &GroupFolder, sha256: &Sha256Hex) -> String {
        self.name(&self.object(group, sha256))
    }

    fn of_group(&self, group: &GroupFolder, what: &str) -> Path {
        let parts = self.prefix.parts();
        parts.chain([group.as_str().into(), what.into()]).collect()
    }

    fn manifests(&self, group: &GroupFolder) -> Path {
        self.of_group(group, "manifests")
    }

    fn manifest(&self, group: &GroupFolder, version: u64) -> Path {
        let name = format!("{version:010}.json");
        self.manifests(group).join(name)
    }

    fn object(&self, group: &GroupFolder, sha256: &Sha256Hex) -> Path {
        self.of_group(group, "objects").join(sha256.as_str())
    }

    fn name(&self, path: &Path) -> String {
        let inside = path.prefix_match(&self.prefix);
        let inside: Vec<String> = inside
            .map(|parts| parts.map(|part| part.as_ref().to_owned()).collect())
            .unwrap_or_default();
        let base = self.shown.trim_end_matches('/');
        [&[base.to_owned()], inside.as_slice()].concat().join("/")
    }

    fn fault(&self, path: &Path, done: &'static str, source: Error) -> StoreFault {
        StoreFault::Request {
            what: self.name(path),
            done,
            source: Box::new(source),
        }
    }
}

/// Whether something may have been put although that failed: the answer was lost.
fn may_be_there(error: &Error) -> bool {
    matches!(error, Error::Generic { .. })
}

/// What is in a part of a file of this machine. The crate's own way takes 8 KiB at a time.
fn chunks_of(file: File, range: Range<u64>) -> BoxStream<'static, Result<Bytes, Error>> {
    let next = move |(mut file, at): (File, u64)| async move {
        let read = tokio::task::spawn_blocking(move || {
            file.seek(SeekFrom::Start(at))?;
            let chunk = next_chunk(&mut file, range.end - at)?;
            io::Result::Ok((chunk, file))
        });
        let (chunk, file) = read.await?.map_err(|error| Error::Generic {
            store: "folder",
            source: Box::new(error),
        })?;
        let next = at + chunk.len() as u64;
        Ok((!chunk.is_empty()).then_some((chunk, (file, next))))
    };
    stream::try_unfold((file, range.start), next).boxed()
}

fn stored(meta: &ObjectMeta) -> Stored {
    let milliseconds = meta.last_modified.timestamp_millis();
    Stored {
        size: meta.size,
        // Out of range is before or after all that we compare it with.
        modified: Timestamp::from_millisecond(milliseconds).unwrap_or(if milliseconds < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        }),
    }
}
