//! One orchestrator per folder, held by a lock that the kernel frees however we end.

use std::fs::TryLockError;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use fs_err::File;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// A child of a killed nanokimi that has not become a program of its own yet holds what was open
/// in its parent, the lock too. That is over in moments.
const INHERITED: Duration = Duration::from_secs(2);

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
            let pid = holder(&mut file)?;
            if is_alive(&pid) || !is_freed_within(&file, INHERITED)? {
                let folder = root.to_owned();
                return Err(InstanceError::Taken { folder, pid });
            }
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

/// Whether a process of this id exists; whatever is no id is taken for one that does.
fn is_alive(pid: &str) -> bool {
    match pid.parse().map(Pid::from_raw) {
        Ok(Some(pid)) => test_kill_process(pid) != Err(Errno::SRCH),
        Ok(None) | Err(_) => true,
    }
}

/// Waits for the lock, and holds it if it comes.
fn is_freed_within(file: &File, patience: Duration) -> io::Result<bool> {
    // The same lock under a second name: whichever of them takes it, we have it.
    let waiting = file.file().try_clone()?;
    let (told, freed) = mpsc::channel();
    thread::Builder::new()
        .name("lock".to_owned())
        .spawn(move || {
            // Whoever lost patience does not listen.
            let (Ok(()) | Err(_)) = told.send(waiting.lock());
        })?;
    match freed.recv_timeout(patience) {
        Ok(locked) => locked.map(|()| true),
        Err(_elapsed) => Ok(false),
    }
}

fn holder(file: &mut File) -> io::Result<String> {
    let mut pid = String::new();
    file.read_to_string(&mut pid)?;
    Ok(pid)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_dead_ones_lock_that_somebody_inherited_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir(root.path().join("store")).unwrap();
        let mut dead = Command::new("true").spawn().unwrap();
        dead.wait().unwrap();
        let mut heir = open(root.path()).unwrap();
        heir.file().lock().unwrap();
        heir.write_all(dead.id().to_string().as_bytes()).unwrap();
        assert!(!is_alive(&dead.id().to_string()));
        let file = open(root.path()).unwrap();
        assert!(!is_freed_within(&file, Duration::ZERO).unwrap());
        drop(file);

        let locked = thread::scope(|scope| {
            let locking = scope.spawn(|| lock(root.path()));
            drop(heir);
            locking.join().unwrap()
        });
        locked.unwrap();
    }

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
