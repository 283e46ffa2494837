//! Where log lines go: `logs/nanokimi.log`, errors also to `logs/nanokimi.error.log`, and to
//! stderr for whoever watches.
//!
//! Plain text, one line each, `key=value` at the end, so that the operators' `grep` and `awk`
//! work. Secrets are masked on the way out. A full disk costs log lines, never the process; a full
//! file is put aside, as `logs/nanokimi.log.1`.

mod sink;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::Level;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::config::Config;
use sink::{LogFile, Sink};

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

impl Logs {
    /// Opens the files below `root/logs`; `secrets` are masked besides those of the settings.
    pub(crate) fn open(root: &Path, config: &Config, secrets: &[&str]) -> io::Result<Self> {
        let given = secrets.iter().map(|secret| (*secret).to_owned());
        let secrets = Arc::new(config.secrets().into_iter().chain(given).collect());
        let open = |name: &str| -> io::Result<Lines> {
            let file = LogFile::open(root.join("logs").join(name), config.logs)?;
            Ok(Lines {
                to: Arc::new(Mutex::new(Sink::File(file))),
                secrets: Arc::clone(&secrets),
            })
        };
        Ok(Self {
            all: open("nanokimi.log")?,
            errors: open("nanokimi.error.log")?,
            level: config.logs.level,
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
}
