//! A content on its way out of the store: asked for part by part and passed on as it comes, so
//! that one of any size takes the memory of a few chunks.

use std::io::{self, Write};
use std::mem;

use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;

use super::bucket::{Bucket, StoreFault};
use super::desk::{PART, WorkspaceFault};
use super::entry::Sha256Hex;
use super::sums::{CHUNK, Summing, Sums};
use crate::ids::GroupFolder;

/// Passes a content of `size` bytes on, and says what it was. One that is shorter ends there.
pub(super) async fn fetch(
    bucket: &Bucket,
    group: &GroupFolder,
    (sha256, size): (&Sha256Hex, u64),
    to: impl Write + Send + 'static,
) -> Result<Sums, WorkspaceFault> {
    let summing = Summing::new();
    let mut passing = Passing { to, summing };
    let mut at = 0;
    while at < size {
        let end = size.min(at + PART);
        passing = match bucket.get(group, sha256, at..end).await {
            Ok(chunks) => passing.pass(chunks).await?,
            // Stores refuse a part that begins behind the end, each in words of its own.
            Err(fault) => match bucket.size_of(group, sha256).await {
                Ok(Some(size)) if size <= at => break,
                Ok(_) | Err(_) => return Err(fault.into()),
            },
        };
        if passing.summing.size() < end {
            break;
        }
        at = end;
    }
    Ok(passing.summing.finish())
}

/// Where a content goes, and what has gone there.
struct Passing<W> {
    to: W,
    summing: Summing,
}

impl<W: Write + Send + 'static> Passing<W> {
    /// What comes over a network comes in crumbs; a thread is asked for a chunk of them.
    async fn pass(
        mut self,
        mut crumbs: BoxStream<'static, Result<Bytes, StoreFault>>,
    ) -> Result<Self, WorkspaceFault> {
        let (mut gathered, mut length) = (Vec::new(), 0);
        while let Some(crumb) = crumbs.try_next().await? {
            length += crumb.len();
            gathered.push(crumb);
            if length >= CHUNK {
                length = 0;
                self = self.write(mem::take(&mut gathered)).await?;
            }
        }
        if gathered.is_empty() {
            return Ok(self);
        }
        self.write(gathered).await
    }

    async fn write(mut self, gathered: Vec<Bytes>) -> Result<Self, WorkspaceFault> {
        let written = tokio::task::spawn_blocking(move || {
            for bytes in gathered {
                self.to.write_all(&bytes)?;
                self.summing.add(&bytes);
            }
            io::Result::Ok(self)
        });
        Ok(written.await??)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::chunked::ChunkedStore;
    use object_store::local::LocalFileSystem;
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::{ObjectStore, ObjectStoreExt};

    use super::super::manners::Manners;
    use super::super::sums::sums_of;
    use super::*;
    use crate::clock::Clock;

    /// Fetches a content of so many bytes that is thought to have more.
    async fn check(store: Arc<dyn ObjectStore>, size: u64, missing: u64) {
        let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let sums = sums_of(content.as_slice()).unwrap();
        let path = format!("kimi/family/objects/{}", sums.sha256.as_str());
        let put = store.put(&Path::from(path), content.clone().into()).await;
        put.unwrap();
        let clock = Clock::test("2026-01-05T09:00:00Z".parse().unwrap());
        let (shown, manners) = ("gs://groups/kimi".to_owned(), Manners::new(&clock));
        let bucket = Bucket::new(store, Path::from("kimi"), shown, manners);
        let place = tempfile::NamedTempFile::new().unwrap();
        let file = fs_err::File::create(place.path()).unwrap();

        let wanted = (&sums.sha256, sums.size + missing);
        let fetched = fetch(&bucket, &"family".parse().unwrap(), wanted, file).await;

        assert_eq!(fetched.unwrap(), sums);
        assert!(fs_err::read(place.path()).unwrap() == content);
    }

    fn stores(folder: &std::path::Path) -> [Arc<dyn ObjectStore>; 3] {
        let files = LocalFileSystem::new_with_prefix(folder).unwrap();
        let memory: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let crumbs = ChunkedStore::new(Arc::clone(&memory), 10_007);
        [Arc::new(files), memory, Arc::new(crumbs)]
    }

    #[tokio::test]
    async fn a_content_arrives_as_it_is_whatever_it_comes_in() {
        let folder = tempfile::tempdir().unwrap();
        for store in stores(folder.path()) {
            check(Arc::clone(&store), PART + 100_003, 0).await;
            check(store, PART, 0).await;
        }
    }

    #[tokio::test]
    async fn one_that_is_too_short_ends_where_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        for store in stores(folder.path()) {
            for size in [0, 5, PART - 1, PART, PART + 1] {
                check(Arc::clone(&store), size, PART).await;
            }
        }
    }
}
