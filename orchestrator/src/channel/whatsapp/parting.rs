//! That the link is gone, noted beside its keys: however often a service manager starts us, the
//! server is not asked again with keys that it has disowned. A new link has a folder of its own.

use std::io;
use std::path::{Path, PathBuf};

use super::client::auth_folder;

fn file(root: &Path) -> PathBuf {
    auth_folder(root).join("logged-out")
}

/// Notes it, with the server's words.
pub(super) async fn note(root: &Path, why: &str) -> io::Result<()> {
    fs_err::tokio::write(file(root), why).await
}

/// The server's words, if the link is gone.
pub(super) async fn noted(root: &Path) -> io::Result<Option<String>> {
    match fs_err::tokio::read_to_string(file(root)).await {
        Ok(why) => Ok(Some(why)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
