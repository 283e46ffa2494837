//! One orchestrator per folder, held by a lock that the kernel frees however we end.

use std::fs::TryLockError;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use fs_err::File;

/// The held lock; dropping it frees the folder.
#[derive(Debug)]
pub(crate) struct Instance {
    _lock: File,
}

/// The folder cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    #[error(
        "{}: another nanokimi (process {pid}) runs in this folder; stop it first, or choose another with --root",
        .folder.display()
    )]
    Taken { folder: PathBuf, pid: String },
    #[error("the folder's lock cannot be used")]
    Io(#[from] io::Error),
}

fn open(root: &Path) -> io::Result<File> {
    let mut options = fs_err::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(root.join("store/lock"))
}

/// Takes the folder, or says who has it.
pub(crate) fn lock(root: &Path) -> Result<Instance, InstanceError> {
    let mut file = open(root)?;
    match file.file().try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(InstanceError::Taken {
                folder: root.to_owned(),
                pid: holder(&mut file)?,
            });
        }
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    file.file().set_len(0)?;
    file.rewind()?;
    file.write_all(std::process::id().to_string().as_bytes())?;
    Ok(Instance { _lock: file })
}

/// The process id of the orchestrator that runs in the folder; none if none does.
pub(crate) fn running(root: &Path) -> io::Result<Option<String>> {
    if !root.join("store/lock").is_file() {
        return Ok(None);
    }
    let mut file = open(root)?;
    match file.file().try_lock() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => holder(&mut file).map(Some),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn holder(file: &mut File) -> io::Result<String> {
    let mut pid = String::new();
    file.read_to_string(&mut pid)?;
    Ok(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_instance_is_refused_and_told_of_the_first() {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir(root.path().join("store")).unwrap();
        let first = lock(root.path()).unwrap();

        let refused = lock(root.path()).unwrap_err().to_string();
        assert!(
            refused.contains(&std::process::id().to_string()),
            "{refused}"
        );
        assert!(running(root.path()).unwrap().is_some());

        drop(first);
        assert_eq!(running(root.path()).unwrap(), None);
        lock(root.path()).unwrap();
    }
}
