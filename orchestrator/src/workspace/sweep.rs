//! Sweeps up: old versions, and contents that no version names. A content is younger than the
//! version that will name it, so nothing young is touched; and where a version that is kept
//! cannot be read, nothing is.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::bucket::{Bucket, StoreFault};
use super::desk::Desk;
use super::release::contents;
use crate::ids::GroupFolder;

/// What is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    /// So many of the newest versions, however old. The newest is always kept.
    pub versions: usize,
    /// All that is younger than this.
    pub since: Timestamp,
    /// Only tell.
    pub is_dry: bool,
}

/// What was swept up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Swept {
    pub versions: usize,
    pub objects: usize,
    pub bytes: u64,
}

/// So many versions of a group stay, unless an operator says otherwise.
pub(crate) const KEPT: usize = 10;
/// How long what no version names may be part of a release that is under way.
const UNDER_WAY: Duration = Duration::from_hours(24);
/// A group is swept each time its version is a multiple of this.
const EVERY: u64 = 20;

impl Desk {
    /// Sweeps up after a group once in a while. What cannot be swept now lies there until later.
    pub(super) async fn tidy(&self, group: &GroupFolder, version: u64) {
        if !version.is_multiple_of(EVERY) {
            return;
        }
        let since = self.house.clock.now().checked_sub(UNDER_WAY);
        let keep = Keep {
            versions: KEPT,
            since: since.unwrap_or(Timestamp::MIN),
            is_dry: false,
        };
        match sweep(&self.bucket, group, keep).await {
            Ok(Swept {
                versions,
                objects,
                bytes,
            }) => tracing::info!(%group, versions, objects, bytes, "Workspace swept"),
            Err(fault) => {
                tracing::warn!(%group, "old versions are not swept up: {}", crate::chain(&fault));
            }
        }
    }
}

pub(crate) async fn sweep(
    bucket: &Bucket,
    group: &GroupFolder,
    keep: Keep,
) -> Result<Swept, StoreFault> {
    let versions = bucket.versions(group, 0).await?;
    let newest = versions.keys().rev().take(keep.versions.max(1));
    let newest: BTreeSet<u64> = newest.copied().collect();
    let is_kept =
        |number: &u64, written: Timestamp| newest.contains(number) || written >= keep.since;
    let (mut named, mut old) = (BTreeSet::new(), Vec::new());
    for (number, stored) in &versions {
        if is_kept(number, stored.modified) {
            let manifest = bucket.read(group, *number).await?;
            named.append(&mut contents(manifest.entries.values()));
        } else {
            old.push(*number);
        }
    }
    let mut swept = Swept {
        versions: old.len(),
        ..Swept::default()
    };
    let objects = bucket.objects(group).await?;
    let garbage = objects
        .iter()
        .filter(|(name, stored)| !named.contains(*name) && stored.modified < keep.since);
    // Versions first: none may name what is gone.
    for number in old.into_iter().filter(|_| !keep.is_dry) {
        bucket.remove_version(group, number).await?;
    }
    for (name, stored) in garbage {
        swept.objects += 1;
        swept.bytes += stored.size;
        if !keep.is_dry {
            bucket.remove_object(group, name).await?;
        }
    }
    Ok(swept)
}
