//! A content on its way out of the store: asked for part by part and passed on as it comes, so
//! that one of any size takes the memory of a few chunks.

use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::mem;

use futures_util::TryStreamExt;

use super::bucket::{Bucket, Part};
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
        passing = passing
            .on(bucket.get(group, sha256, at..end).await?)
            .await?;
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
    async fn on(mut self, part: Part) -> Result<Self, WorkspaceFault> {
        let mut chunks = match part {
            Part::File(mut file, range) => {
                let passed = tokio::task::spawn_blocking(move || {
                    file.seek(SeekFrom::Start(range.start))?;
                    let part = file.take(range.end - range.start);
                    io::copy(&mut BufReader::with_capacity(CHUNK, part), &mut self)?;
                    io::Result::Ok(self)
                });
                return Ok(passed.await??);
            }
            Part::Chunks(chunks) => chunks,
        };
        // What comes over a network comes in crumbs; a thread is asked for a chunk of them.
        let (mut gathered, mut length) = (Vec::new(), 0);
        loop {
            let next = chunks.try_next().await?;
            let is_end = next.is_none();
            length += next.as_ref().map_or(0, bytes::Bytes::len);
            gathered.extend(next);
            if is_end || length >= CHUNK {
                let gathered = mem::take(&mut gathered);
                length = 0;
                let passed = tokio::task::spawn_blocking(move || {
                    let mut gathered = gathered.iter();
                    gathered.try_for_each(|bytes| self.write_all(bytes))?;
                    io::Result::Ok(self)
                });
                self = passed.await??;
            }
            if is_end {
                return Ok(self);
            }
        }
    }
}

impl<W: Write> Write for Passing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.to.write(bytes)?;
        self.summing.add(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
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

    /// Fetches a content of two parts that is thought to be larger by some bytes.
    async fn check(store: Arc<dyn ObjectStore>, missing: u64) {
        let content: Vec<u8> = (0..PART + 100_003).map(|at| (at % 251) as u8).collect();
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

    #[tokio::test]
    async fn a_content_arrives_as_it_is_whatever_it_comes_in() {
        let folder = tempfile::tempdir().unwrap();
        let files = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
        check(Arc::new(files), 0).await;
        let memory: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        check(Arc::clone(&memory), 0).await;
        check(Arc::new(ChunkedStore::new(memory, 10_007)), 0).await;
    }

    #[tokio::test]
    async fn one_that_is_too_short_ends_where_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let files = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
        check(Arc::new(files), PART).await;
        check(Arc::new(InMemory::new()), PART).await;
    }
}
