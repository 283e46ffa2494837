//! `groups/<folder>/logs/container-<time>-<run>.log`: one file per run, for the midnight reader.
//!
//! Bounded, and without the secrets that an agent may have printed.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use fs_err::File;

use crate::safe_dir::SafeDir;

/// Logs of a group that are kept: those of its last runs, and the one that begins.
const KEPT: usize = 200;
/// What is removed at once, so that nobody waits for it.
const AT_ONCE: usize = 100;

/// A run's log; a handle that is cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct RunLog {
    file: Arc<Mutex<Open>>,
    secrets: Arc<Vec<String>>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Bytes that may still be written.
    room: usize,
}

impl RunLog {
    pub(super) fn new(file: File, room: usize, secrets: Vec<String>) -> Self {
        Self {
            file: Arc::new(Mutex::new(Open { file, room })),
            secrets: Arc::new(secrets),
        }
    }

    /// Makes room for a log: removes the oldest of a folder where there are as many as are kept. What an agent has
    /// put there under such a name goes with them, unless it is a folder.
    pub(super) fn clear_old(logs: &SafeDir) -> io::Result<()> {
        let mut names = logs.names()?;
        // They begin with the instant.
        names.retain(|name| name.to_str().is_some_and(is_log));
        let mut cleared = Ok(());
        let old = names.len().saturating_sub(KEPT - 1).min(AT_ONCE);
        for name in &names[..old] {
            cleared = cleared.and(logs.remove_entry(name));
        }
        cleared
    }

    pub(super) fn head(&self, fields: &[(&str, &dyn Display)]) {
        self.line("=== Container Run Log ===");
        for (name, value) in fields {
            self.line(&format!("{name}: {value}"));
        }
        self.line("");
    }

    /// Writes a line as long as there is room. A log that cannot be written is given up, with
    /// a word in ours: it is not a reason to fail the run.
    pub(super) fn line(&self, text: &str) {
        let mut text = text.to_owned();
        for secret in self.secrets.iter() {
            text = text.replace(secret, "[secret]");
        }
        text.push('\n');
        let mut open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if open.room == 0 {
            return;
        }
        let fits = text.len() <= open.room;
        let text = if fits { text.as_str() } else { "[truncated]\n" };
        open.room = if fits { open.room - text.len() } else { 0 };
        if let Err(error) = open.file.write_all(text.as_bytes()) {
            open.room = 0;
            tracing::warn!(%error, "the run log cannot be written any further");
        }
    }

    pub(super) fn output(&self, stream: &str, bytes: &[u8], cut: bool) {
        let text = String::from_utf8_lossy(bytes);
        let mark = if cut { " [line cut]" } else { "" };
        self.line(&format!("{stream}: {text}{mark}"));
    }
}

fn is_log(name: &str) -> bool {
    name.starts_with("container-") && name.ends_with(".log")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logs_of_the_last_runs_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let name = |number: usize| folder.path().join(format!("container-{number:04}.log"));
        fs_err::create_dir(name(0)).unwrap();
        for number in 1..=KEPT + 2 {
            fs_err::write(name(number), "").unwrap();
        }
        fs_err::write(folder.path().join("a-note.log"), "").unwrap();
        let logs = SafeDir::open(folder.path()).unwrap();

        RunLog::clear_old(&logs).unwrap_err();

        let there = |number| name(number).exists();
        assert_eq!(
            [0, 1, 2, 3, 4].map(there),
            [true, false, false, false, true]
        );
        assert_eq!(logs.names().unwrap().len(), KEPT + 1);
    }

    #[test]
    fn a_log_is_bounded_and_holds_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.log");
        let log = RunLog::new(File::create(&path).unwrap(), 40, vec!["sk-1".into()]);

        log.output("stderr", b"key is sk-1", false);
        log.line(&"x".repeat(100));
        log.line("lost");

        assert_eq!(
            fs_err::read_to_string(&path).unwrap(),
            "stderr: key is [secret]\n[truncated]\n"
        );
    }
}
