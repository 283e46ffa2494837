//! One orchestrator per folder, held by a lock that the kernel frees however we end. The lock's
//! file says who holds it and, once it listens, where.

use std::fs::TryLockError;
use std::io::{self, Read, Seek, Write};
use std::net::SocketAddr;
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
    lock: File,
}

/// Who holds a folder's lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Its process id.
    pub(crate) pid: String,
    /// Where its HTTP API listens; none before it does, and of a holder that is no orchestrator.
    pub(crate) listens_at: Option<SocketAddr>,
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
            let pid = holder(&mut file)?.pid;
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
    Ok(Instance { lock: file })
}

impl Instance {
    /// Notes where the HTTP API is, for commands beside us. It is gone with the lock's next holder.
    pub(crate) fn listens_at(&mut self, address: SocketAddr) -> io::Result<()> {
        // In one piece: somebody may be reading.
        self.lock.write_all(format!("\n{address}\n").as_bytes())
    }
}

/// The orchestrator that runs in the folder; none if none does.
pub(crate) fn running(root: &Path) -> io::Result<Option<Holder>> {
    if !root.join("store/lock").is_file() {
        return Ok(None);
    }
    let mut file = open(root)?;
    // Shared, so that two who look are not taken for one who runs.
    match file.file().try_lock_shared() {
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

fn holder(file: &mut File) -> io::Result<Holder> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let mut lines = text.lines();
    let pid = lines.next().map_or_else(String::new, str::to_owned);
    let listens_at = match lines.next().map(str::parse) {
        Some(Ok(address)) => Some(address),
        // Nothing yet, or half of it.
        None | Some(Err(_)) => None,
    };
    Ok(Holder { pid, listens_at })
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
    fn whoever_holds_the_folder_says_where_it_listens_and_nobody_after_it_does() {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir(root.path().join("store")).unwrap();
        let told = || running(root.path()).unwrap().unwrap();
        let mut first = lock(root.path()).unwrap();
        assert_eq!(told().listens_at, None);
        let address = "127.0.0.1:9100".parse().unwrap();
        first.listens_at(address).unwrap();
        assert_eq!(told().listens_at, Some(address));
        assert_eq!(told().pid, std::process::id().to_string());

        drop(first);
        let _second = lock(root.path()).unwrap();
        assert_eq!(told().listens_at, None);
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
