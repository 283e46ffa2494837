//! Brings a released version here. What is fetched lies beside the group's folders until all of
//! it has been found whole; then it is moved in, and only then does this machine say that it has
//! the version. Cut off at any point, it is done again from the start, and until it is done the
//! group does not run.

use std::collections::BTreeMap;
use std::io;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::bucket::Published;
use super::desk::{AT_ONCE, Desk, WorkspaceFault};
use super::entry::{Entries, Entry, EntryPath, Sha256Hex};
use super::fetch::fetch;
use super::index::Index;
use super::manifest::Manifest;
use super::merge::{self, Plan};
use super::moving::{Moving, RESTORED, Staging};
use super::sums::Sums;
use crate::agent;
use crate::events::{Event, WorkspaceEvent};
use crate::ids::GroupFolder;

/// How often a content that does not arrive whole is asked for.
const ATTEMPTS: u32 = 3;

/// What came of a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Restored {
    pub version: u64,
    /// Where ours is kept, of what both had changed.
    pub kept: Vec<EntryPath>,
}

/// A content to fetch, and for which file.
struct Wanted {
    path: EntryPath,
    sums: Sums,
}

impl Desk {
    /// Brings the newest version here, if this machine does not have it. None if it has, or if
    /// there is none.
    pub(crate) async fn restore(
        &self,
        folder: &GroupFolder,
    ) -> Result<Option<Restored>, WorkspaceFault> {
        let mut index = self.index(folder)?;
        let had_files = index
            .as_ref()
            .is_some_and(|index| !index.entries.is_empty());
        if had_files && !self.place(folder).is_there()? {
            // Whoever removed the folder wants it anew.
            index = None;
        }
        let agreed = index.as_ref().map_or(0, |index| index.version);
        let Some(newest) = self.bucket.newest(folder, agreed).await? else {
            return Ok(None);
        };
        let manifest = self.bucket.read(folder, newest).await?;
        let base = index.as_ref().map(|index| index.entries.clone());
        let base = base.unwrap_or_default();
        let restored = self.bring(folder, (index, base), &manifest, &manifest);
        restored.await.map(Some)
    }

    /// Makes the files what they were in a version, whatever has become of them here; the next
    /// release makes that the newest.
    pub(crate) async fn go_back(
        &self,
        folder: &GroupFolder,
        version: u64,
    ) -> Result<Restored, WorkspaceFault> {
        let index = self.index(folder)?;
        let wanted = self.bucket.read(folder, version).await?;
        let newest = match self.bucket.newest(folder, version).await? {
            Some(newest) => self.newest_or(folder, newest, &wanted).await?,
            None => wanted.clone(),
        };
        let base = index.as_ref().map(|index| index.entries.clone());
        let mut base = base.unwrap_or_default();
        // That we have changed it since is to be undone, too.
        base.retain(|path, entry| wanted.entries.get(path) != Some(entry));
        let restored = self.bring(folder, (index, base), &wanted, &newest).await?;
        let (store, now) = (&self.house.store, self.house.clock.now());
        store
            .set_session(folder.clone(), wanted.session, now)
            .await?;
        Ok(restored)
    }

    /// The newest version; where that is damaged, one more that says what `wanted` says.
    async fn newest_or(
        &self,
        folder: &GroupFolder,
        newest: u64,
        wanted: &Manifest,
    ) -> Result<Manifest, WorkspaceFault> {
        let fault = match self.bucket.read(folder, newest).await {
            Ok(manifest) => return Ok(manifest),
            Err(fault) if fault.is_damage() => fault,
            Err(fault) => return Err(fault.into()),
        };
        let version = newest + 1;
        tracing::warn!(group = %folder, version, "a version is released in place of a damaged one: {}", crate::chain(&fault));
        let manifest = Manifest::new(wanted.content(), version, self.house.clock.now())?;
        match self.bucket.publish(folder, &manifest).await? {
            Published::Done => Ok(manifest),
            Published::TooLate => Err(WorkspaceFault::Behind(version)),
        }
    }

