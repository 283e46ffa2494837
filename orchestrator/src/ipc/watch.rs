//! The kernel's word that something was dropped. It can be missed, so it is never the only
//! reason to look.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RenameMode};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::ids::GroupFolder;

/// The folders that are watched.
pub(super) struct Watch {
    ipc: PathBuf,
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<GroupFolder>,
}

impl Watch {
    pub(super) fn start(ipc: PathBuf, dropped: mpsc::Sender<()>) -> Self {
        let told = move |event: notify::Result<Event>| {
            // An error is an overflow: something may have been dropped.
            if event.as_ref().map_or(true, is_complete) {
                // Full means that a look is already due.
                let (Ok(()) | Err(_)) = dropped.try_send(());
            }
        };
        let watcher = match notify::recommended_watcher(told) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "no watch on data/ipc; files are found by the regular scan");
                None
            }
        };
        let mut watch = Self {
            ipc,
            watcher,
            watched: BTreeSet::new(),
        };
        // A new folder here is a new group, registered by a command beside us.
        watch.watch(&watch.ipc.clone());
        watch
    }

    /// Watches a group's folders; `again` if they are watched already, since an agent may have
    /// replaced them, and with them what we watched.
    pub(super) fn add(&mut self, folder: &GroupFolder, again: bool) {
        if !self.watched.insert(folder.clone()) && !again {
            return;
        }
        for kind in ["messages", "tasks"] {
            self.watch(&self.ipc.join(folder.as_str()).join(kind));
        }
    }

    fn watch(&mut self, path: &Path) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        if is_folder(path)
            && let Err(error) = watcher.watch(path, RecursiveMode::NonRecursive)
        {
            tracing::warn!(path = %path.display(), %error, "no watch; files are found by the regular scan");
        }
    }
}

/// Whether something is there as a whole: moved in, or written and closed. A plain file that
/// was only created will be written yet; anything else is complete when it is there.
fn is_complete(event: &Event) -> bool {
    match event.kind {
        EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Any))
        | EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Create(CreateKind::Folder) => true,
        EventKind::Create(_) => !event.paths.iter().all(|path| is_plain_file(path)),
        EventKind::Modify(_)
        | EventKind::Access(_)
        | EventKind::Remove(_)
        | EventKind::Any
        | EventKind::Other => false,
    }
}

fn is_folder(path: &Path) -> bool {
    fs_err::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

fn is_plain_file(path: &Path) -> bool {
    fs_err::symlink_metadata(path).is_ok_and(|found| found.is_file())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    struct Watched {
        root: tempfile::TempDir,
        drops: mpsc::Receiver<()>,
        _watch: Watch,
    }

    fn watched() -> Watched {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(root.path().join("g/messages")).unwrap();
        let (dropped, drops) = mpsc::channel(1);
        let mut watch = Watch::start(root.path().to_owned(), dropped);
        watch.add(&"g".parse().unwrap(), false);
        Watched {
            root,
            drops,
            _watch: watch,
        }
    }

    impl Watched {
        fn path(&self, name: &str) -> PathBuf {
            self.root.path().join("g/messages").join(name)
        }

        /// Everything that has happened so far has been told, or not, when this is.
        async fn told(&mut self) {
            tokio::time::timeout(PATIENCE, self.drops.recv())
                .await
                .unwrap()
                .unwrap();
        }
    }

    #[tokio::test]
    async fn a_file_is_told_when_it_is_closed_and_not_before() {
        let mut watched = watched();
        let mut file = fs_err::File::create(watched.path("a.json")).unwrap();
        file.write_all(b"{").unwrap();
        let early = tokio::time::timeout(Duration::from_millis(100), watched.drops.recv()).await;
        assert!(early.is_err(), "told of a file that is being written");
        drop(file);
        watched.told().await;
    }

    #[tokio::test]
    async fn what_is_moved_in_and_what_is_no_file_is_told() {
        let mut watched = watched();
        let outside = watched.root.path().join("new");
        fs_err::write(&outside, "{}").unwrap();
        fs_err::rename(&outside, watched.path("a.json")).unwrap();
        watched.told().await;

        symlink("nowhere", watched.path("b.json")).unwrap();
        watched.told().await;
    }

    #[tokio::test]
    async fn a_new_groups_folder_is_told() {
        let mut watched = watched();
        fs_err::create_dir(watched.root.path().join("h")).unwrap();
        watched.told().await;
    }
}
