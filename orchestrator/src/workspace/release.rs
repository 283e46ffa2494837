//! Releases a workspace: what changed is put under its content's name, then one manifest makes
//! it a version. Whoever reads meanwhile sees the version before; a release that is cut off
//! leaves objects that nobody names, and these are swept up later.
//!
//! Agents are not held up: the folders are looked over, read, and looked over again, and only
//! where nothing has moved in between is what was read a version.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use fs_err::File;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{MultipartUpload, PutPayload};

use super::bucket::Published;
use super::desk::{AT_ONCE, Desk, Here, PART, WorkspaceFault, files_of};
use super::entry::{Entry, EntryPath, Sha256Hex};
use super::index::Index;
use super::manifest::{Content, Manifest, Registration};
use super::sums::{Summing, next_chunk};
use super::tree::{Found, Place};
use crate::events::{Event, WorkspaceEvent};
use crate::ids::GroupFolder;
use crate::safe_dir::Stamp;

/// What came of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Released {
    /// There is no such group, or its folder is gone.
    Nothing,
    /// The store has it all: not one request was needed, or only the one that says so.
    Unchanged {
        version: u64,
    },
    Version {
        version: u64,
        uploaded: usize,
    },
}

/// A content that the store may not have, and where it is here.
struct Upload {
    path: EntryPath,
    stamp: Stamp,
    sha256: Sha256Hex,
    size: u64,
}

/// The version to build on.
struct Base {
    version: u64,
    /// Contents that the store has.
    has: BTreeSet<Sha256Hex>,
}

impl Desk {
    /// Releases what has changed since the last time.
    pub(crate) async fn release(&self, folder: &GroupFolder) -> Result<Released, WorkspaceFault> {
        let Some(group) = self.house.store.group_of_folder(folder.clone()).await? else {
            return Ok(Released::Nothing);
        };
        let index = self.index(folder)?;
        let had_files = index
            .as_ref()
            .is_some_and(|index| !index.entries.is_empty());
        if had_files && !self.place(folder).is_there()? {
            // Somebody has taken the whole folder away; the store is where it still is.
            return Ok(Released::Nothing);
        }
        let here = self.read_here(folder, index.clone()).await?;
        let mut content = Content {
            group: Registration::from(&group),
            session: self.house.store.session_of_group(folder.clone()).await?,
            entries: here.to_release(index.as_ref().map(|index| &index.entries)),
        };
        if let Some(index) = index.as_ref().filter(|index| index.content() == content) {
            return self.refresh(index, &here);
        }
        let base = self.base(folder, index.as_ref(), &content, &here).await?;
        let base = match base {
            Ok(base) => base,
            Err(released) => return Ok(released),
        };
        // What we may not read cannot be sent anew to a store that has lost it.
        content.entries.retain(|path, entry| {
            let is_here = here.entries.contains_key(path);
            is_here || contents([&*entry].into_iter()).is_subset(&base.has)
        });
        let uploads = uploads(&here, &base.has);
        let (uploaded, bytes) = (uploads.len(), uploads.iter().map(|file| file.size).sum());
        self.upload(folder, uploads).await?;
        if self.look(folder).await?.found != here.tree.found {
            return Err(WorkspaceFault::Moving);
        }
        let version = base.version + 1;
        let manifest = Manifest::new(content, version, self.house.clock.now())?;
        if self.bucket.publish(folder, &manifest).await? == Published::TooLate {
            // Perhaps ours, if the answer to the first attempt was lost.
            let theirs = self.bucket.read(folder, version).await?;
            if theirs.digest != manifest.digest {
                return Err(WorkspaceFault::Behind(version));
            }
        }
        self.agree(&manifest, &here)?;
        self.tell_released(&manifest, &here, (uploaded, bytes));
        self.tidy(folder, version).await;
        Ok(Released::Version { version, uploaded })
    }

