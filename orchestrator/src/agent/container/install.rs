//! Which containers are ours: the installation's id, in `data/install-id`.
//!
//! It goes with the folder, not with a copy of it: two installations on one engine must never
//! take each other's agents for their own.

use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The id cannot be read or made.
#[derive(Debug, thiserror::Error)]
#[error("the installation's id in `{}` cannot be kept", .file.display())]
pub struct InstallError {
    file: PathBuf,
    #[source]
    source: io::Error,
}

/// Reads the installation's id, or makes one.
pub(super) fn read_or_make(root: &Path) -> Result<String, InstallError> {
    let file = root.join("data/install-id");
    let failed = |source| InstallError {
        file: file.clone(),
        source,
    };
    if let Some(id) = read(root)? {
        return Ok(id);
    }
    let folder = fs_err::metadata(root.join("data")).map_err(failed)?.ino();
    let id = uuid::Uuid::new_v4().simple().to_string();
    let new = file.with_extension("new");
    fs_err::write(&new, format!("{id} {folder}\n")).map_err(failed)?;
    fs_err::rename(&new, &file).map_err(failed)?;
    Ok(id)
}

/// Reads the installation's id; none if it has none of its own yet.
pub(super) fn read(root: &Path) -> Result<Option<String>, InstallError> {
    let file = root.join("data/install-id");
    let both = || -> io::Result<(String, u64)> {
        let text = fs_err::read_to_string(&file)?;
        let folder = fs_err::metadata(root.join("data"))?.ino();
        Ok((text, folder))
    };
    match both() {
        Ok((text, folder)) => Ok(id_of(&text, folder).map(ToOwned::to_owned)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(InstallError { file, source }),
    }
}

/// The id, if it was made for this very folder and not for one that it is a copy of.
fn id_of(text: &str, folder: u64) -> Option<&str> {
    let (id, made_for) = text.trim().split_once(' ')?;
    let is_id = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    (is_id && made_for == folder.to_string()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_with_its_folder_and_a_copy_gets_its_own() {
        let one = tempfile::tempdir().unwrap();
        let two = tempfile::tempdir().unwrap();
        for root in [&one, &two] {
            fs_err::create_dir(root.path().join("data")).unwrap();
        }
        let id = read_or_make(one.path()).unwrap();
        assert_eq!(read_or_make(one.path()).unwrap(), id);

        let file = |root: &tempfile::TempDir| root.path().join("data/install-id");
        fs_err::copy(file(&one), file(&two)).unwrap();
        let copied = read_or_make(two.path()).unwrap();
        assert_ne!(copied, id);
        assert_eq!(read_or_make(two.path()).unwrap(), copied);
    }
}
