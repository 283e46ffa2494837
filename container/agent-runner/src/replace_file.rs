//! Writing a file so that nobody ever sees half of it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err::{self as fs, File};

/// What must hold once the call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasting {
    /// Other processes see all of it.
    Visible,
    /// It is also there after the power has failed.
    Durable,
}

/// Puts `content` at `path`: a kill at any instant leaves the old file or the new one.
pub(crate) fn replace_file(path: &Path, content: &[u8], lasting: Lasting) -> io::Result<()> {
    let temporary = temporary_for(path)?;
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    if lasting == Lasting::Durable {
        file.sync_all()?;
    }
    drop(file);
    keep_permissions(path, &temporary)?;
    fs::rename(&temporary, path)?;
    match (lasting, path.parent()) {
        (Lasting::Durable, Some(folder)) => sync_folder(folder),
        (Lasting::Durable | Lasting::Visible, _) => Ok(()),
    }
}

/// Makes the names inside `folder` survive a power failure.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Hidden, beside its target (a rename cannot cross file systems), and always the same, so
/// that a kill leaves at most one behind and the next write uses it up.
fn temporary_for(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{}` names no file", path.display()),
        )
    })?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".part");
    Ok(path.with_file_name(hidden))
}

fn keep_permissions(old: &Path, new: &Path) -> io::Result<()> {
    match fs::metadata(old) {
        Ok(found) => fs::set_permissions(new, found.permissions()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_replaced_file_keeps_its_permissions_and_leaves_no_litter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.sh");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o750)).unwrap();

        replace_file(&path, b"new", Lasting::Durable).unwrap();

        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o750);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