    /// Nothing to release; files that were touched and are the same need no reading next time.
    fn refresh(&self, index: &Index, here: &Here) -> Result<Released, WorkspaceFault> {
        let stamps = here.stamps_of(&index.entries);
        if stamps != index.stamps {
            let refreshed = index.with_stamps(stamps);
            refreshed.store(&self.house.root)?;
        }
        Ok(Released::Unchanged {
            version: index.version,
        })
    }

    /// What the store has of the group. Or, if the newest version there says just what we would
    /// say, that there is nothing to say: it may be ours, and its answer was lost.
    async fn base(
        &self,
        folder: &GroupFolder,
        index: Option<&Index>,
        content: &Content,
        here: &Here,
    ) -> Result<Result<Base, Released>, WorkspaceFault> {
        let agreed = index.map_or(0, |index| index.version);
        // From the one that we know on, which must be there still.
        let versions = self
            .bucket
            .versions(folder, agreed.saturating_sub(1))
            .await?;
        let Some((&newest, _)) = versions.last_key_value() else {
            if agreed > 0 {
                tracing::warn!(group = %folder, version = agreed, "the store has lost the group's workspace; it is released anew");
            }
            return Ok(Ok(Base {
                version: agreed,
                has: BTreeSet::new(),
            }));
        };
        if newest > agreed {
            let theirs = self.bucket.read(folder, newest).await?;
            if theirs.digest != content.digest()? {
                return Err(WorkspaceFault::Behind(newest));
            }
            self.agree(&theirs, here)?;
            // Ours; its answer was lost, so nobody has been told.
            self.tell_released(&theirs, here, (0, 0));
            return Ok(Err(Released::Unchanged { version: newest }));
        }
        let has = index.map(|index| contents(index.entries.values()));
        Ok(Ok(Base {
            version: agreed,
            has: has.unwrap_or_default(),
        }))
    }

    /// This machine and the store have the same.
    fn agree(&self, manifest: &Manifest, here: &Here) -> Result<(), WorkspaceFault> {
        let stamps = here.stamps_of(&manifest.entries);
        let index = Index::of(manifest, self.bucket.shown(), stamps);
        Ok(index.store(&self.house.root)?)
    }

    fn tell_released(&self, manifest: &Manifest, here: &Here, (uploaded, bytes): (usize, u64)) {
        let (group, version) = (manifest.group.folder.clone(), manifest.version);
        tracing::info!(%group, version, uploaded, bytes, "Workspace released");
        if here.tree.left_out_count > 0 {
            let (count, files) = (here.tree.left_out_count, here.tree.left_out.clone());
            tracing::warn!(%group, count, first = ?files.first(), "some of the workspace is not kept in the store");
            let group = group.clone();
            let left_out = WorkspaceEvent::LeftOut {
                group,
                count,
                files,
            };
            self.house.events.tell(Event::Workspace(left_out));
        }
        let released = WorkspaceEvent::Released {
            group,
            version,
            files: files_of(&manifest.entries),
            uploaded,
            bytes,
        };
        self.house.events.tell(Event::Workspace(released));
    }

