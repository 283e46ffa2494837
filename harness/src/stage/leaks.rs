//! Processes of a scenario that outlived it: whoever carries its folder in its command line,
//! environment or working directory.

use std::path::Path;

use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process};

/// A process that should have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leak {
    pub(crate) pid: i32,
    pub(crate) command: String,
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
    if command.is_empty() || !(inside || holds(&command) || holds(&read("environ"))) {
        return None;
    }
    let shown: Vec<String> = command
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    Some(shown.join(" "))
}

pub(crate) fn kill(leaks: &[Leak]) {
    for pid in leaks.iter().filter_map(|leak| Pid::from_raw(leak.pid)) {
        // It may have ended by itself since.
        let (Ok(()) | Err(_)) = kill_process(pid, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_in_the_folder_is_found_and_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("cat");
        let mut child = command.current_dir(&folder).stdin(Stdio::piped()).spawn().unwrap();

        let leaks = find(folder.path());
        kill(&leaks);

        assert_eq!(leaks.len(), 1, "{leaks:?}");
        assert_eq!(leaks[0].command, "cat");
        assert!(!child.wait().unwrap().success());
        assert_eq!(find(folder.path()), []);
    }
}
