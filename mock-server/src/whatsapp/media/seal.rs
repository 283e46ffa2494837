//! How a file is sealed: AES-256-CBC and a MAC, with keys that follow from its media key.
//!
//! Format: WhatsApp Web, as Baileys 7.0.0-rc14 and whatsapp-rust 0.7.0 speak it. HKDF-SHA256
//! of the media key, with the kind's name as info, gives 16 bytes IV, 32 bytes cipher key, 32
//! bytes MAC key (and 32 that are unused here); the sealed file is the ciphertext and the
//! first ten bytes of HMAC-SHA256 over IV and ciphertext.

use wacore::crypto::hkdf_sha256_into;
use wacore_libsignal::crypto::{
    aes_256_cbc_decrypt_into, aes_256_cbc_encrypt_into, hmac_sha256_two_part,
};

use crate::whatsapp::controls::MediaKind;
use crate::whatsapp::phone::sha256;

const MAC_LENGTH: usize = 10;

/// Where a sealed file lies and what opens it: the fields that every message with a file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SealedFile {
    pub(crate) url: String,
    /// The path on any media host, e.g. `/v/t62.7118-24/<digits>.enc`.
    pub(crate) direct_path: String,
    pub(crate) media_key: [u8; 32],
    /// Of the content.
    pub(crate) sha256: [u8; 32],
    /// Of what lies on the host.
    pub(crate) sealed_sha256: [u8; 32],
    /// Of the content, in bytes.
    pub(crate) length: u64,
}

impl SealedFile {
    /// Reads the fields of a message: media key and both hashes, URL and path, length. None:
    /// one of those that are needed is missing, or has no 32 bytes.
    pub(crate) fn read(
        [media_key, sha256, sealed_sha256]: [&Option<Vec<u8>>; 3],
        [url, direct_path]: [&Option<String>; 2],
        length: Option<u64>,
    ) -> Option<Self> {
        Some(Self {
            url: url.clone().unwrap_or_default(),
            direct_path: direct_path.clone()?,
            media_key: thirty_two(media_key.as_deref())?,
            sha256: thirty_two(sha256.as_deref())?,
            sealed_sha256: thirty_two(sealed_sha256.as_deref())?,
            length: length?,
        })
    }
}

fn thirty_two(bytes: Option<&[u8]>) -> Option<[u8; 32]> {
    match bytes?.try_into() {
        Ok(key) => Some(key),
        // A key of another length opens nothing.
        Err(_length) => None,
    }
}

/// What was uploaded is not what the message says.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum UnreadableFile {
    #[error("no file lies at `{0}` of the media host")]
    Missing(String),
    #[error("the file on the media host is not the one that was announced: its hash differs")]
    OtherFile,
    #[error("the file's MAC is wrong")]
    Mac,
    #[error("the file does not decrypt")]
    Cipher,
    #[error("the content's hash or length is not the announced one")]
    OtherContent,
}

struct FileKeys {
    iv: [u8; 16],
    cipher: [u8; 32],
    mac: [u8; 32],
}

#[expect(
    clippy::expect_used,
    reason = "80 bytes are well within HKDF's limit of 8,160"
)]
fn keys(kind: MediaKind, media_key: &[u8; 32]) -> FileKeys {
    let mut expanded = [0; 80];
    hkdf_sha256_into(media_key, None, purpose(kind).as_bytes(), &mut expanded)
        .expect("HKDF gives 80 bytes");
    let mut keys = FileKeys {
        iv: [0; 16],
        cipher: [0; 32],
        mac: [0; 32],
    };
    let (iv, rest) = expanded.split_at(16);
    let (cipher, mac) = rest.split_at(32);
    keys.iv.copy_from_slice(iv);
    keys.cipher.copy_from_slice(cipher);
    keys.mac.copy_from_slice(mac);
    keys
}

fn purpose(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image | MediaKind::Sticker => "WhatsApp Image Keys",
        MediaKind::Video => "WhatsApp Video Keys",
        MediaKind::Document => "WhatsApp Document Keys",
        MediaKind::Audio | MediaKind::Voice => "WhatsApp Audio Keys",
    }
}

/// Ciphertext and MAC.
#[expect(clippy::expect_used, reason = "key and IV have the cipher's lengths")]
pub(super) fn seal(kind: MediaKind, media_key: &[u8; 32], content: &[u8]) -> Vec<u8> {
    let keys = keys(kind, media_key);
    let mut sealed = Vec::new();
    aes_256_cbc_encrypt_into(content, &keys.cipher, &keys.iv, &mut sealed)
        .expect("AES takes any content");
    let mac = hmac_sha256_two_part(&keys.mac, &keys.iv, &sealed);
    sealed.extend_from_slice(&mac[..MAC_LENGTH]);
    sealed
}

/// The content of what lies on the host.
pub(super) fn open(
    kind: MediaKind,
    file: &SealedFile,
    sealed: &[u8],
) -> Result<Vec<u8>, UnreadableFile> {
    if sha256(sealed) != file.sealed_sha256 {
        return Err(UnreadableFile::OtherFile);
    }
    let keys = keys(kind, &file.media_key);
    let length = sealed
        .len()
        .checked_sub(MAC_LENGTH)
        .ok_or(UnreadableFile::Mac)?;
    let (ciphertext, mac) = sealed.split_at(length);
    if hmac_sha256_two_part(&keys.mac, &keys.iv, ciphertext)[..MAC_LENGTH] != *mac {
        return Err(UnreadableFile::Mac);
    }
    let mut content = Vec::new();
    aes_256_cbc_decrypt_into(ciphertext, &keys.cipher, &keys.iv, &mut content)
        .map_err(|_bad_padding| UnreadableFile::Cipher)?;
    let as_announced = sha256(&content) == file.sha256 && content.len() as u64 == file.length;
    if as_announced {
        Ok(content)
    } else {
        Err(UnreadableFile::OtherContent)
    }
}
