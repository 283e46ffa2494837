//! The files that lie on the media host, and the keys to those that people sent.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::seal::{SealedFile, UnreadableFile, open, seal};
use crate::whatsapp::controls::{FileFault, MediaKind, UploadRefusal};
use crate::whatsapp::phone::{Seed, sha256};

/// How long clients may use one answer about the media host, in seconds: longer than any test.
const LIFETIME: u32 = 86_400;

/// A handle to the files. The shelf is shared because a task to own it would do nothing but
/// look things up.
#[derive(Clone)]
pub(crate) struct MediaLibrary {
    /// Host and port, as clients are told; known once the host has its port.
    hostname: Arc<OnceLock<String>>,
    /// What uploads must show.
    auth: String,
    shelf: Arc<Mutex<Shelf>>,
}

/// What lies on the host, by path, and what goes wrong with it.
#[derive(Default)]
struct Shelf {
    files: BTreeMap<String, Bytes>,
    faults: BTreeMap<String, FileFault>,
    refusal: Option<UploadRefusal>,
}

/// Neither what lies there nor what uploads must show.
impl fmt::Debug for MediaLibrary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hostname = self.hostname();
        f.debug_struct("MediaLibrary")
            .field("hostname", &hostname)
            .finish_non_exhaustive()
    }
}

impl MediaLibrary {
    pub(crate) fn new(seed: &Seed) -> Self {
        let auth = URL_SAFE_NO_PAD.encode(seed.of("media auth").bytes());
        Self {
            hostname: Arc::default(),
            auth,
            shelf: Arc::default(),
        }
    }

    pub(super) fn open_at(&self, hostname: String) {
        self.hostname.get_or_init(|| hostname);
    }

    fn hostname(&self) -> &str {
        self.hostname.get().map_or("", String::as_str)
    }

    pub(crate) fn auth(&self) -> &str {
        &self.auth
    }

    /// The `<media_conn>` of the answer to `<iq xmlns="w:m">`: where files go and what to show.
    pub(crate) fn media_conn(&self) -> Node {
        let host = NodeBuilder::new("host")
            .attr("hostname", self.hostname())
            .attr("type", "primary")
            .build();
        NodeBuilder::new("media_conn")
            .attr("auth", self.auth.as_str())
            .attr("ttl", LIFETIME)
            .attr("auth_ttl", LIFETIME)
            .attr("max_buckets", "12")
            .children([host])
            .build()
    }

    /// Seals a person's file, with a key that follows from the seed, and keeps it.
    pub(crate) fn keep(&self, kind: MediaKind, content: &[u8], seed: &Seed) -> SealedFile {
        let media_key = seed.of("media key").bytes();
        let sealed = seal(kind, &media_key, content);
        let sealed_sha256 = sha256(&sealed);
        let direct_path = self.put(&sealed_sha256, sealed.into());
        SealedFile {
            url: self.url(&direct_path),
            direct_path,
            media_key,
            sha256: sha256(content),
            sealed_sha256,
            length: content.len() as u64,
        }
    }

    /// The content of a file that a client uploaded.
    ///
    /// # Errors
    /// It is not there, or not what the message announces.
    pub(crate) fn fetch(
        &self,
        kind: MediaKind,
        file: &SealedFile,
    ) -> Result<Vec<u8>, UnreadableFile> {
        let missing = || UnreadableFile::Missing(file.direct_path.clone());
        let sealed = self.get(&file.direct_path).ok_or_else(missing)?;
        open(kind, file, &sealed)
    }

    /// Keeps what is sealed already, at the path that is returned.
    pub(super) fn put(&self, sealed_sha256: &[u8; 32], sealed: Bytes) -> String {
        let path = path_of(&token(sealed_sha256));
        self.shelf().files.insert(path.clone(), sealed);
        path
    }

    pub(super) fn get(&self, path: &str) -> Option<Bytes> {
        self.shelf().files.get(path).cloned()
    }

    /// From now on the file at that path is fetched with this fault.
    pub(crate) fn spoil(&self, path: &str, fault: FileFault) {
        self.shelf().faults.insert(path.to_owned(), fault);
    }

    pub(super) fn fault(&self, path: &str) -> Option<FileFault> {
        self.shelf().faults.get(path).copied()
    }

    /// `times: 0` ends it.
    pub(crate) fn refuse_uploads(&self, refusal: UploadRefusal) {
        self.shelf().refusal = Some(refusal).filter(|refusal| refusal.times != Some(0));
    }

    /// Uploads are taken again.
    pub(crate) fn take_uploads(&self) {
        self.shelf().refusal = None;
    }

    /// The status that the upload at hand gets instead of being taken.
    pub(super) fn refused_upload(&self) -> Option<u16> {
        let mut shelf = self.shelf();
        let refusal = shelf.refusal.as_mut()?;
        let status = refusal.status;
        if let Some(times) = &mut refusal.times {
            *times -= 1;
            if *times == 0 {
                shelf.refusal = None;
            }
        }
        Some(status)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.hostname())
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // Nothing panics half-way through a change of it.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How URLs write the hash of a sealed file.
pub(super) fn token(sealed_sha256: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(sealed_sha256)
}

/// Where the sealed file with that token lies.
pub(super) fn path_of(token: &str) -> String {
    format!("/v/t62.7118-24/{token}.enc")
}
