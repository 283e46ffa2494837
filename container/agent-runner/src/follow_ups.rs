//! What a waiting agent is asked next: files in the IPC folder's `input/`, one at a time.
//!
//! The kernel tells of new files where it can; a regular look finds them where it cannot, as on
//! a mount that crosses machines.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use agent_protocol::{AgentErrorKind, CLOSE, FollowUp, INPUT_FOLDER};
use fs_err as fs;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::events::note;
use crate::failure::Failure;
use crate::settings::Folders;

mod watch;

use watch::Watch;

/// How often the folder is read whatever the kernel tells.
const LOOK: Duration = Duration::from_secs(1);

/// The folder, watched.
#[derive(Debug)]
pub(crate) struct FollowUps {
    folder: PathBuf,
    watch: Option<Watch>,
    looks: Interval,
}

#[derive(Debug, thiserror::Error)]
#[error("the folder of what is asked next cannot be used")]
struct Unusable(#[source] io::Error);

impl From<Unusable> for Failure {
    fn from(error: Unusable) -> Self {
        Self::passing(AgentErrorKind::Io, &error)
    }
}

impl FollowUps {
    /// Watches the folder from now on. What told an earlier agent to end is not for us.
    pub(crate) fn begin(folders: &Folders) -> Result<Self, Failure> {
        let folder = folders.ipc.join(INPUT_FOLDER);
        fs::create_dir_all(&folder).map_err(Unusable)?;
        remove_if_there(folder.join(CLOSE)).map_err(Unusable)?;
        let watch = match Watch::on(&folder) {
            Ok(watch) => Some(watch),
            Err(error) => {
                note(&format!(
                    "no watch on `input`, so it is read every second: {error}"
                ));
                None
            }
        };
        let mut looks = interval(LOOK);
        // A long turn has missed many, and none of them matters.
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            folder,
            watch,
            looks,
        })
    }

    /// Waits for the next; none when we are to end. It is gone from the folder when this returns.
    pub(crate) async fn next(&mut self) -> Result<Option<FollowUp>, Failure> {
        loop {
            if remove_if_there(self.folder.join(CLOSE)).map_err(Unusable)? {
                return Ok(None);
            }
            if let Some(follow_up) = self.take_first().map_err(Unusable)? {
                return Ok(Some(follow_up));
            }
            tokio::select! {
                _ = self.looks.tick() => {}
                () = something_new(self.watch.as_ref()) => {}
            }
        }
    }

    fn take_first(&self) -> io::Result<Option<FollowUp>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            names.push(entry?.file_name());
        }
        names.retain(is_follow_up);
        names.sort();
        for name in names {
            let path = self.folder.join(&name);
            let text = fs::read(&path)?;
            // Before it is acted on: nobody may find it a second time.
            fs::remove_file(&path)?;
            match serde_json::from_slice(&text) {
                Ok(follow_up) => return Ok(Some(follow_up)),
                Err(error) => note(&format!(
                    "`input/{}` is no follow-up: {error}",
                    name.display()
                )),
            }
        }
        Ok(None)
    }
}

async fn something_new(watch: Option<&Watch>) {
    match watch {
        Some(watch) => watch.told().await,
        None => std::future::pending().await,
    }
}

fn is_follow_up(name: &OsString) -> bool {
    let name = name.as_encoded_bytes();
    name.ends_with(b".json") && !name.starts_with(b".")
}

/// Says whether it was there.
fn remove_if_there(file: PathBuf) -> io::Result<bool> {
    match fs::remove_file(file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn folders(ipc: &Path) -> Folders {
        Folders {
            group: "/workspace/group".into(),
            global: "/workspace/global".into(),
            ipc: ipc.to_owned(),
            project: "/workspace/project".into(),
            extra: None,
        }
    }

    fn write(ipc: &Path, name: &str, text: &str) {
        let new = ipc.join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, ipc.join(INPUT_FOLDER).join(name)).unwrap();
    }

    async fn next(follow_ups: &mut FollowUps) -> String {
        let next = tokio::time::timeout(PATIENCE, follow_ups.next()).await;
        match next.expect("something comes within ten seconds").unwrap() {
            Some(FollowUp::Message { text, .. }) => text,
            None => "the end".to_owned(),
        }
    }

    #[tokio::test]
    async fn each_is_taken_once_in_order_and_what_is_none_is_cleared_away() {
        let ipc = tempfile::tempdir().unwrap();
        let mut follow_ups = FollowUps::begin(&folders(ipc.path())).unwrap();
        for (name, text) in [
            ("2.json", r#"{"type":"message","text":"second"}"#),
            ("1.json", r#"{"type":"message","text":"first"}"#),
            ("0.json", "{"),
            (".3.json.new", r#"{"type":"message","text":"unfinished"}"#),
        ] {
            write(ipc.path(), name, text);
        }
        assert_eq!(next(&mut follow_ups).await, "first");
        assert_eq!(next(&mut follow_ups).await, "second");
        write(ipc.path(), CLOSE, "");
        assert_eq!(next(&mut follow_ups).await, "the end");
        let left: Vec<_> = fs::read_dir(ipc.path().join(INPUT_FOLDER))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, [".3.json.new"]);
    }

    #[tokio::test]
    async fn the_kernel_s_word_is_enough_and_so_is_a_look() {
        let ipc = tempfile::tempdir().unwrap();
        for watched in [true, false] {
            let mut follow_ups = FollowUps::begin(&folders(ipc.path())).unwrap();
            if watched {
                follow_ups.looks = interval(PATIENCE * 10);
            } else {
                follow_ups.watch = None;
            }
            follow_ups.looks.tick().await;
            let ((), heard) = tokio::join!(
                async {
                    // It waits by now.
                    tokio::task::yield_now().await;
                    write(ipc.path(), "1.json", r#"{"type":"message","text":"hi"}"#);
                },
                next(&mut follow_ups),
            );
            assert_eq!(heard, "hi", "watched: {watched}");
        }
    }

    #[tokio::test]
    async fn what_ended_an_earlier_agent_does_not_end_this_one() {
        let ipc = tempfile::tempdir().unwrap();
        fs::create_dir(ipc.path().join(INPUT_FOLDER)).unwrap();
        write(ipc.path(), CLOSE, "");
        let mut follow_ups = FollowUps::begin(&folders(ipc.path())).unwrap();
        write(ipc.path(), "1.json", r#"{"type":"message","text":"hi"}"#);
        assert_eq!(next(&mut follow_ups).await, "hi");
    }
}