    async fn upload(
        &self,
        folder: &GroupFolder,
        uploads: Vec<Upload>,
    ) -> Result<(), WorkspaceFault> {
        stream::iter(uploads)
            .map(|upload| self.upload_one(folder, upload))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn upload_one(&self, folder: &GroupFolder, upload: Upload) -> Result<(), WorkspaceFault> {
        let _room = self.room(upload.size).await;
        let place = self.place(folder);
        if upload.size > PART {
            return self.upload_parts(folder, &place, upload).await;
        }
        let sha256 = upload.sha256.clone();
        let read = tokio::task::spawn_blocking(move || read_whole(&place, &upload));
        let content = read.await??;
        Ok(self.bucket.put(folder, &sha256, content).await?)
    }

    async fn upload_parts(
        &self,
        folder: &GroupFolder,
        place: &Place,
        upload: Upload,
    ) -> Result<(), WorkspaceFault> {
        let (file, _) = place
            .open_file(&upload.path)?
            .filter(|(_, stamp)| *stamp == upload.stamp)
            .ok_or(WorkspaceFault::Moving)?;
        let mut parts = self.bucket.put_in_parts(folder, &upload.sha256).await?;
        if let Err(fault) = self.send_parts(folder, &upload, file, &mut *parts).await {
            // What has arrived would lie there, unseen and paid for.
            if let Err(error) = parts.abort().await {
                tracing::warn!(group = %folder, "the store keeps a part of `{}`: {}", upload.path, crate::chain(&error));
            }
            return Err(fault);
        }
        let Err(source) = parts.complete().await else {
            return Ok(());
        };
        // Where only the answer was lost, all of it is there; it is not sent once more.
        match self.bucket.size_of(folder, &upload.sha256).await {
            Ok(Some(size)) if size == upload.size => Ok(()),
            Ok(_) | Err(_) => Err(self
                .bucket
                .part_fault(folder, &upload.sha256, source)
                .into()),
        }
    }

    async fn send_parts(
        &self,
        folder: &GroupFolder,
        upload: &Upload,
        mut file: File,
        parts: &mut dyn MultipartUpload,
    ) -> Result<(), WorkspaceFault> {
        let mut summing = Summing::new();
        let mut sent = 0;
        while sent < upload.size {
            let read = tokio::task::spawn_blocking(move || {
                read_part(&mut file, PART, &mut summing).map(|part| (file, summing, part))
            });
            let part;
            (file, summing, part) = read.await??;
            if part.content_length() == 0 {
                break;
            }
            sent += part.content_length() as u64;
            let put = parts.put_part(part).await;
            put.map_err(|source| self.bucket.part_fault(folder, &upload.sha256, source))?;
        }
        if summing.finish().sha256 == upload.sha256 {
            Ok(())
        } else {
            Err(WorkspaceFault::Moving)
        }
    }
}

/// Reads a file that has not changed since it was looked at.
fn read_whole(place: &Place, upload: &Upload) -> Result<PutPayload, WorkspaceFault> {
    let (mut file, stamp) = place
        .open_file(&upload.path)?
        .ok_or(WorkspaceFault::Moving)?;
    let mut summing = Summing::new();
    // It may grow while we read.
    let content = read_part(&mut file, upload.size + 1, &mut summing)?;
    if stamp != upload.stamp || summing.finish().sha256 != upload.sha256 {
        return Err(WorkspaceFault::Moving);
    }
    Ok(content)
}

/// Reads at most so many bytes, in chunks: memory that comes in blocks of megabytes is given back
/// to the system late or never.
fn read_part(file: &mut File, most: u64, summing: &mut Summing) -> io::Result<PutPayload> {
    let mut chunks = Vec::new();
    let mut rest = most;
    loop {
        let chunk = next_chunk(&mut *file, rest)?;
        if chunk.is_empty() {
            return Ok(chunks.into_iter().collect());
        }
        rest -= chunk.len() as u64;
        summing.add(&chunk);
        chunks.push(chunk);
    }
}

/// Each content once that the store does not have. The empty one needs no object.
fn uploads(here: &Here, has: &BTreeSet<Sha256Hex>) -> Vec<Upload> {
    let mut wanted = BTreeMap::new();
    for (path, entry) in &here.entries {
        let (Entry::File { size, sha256, .. }, Some(Found::File(stamp))) =
            (entry, here.tree.found.get(path))
        else {
            continue;
        };
        if *size > 0 && !has.contains(sha256) {
            wanted.entry(sha256.clone()).or_insert_with(|| Upload {
                path: path.clone(),
                stamp: *stamp,
                sha256: sha256.clone(),
                size: *size,
            });
        }
    }
    wanted.into_values().collect()
}

/// The names of contents.
pub(super) fn contents<'a>(entries: impl Iterator<Item = &'a Entry>) -> BTreeSet<Sha256Hex> {
    entries
        .filter_map(|entry| match entry {
            Entry::File { sha256, size, .. } if *size > 0 => Some(sha256.clone()),
            Entry::File { .. } | Entry::Folder {} | Entry::Link { .. } => None,
        })
        .collect()
}
