//! A store in memory that counts what it is asked, fails on demand, and keeps its promises
//! otherwise.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};
use tokio::sync::oneshot;

#[derive(Debug)]
pub(super) struct Store {
    inner: InMemory,
    state: Mutex<State>,
    /// Uploads in parts that were given up.
    aborted: Arc<AtomicUsize>,
}

/// An upload of which the first part may not arrive.
#[derive(Debug)]
struct Parts {
    inner: Box<dyn MultipartUpload>,
    breaks: bool,
    aborted: Arc<AtomicUsize>,
}

#[async_trait::async_trait]
impl MultipartUpload for Parts {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        if self.breaks {
            return Box::pin(async { Err(lost()) });
        }
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.aborted.fetch_add(1, Ordering::Relaxed);
        self.inner.abort().await
    }
}

#[derive(Debug, Default)]
struct State {
    /// Requests by verb.
    asked: BTreeMap<&'static str, usize>,
    /// What is asked of names that hold this text fails, this often.
    fails: Option<(&'static str, usize)>,
    /// The next manifest is written, but nobody is told.
    loses_answer: bool,
    /// The next upload in parts loses one.
    breaks_part: bool,
    /// So many contents break off in the middle.
    tears: usize,
    /// Somebody writes this file while the next content is put, and says so.
    writer: Option<(PathBuf, oneshot::Sender<()>)>,
}

impl Store {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: InMemory::new(),
            state: Mutex::default(),
            aborted: Arc::default(),
        })
    }

    pub(super) fn fail(&self, names: &'static str, times: usize) {
        self.state.lock().unwrap().fails = Some((names, times));
    }

    pub(super) fn lose_an_answer(&self) {
        self.state.lock().unwrap().loses_answer = true;
    }

    /// A part of the next upload in parts is lost.
    pub(super) fn lose_a_part(&self) {
        self.state.lock().unwrap().breaks_part = true;
    }

    pub(super) fn aborted(&self) -> usize {
        self.aborted.load(Ordering::Relaxed)
    }

    pub(super) fn tear(&self, times: usize) {
        self.state.lock().unwrap().tears = times;
    }

    /// Returns when somebody has written into the file, while a content of it was put.
    pub(super) fn meanwhile(&self, written: PathBuf) -> oneshot::Receiver<()> {
        let (done, is_done) = oneshot::channel();
        self.state.lock().unwrap().writer = Some((written, done));
        is_done
    }

    /// What was asked since the last time, by verb.
    pub(super) fn asked(&self) -> String {
        let asked = std::mem::take(&mut self.state.lock().unwrap().asked);
        let words: Vec<String> = asked
            .iter()
            .map(|(verb, n)| format!("{verb} {n}"))
            .collect();
        words.join(", ")
    }

    pub(super) fn inner(&self) -> &InMemory {
        &self.inner
    }

    fn ask(&self, verb: &'static str, path: &Path) -> Result<()> {
        let mut state = self.state.lock().unwrap();
        *state.asked.entry(verb).or_default() += 1;
        if let Some((names, times)) = &mut state.fails
            && *times > 0
            && path.as_ref().contains(*names)
        {
            *times -= 1;
            return Err(lost());
        }
        Ok(())
    }
}

fn lost() -> Error {
    Error::Generic {
        store: "failing",
        source: "the connection was reset".into(),
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a failing store")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Store {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.ask("put", location)?;
        let writer = self.state.lock().unwrap().writer.take();
        if let Some((file, done)) = writer {
            fs_err::write(file, "written meanwhile").unwrap();
            done.send(()).unwrap();
        }
        let put = self.inner.put_opts(location, payload, opts).await;
        let is_manifest = location.as_ref().contains("manifests");
        if is_manifest && std::mem::take(&mut self.state.lock().unwrap().loses_answer) {
            return Err(lost());
        }
        put
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.ask("put in parts", location)?;
        let inner = self.inner.put_multipart_opts(location, opts).await?;
        let breaks = std::mem::take(&mut self.state.lock().unwrap().breaks_part);
        let aborted = self.aborted.clone();
        Ok(Box::new(Parts {
            inner,
            breaks,
            aborted,
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.ask("get", location)?;
        let mut got = self.inner.get_opts(location, options).await?;
        let mut state = self.state.lock().unwrap();
        if state.tears > 0
            && location.as_ref().contains("objects/")
            && let GetResultPayload::Stream(chunks) = got.payload
        {
            state.tears -= 1;
            let half = chunks.map_ok(|chunk| chunk.slice(..chunk.len() / 2));
            let torn = half.chain(stream::once(async { Err(lost()) }));
            got.payload = GetResultPayload::Stream(torn.boxed());
        }
        Ok(got)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.ask("get", location)?;
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.ask("list", prefix.unwrap_or(&Path::default())) {
            Ok(()) => self.inner.list(prefix),
            Err(error) => Box::pin(stream::once(async { Err(error) })),
        }
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.ask("list", prefix.unwrap_or(&Path::default())) {
            Ok(()) => self.inner.list_with_offset(prefix, offset),
            Err(error) => Box::pin(stream::once(async { Err(error) })),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.ask("list", prefix.unwrap_or(&Path::default()))?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
