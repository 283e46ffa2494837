//! Where log lines go: `logs/nanokimi.log`, errors also to `logs/nanokimi.error.log`, and to
//! stderr for whoever watches.
//!
//! Plain text, one line each, `key=value` at the end, so that the operators' `grep` and `awk`
//! work. Secrets are masked on the way out. A full disk costs log lines, never the process.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use fs_err::File;
use tracing::Level;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::config::Config;

/// The open log files.
#[derive(Debug)]
pub(crate) struct Logs {
    all: Lines,
    errors: Lines,
    level: Level,
    secrets: Arc<Vec<String>>,
}

/// A file that lines are appended to; a handle that is cheap to clone.
#[derive(Clone, Debug)]
struct Lines {
    to: Arc<Mutex<Sink>>,
    secrets: Arc<Vec<String>>,
}

#[derive(Debug)]
enum Sink {
    File {
        file: File,
        /// Lines that could not be written since the last one that could.
        lost: usize,
    },
    Stderr,
}

impl Logs {
    /// Opens the files below `root/logs`; `secrets` are masked besides those of the settings.
    pub(crate) fn open(root: &Path, config: &Config, secrets: &[&str]) -> io::Result<Self> {
        let given = secrets.iter().map(|secret| (*secret).to_owned());
        let secrets = Arc::new(config.secrets().into_iter().chain(given).collect());
        let open = |name: &str| -> io::Result<Lines> {
            let mut options = fs_err::OpenOptions::new();
            let file = options
                .append(true)
                .create(true)
                .open(root.join("logs").join(name))?;
            Ok(Lines {
                to: Arc::new(Mutex::new(Sink::File { file, lost: 0 })),
                secrets: Arc::clone(&secrets),
            })
        };
        Ok(Self {
            all: open("nanokimi.log")?,
            errors: open("nanokimi.error.log")?,
            level: config.log_level,
            secrets,
        })
    }
}

/// Sends the lines of this thread, which is the only one that logs, to `logs` until the guard
/// is dropped.
#[must_use]
pub(crate) fn install(logs: Logs) -> tracing::subscriber::DefaultGuard {
    let level = LevelFilter::from_level(logs.level);
    let stderr = Lines {
        to: Arc::new(Mutex::new(Sink::Stderr)),
        secrets: logs.secrets,
    };
    let watched = io::stderr().is_terminal();
    let subscriber = Registry::default()
        .with(plain(logs.all).with_filter(level))
        .with(plain(logs.errors).with_filter(LevelFilter::ERROR))
        .with(watched.then(|| plain(stderr).with_filter(level)));
    tracing::subscriber::set_default(subscriber)
}

fn plain<S>(lines: Lines) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    fmt::layer()
        .with_ansi(false)
        .with_target(false)
        .with_writer(lines)
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            lines: self,
            text: Vec::new(),
        }
    }
}

/// One line in the making; it is written whole when it is dropped.
#[derive(Debug)]
struct Line<'a> {
    lines: &'a Lines,
    text: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.text);
        // One event is one line, whatever an agent put into it.
        let mut text = text.trim_end_matches('\n').replace('\n', "\\n");
        for secret in self.lines.secrets.iter() {
            text = text.replace(secret, "[secret]");
        }
        text.push('\n');
        let mut to = self.lines.to.lock().unwrap_or_else(PoisonError::into_inner);
        to.write(&text);
    }
}

impl Sink {
    fn write(&mut self, text: &str) {
        match self {
            Self::File { file, lost } => {
                let note = match *lost {
                    0 => String::new(),
                    // The last of them may be there in part.
                    lost => format!("\n({lost} lines could not be written here)\n"),
                };
                match file.write_all(format!("{note}{text}").as_bytes()) {
                    Ok(()) => *lost = 0,
                    Err(_disk_full) => *lost += 1,
                }
            }
            Self::Stderr => {
                // Nobody left to tell.
                let (Ok(()) | Err(_)) = io::stderr().write_all(text.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn lines_are_plain_end_with_their_fields_and_hide_secrets() {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir(root.path().join("logs")).unwrap();
        let key = ("MOONSHOT_API_KEY".to_owned(), "sk-1".to_owned());
        let config = Config::load(root.path(), &BTreeMap::from([key])).unwrap();
        let logs = Logs::open(root.path(), &config, &["token-2"]).unwrap();
        {
            let _installed = install(logs);
            tracing::info!(group = "g", session_id = "s-1", "Session initialized");
            tracing::error!(said = "sk-1 token-2", "leak");
            tracing::debug!("too fine");
        }

        let read = |name| fs_err::read_to_string(root.path().join("logs").join(name)).unwrap();
        let all = read("nanokimi.log");
        let lines: Vec<&str> = all.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].ends_with("INFO Session initialized group=\"g\" session_id=\"s-1\""),
            "{all}"
        );
        assert!(lines[1].contains("said=\"[secret] [secret]\""), "{all}");
        assert_eq!(read("nanokimi.error.log").lines().count(), 1);
    }

    #[test]
    fn one_event_is_one_line_whatever_is_in_it() {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir(root.path().join("logs")).unwrap();
        let config = Config::load(root.path(), &BTreeMap::new()).unwrap();
        {
            let _installed = install(Logs::open(root.path(), &config, &[]).unwrap());
            tracing::info!(said = %"one\nERROR two", "forged");
        }
        let all = fs_err::read_to_string(root.path().join("logs/nanokimi.log")).unwrap();
        assert!(all.ends_with("forged said=one\\nERROR two\n"), "{all}");
        assert_eq!(all.lines().count(), 1);
    }

    #[test]
    fn lines_that_a_full_disk_swallowed_are_counted() {
        let root = tempfile::tempdir().unwrap();
        let log = root.path().join("log");
        // Open for reading only: every write fails.
        fs_err::write(&log, "").unwrap();
        let mut sink = Sink::File {
            file: File::open(&log).unwrap(),
            lost: 0,
        };
        sink.write("one\n");
        sink.write("two\n");
        let Sink::File { file, .. } = &mut sink else {
            unreachable!("a file was opened");
        };
        *file = fs_err::OpenOptions::new().append(true).open(&log).unwrap();
        sink.write("three\n");
        sink.write("four\n");

        let written = fs_err::read_to_string(&log).unwrap();
        assert_eq!(
            written,
            "\n(2 lines could not be written here)\nthree\nfour\n"
        );
    }
}
