//! The files that lie on the media host, and the keys to those that people sent.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::seal::{SealedFile, UnreadableFile, open, seal};
use crate::whatsapp::controls::MediaKind;
use crate::whatsapp::phone::{Seed, sha256};

/// How long clients may use one answer about the media host, in seconds: longer than any test.
const LIFETIME: u32 = 86_400;

/// A handle to the files. The map is shared because a task to own it would do nothing but
/// look things up.
#[derive(Clone)]
pub(crate) struct MediaLibrary {
    /// `127.0.0.1:<port>`, as clients are told; known once the host has its port.
    hostname: Arc<OnceLock<String>>,
    /// What uploads must show.
    auth: String,
    files: Arc<Mutex<BTreeMap<String, Bytes>>>,
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
    pub(super) fn new(seed: &Seed) -> Self {
        let auth = URL_SAFE_NO_PAD.encode(seed.of("media auth").bytes());
        Self {
            hostname: Arc::default(),
            auth,
            files: Arc::default(),
        }
    }

    pub(super) fn open_at(&self, address: SocketAddr) {
        self.hostname.get_or_init(|| address.to_string());
    }

    fn hostname(&self) -> &str {
        self.hostname.get().map_or("", String::as_str)
    }

    pub(super) fn auth(&self) -> &str {
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
        self.files().insert(path.clone(), sealed);
        path
    }

    pub(super) fn get(&self, path: &str) -> Option<Bytes> {
        self.files().get(path).cloned()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.hostname())
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        // Inserting is all that is done under the lock, so a panic leaves the map whole.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
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
