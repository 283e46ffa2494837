//! Files that come with messages: sealed before they are uploaded, and a host that keeps them.
//!
//! A file is encrypted with a key of its own, which travels in the message; the host never
//! sees what is in it.

mod host;
mod library;
mod seal;
#[cfg(test)]
mod tests;

pub(crate) use host::{LARGEST_FILE, MediaHost, MediaHostError};
pub(crate) use library::MediaLibrary;
pub(crate) use seal::SealedFile;