    /// Brings the files of `wanted` here, as changes to `base`, which the machine had in common
    /// with the store; afterwards it has agreed on the version `newest`.
    async fn bring(
        &self,
        folder: &GroupFolder,
        (index, base): (Option<Index>, Entries),
        wanted: &Manifest,
        newest: &Manifest,
    ) -> Result<Restored, WorkspaceFault> {
        let lock = agent::lock_of(&self.house.root, folder);
        let _alone = match agent::take_lock(&lock).await {
            Ok(alone) => alone,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(WorkspaceFault::Busy);
            }
            Err(error) => return Err(error.into()),
        };
        let session = index.as_ref().and_then(|index| index.session.clone());
        let here = self.read_here(folder, index).await?;
        let all = (&base, &here.entries, &wanted.entries);
        let plan = merge::plan_around(&here.tree.unreadable, all);
        // What cannot be served is not moved here, again and again.
        self.may_take_over_registration(wanted).await?;
        let (fetched, bytes, kept) = self.apply(folder, plan, wanted).await?;
        self.take_over_registration(wanted, session != wanted.session)
            .await?;
        // What was moved in is ours alone until the lock is given back.
        let here = self.read_here(folder, None).await?;
        let stamps = here.all_stamps_of(&newest.entries);
        Index::of(newest, self.bucket.shown(), stamps).store(&self.house.root)?;
        let version = wanted.version;
        self.tell_restored(folder, version, (fetched, bytes), &kept);
        Ok(Restored { version, kept })
    }

    fn tell_restored(
        &self,
        group: &GroupFolder,
        version: u64,
        (fetched, bytes): (usize, u64),
        kept: &[EntryPath],
    ) {
        tracing::info!(%group, version, fetched, bytes, "Workspace restored");
        if !kept.is_empty() {
            tracing::error!(%group, version, "two machines have changed the same files; look at what is beside them: {}", list(kept));
            self.house
                .events
                .tell(Event::Workspace(WorkspaceEvent::Conflict {
                    group: group.clone(),
                    version,
                    kept: kept.iter().map(ToString::to_string).collect(),
                }));
        }
        self.house
            .events
            .tell(Event::Workspace(WorkspaceEvent::Restored {
                group: group.clone(),
                version,
                fetched,
                bytes,
            }));
    }

    /// Makes the plan come true; says what was fetched, and where ours was kept.
    async fn apply(
        &self,
        folder: &GroupFolder,
        plan: Plan,
        manifest: &Manifest,
    ) -> Result<(usize, u64, Vec<EntryPath>), WorkspaceFault> {
        let place = self.place(folder);
        let staging = Staging::new(&place, RESTORED)?;
        let wanted = wanted(&plan, &manifest.entries);
        let fetched = wanted.len();
        let bytes = wanted.iter().map(|wanted| wanted.sums.size).sum();
        let fetching = stream::iter(wanted).map(|wanted| self.fetch(folder, &staging, wanted));
        let () = fetching.buffer_unordered(AT_ONCE).try_collect().await?;
        let (entries, version) = (manifest.entries.clone(), manifest.version);
        let moved = tokio::task::spawn_blocking(move || {
            let moving = Moving::new(&place, &staging, version)?;
            moving.obey(&plan, &entries)
        });
        let kept = moved.await??;
        Ok((fetched, bytes, kept))
    }

    /// Fetches a content, and again if it does not arrive whole.
    async fn fetch(
        &self,
        folder: &GroupFolder,
        staging: &Staging,
        wanted: Wanted,
    ) -> Result<(), WorkspaceFault> {
        let _room = self.room(wanted.sums.size).await;
        let object = || self.bucket.object_name(folder, &wanted.sums.sha256);
        let mut attempt = 1;
        loop {
            let file = staging.create(&wanted.sums.sha256)?;
            let content = (&wanted.sums.sha256, wanted.sums.size);
            let fault = match fetch(&self.bucket, folder, content, file).await {
                Ok(sums) if sums == wanted.sums => return Ok(()),
                Ok(sums) => damaged(&wanted, &sums, object()),
                Err(WorkspaceFault::Store(fault)) if fault.is_missing() => {
                    return Err(WorkspaceFault::Lost {
                        object: object(),
                        path: wanted.path.to_string(),
                    });
                }
                Err(fault) => fault,
            };
            if attempt == ATTEMPTS {
                return Err(fault);
            }
            attempt += 1;
        }
    }

    /// Fails where the group cannot be registered here as it was there.
    async fn may_take_over_registration(&self, manifest: &Manifest) -> Result<(), WorkspaceFault> {
        let store = &self.house.store;
        let folder = manifest.group.folder.clone();
        if store.group_of_folder(folder).await?.is_none() {
            store.may_register((&manifest.group).into()).await?;
        }
        Ok(())
    }

    /// The group is registered here as it was there, and goes on with the same conversation.
    pub(super) async fn take_over_registration(
        &self,
        manifest: &Manifest,
        is_new_session: bool,
    ) -> Result<(), WorkspaceFault> {
        let (store, now) = (&self.house.store, self.house.clock.now());
        let folder = manifest.group.folder.clone();
        if store.group_of_folder(folder.clone()).await?.is_none() {
            crate::registration::register(&self.house, (&manifest.group).into()).await?;
        }
        if is_new_session {
            let session = manifest.session.clone();
            store.set_session(folder, session, now).await?;
        }
        Ok(())
    }
}

/// Each content once that files are made of.
fn wanted(plan: &Plan, entries: &Entries) -> Vec<Wanted> {
    let mut wanted = BTreeMap::new();
    for path in &plan.take {
        if let Some(Entry::File {
            size,
            sha256,
            crc32c,
            executable: _,
        }) = entries.get(path)
        {
            wanted.entry(sha256.clone()).or_insert_with(|| Wanted {
                path: path.clone(),
                sums: Sums {
                    size: *size,
                    sha256: sha256.clone(),
                    crc32c: crc32c.clone(),
                },
            });
        }
    }
    wanted.into_values().collect()
}

fn damaged(wanted: &Wanted, found: &Sums, object: String) -> WorkspaceFault {
    let expected = &wanted.sums;
    let hex = |sha256: &Sha256Hex| sha256.as_str().to_owned();
    let (sum, found, expected) = if found.size != expected.size {
        ("size", found.size.to_string(), expected.size.to_string())
    } else if found.crc32c != expected.crc32c {
        ("CRC32C", found.crc32c.clone(), expected.crc32c.clone())
    } else {
        ("SHA-256", hex(&found.sha256), hex(&expected.sha256))
    };
    WorkspaceFault::Damaged {
        object,
        path: wanted.path.to_string(),
        sum,
        found,
        expected,
    }
}

fn list(paths: &[EntryPath]) -> String {
    let shown: Vec<&str> = paths.iter().take(5).map(EntryPath::as_str).collect();
    shown.join(", ")
}
