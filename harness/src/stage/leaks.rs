//! Processes of a scenario that outlived it: whoever carries its folder in its command line,
//! environment or working directory.

use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout_at};

/// A process that should have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    pub pid: i32,
    pub command: String,
}

/// Looks at all processes that we may look at.
pub(crate) fn find(root: &Path) -> Vec<Leak> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ourselves = std::process::id();
    let mut leaks = Vec::new();
    for entry in entries {
        // Processes come and go while we look; those that have gone are no leaks.
        let Ok(entry) = entry else { continue };
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        if u32::try_from(pid) == Ok(ourselves) {
            continue;
        }
        if let Some(command) = command_of(&entry.path(), root) {
            leaks.push(Leak { pid, command });
        }
    }
    leaks
}

/// The command line, if the process has to do with `root`.
fn command_of(process: &Path, root: &Path) -> Option<String> {
    let needle = root.as_os_str().as_encoded_bytes();
    let read = |name: &str| fs::read(process.join(name)).map_or(Vec::new(), |bytes| bytes);
    let command = read("cmdline");
    let holds = |bytes: &[u8]| bytes.windows(needle.len()).any(|part| part == needle);
    let inside = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(root));
    if !(inside || holds(&command) || holds(&read("environ"))) {
        return None;
    }
    let shown: Vec<String> = command
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    Some(shown.join(" "))
}

/// Looks until there is none left, for as long as agents may take to end after their
/// orchestrator; then whatever is left is a leak.
pub async fn left_over(root: &Path, patience: Duration) -> Vec<Leak> {
    let deadline = Instant::now() + patience;
    loop {
        let leaks = find(root);
        let Some(first) = leaks.first() else {
            return leaks;
        };
        let waited = timeout_at(deadline, gone(first.pid)).await;
        if waited.is_err() || Instant::now() >= deadline {
            return find(root);
        }
    }
}

/// Returns when a process has ended.
async fn gone(pid: i32) {
    let Some(pid) = Pid::from_raw(pid) else {
        return;
    };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::NONBLOCK) else {
        // It has ended already.
        return;
    };
    #[expect(
        deprecated,
        reason = "its successor is unsafe; an OwnedFd never changes its descriptor"
    )]
    let handle = AsyncFd::new(handle);
    match handle {
        // The handle becomes readable when the process ends.
        Ok(handle) => drop(handle.readable().await),
        Err(_no_reactor) => std::future::pending().await,
    }
}

/// Ends processes that have outlived their scenario.
pub fn end(leaks: &[Leak]) {
    for pid in leaks.iter().filter_map(|leak| Pid::from_raw(leak.pid)) {
        // It may have ended by itself since.
        let (Ok(()) | Err(_)) = kill_process(pid, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[tokio::test]
    async fn a_process_in_the_folder_is_found_and_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("cat");
        let mut child = command
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();

        let leaks = left_over(folder.path(), Duration::from_millis(50)).await;
        end(&leaks);

        assert_eq!(leaks.len(), 1, "{leaks:?}");
        assert!(!child.wait().unwrap().success());
        assert_eq!(find(folder.path()), []);
    }

    #[tokio::test]
    async fn a_process_that_ends_in_time_is_no_leak() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = tokio::process::Command::new("cat");
        let mut child = command
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();

        let looking = left_over(folder.path(), Duration::from_secs(5));
        let (leaks, _ended) = tokio::join!(looking, async {
            drop(child.stdin.take());
            child.wait().await
        });

        assert_eq!(leaks, []);
    }
}
