//! `groups/<folder>/logs/container-<time>-<run>.log`: one file per run, for the midnight reader.
//!
//! Bounded, and without the secrets that an agent may have printed.

use std::fmt::Display;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use fs_err::File;

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

#[cfg(test)]
mod tests {
    use super::*;

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
