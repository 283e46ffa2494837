//! What log lines end in: stderr, or a file that is put aside when it is full.
//!
//! `nanokimi.log` becomes `nanokimi.log.1`, what was that becomes `nanokimi.log.2`, and the last of
//! them is gone. Whoever follows the name, as `tail -F` does, sees every line.

use std::io::{self, Write};
use std::path::PathBuf;

use fs_err::File;

use crate::config::LogSettings;

#[derive(Debug)]
pub(super) enum Sink {
    File(LogFile),
    Stderr,
}

/// A file that lines are appended to.
#[derive(Debug)]
pub(super) struct LogFile {
    file: File,
    path: PathBuf,
    /// Bytes in it; or since it could not be put aside, which is tried again after as many.
    size: u64,
    settings: LogSettings,
    /// Lines that could not be written since the last one that could.
    lost: usize,
}

impl Sink {
    pub(super) fn write(&mut self, text: &str) {
        match self {
            Self::File(file) => file.write(text),
            Self::Stderr => {
                // Nobody left to tell.
                let (Ok(()) | Err(_)) = io::stderr().write_all(text.as_bytes());
            }
        }
    }
}

impl LogFile {
    pub(super) fn open(path: PathBuf, settings: LogSettings) -> io::Result<Self> {
        let mut options = fs_err::OpenOptions::new();
        let file = options.append(true).create(true).open(&path)?;
        Ok(Self {
            size: file.metadata()?.len(),
            file,
            path,
            settings,
            lost: 0,
        })
    }

    fn write(&mut self, text: &str) {
        let full = match self.make_room(text.len() as u64) {
            Ok(()) => String::new(),
            Err(error) => format!("(this log is full, and cannot be put aside: {error})\n"),
        };
        let lost = match self.lost {
            0 => String::new(),
            // The last of them may be there in part.
            lost => format!("\n({lost} lines could not be written here)\n"),
        };
        let text = format!("{lost}{full}{text}");
        match self.file.write_all(text.as_bytes()) {
            Ok(()) => {
                self.lost = 0;
                self.size += text.len() as u64;
            }
            Err(_disk_full) => self.lost += 1,
        }
    }

    /// Sees to it that so many bytes fit, if it can. A line is rather too long than lost.
    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        let most = self.settings.max_size;
        let fits = |size: u64| size == 0 || size.saturating_add(bytes) <= most;
        if fits(self.size) {
            return Ok(());
        }
        // Somebody may have emptied it.
        self.size = self.file.metadata()?.len();
        if fits(self.size) {
            return Ok(());
        }
        self.size = 0;
        self.file = self.put_aside()?;
        Ok(())
    }

    /// Renames it and those before it, and begins a new one.
    fn put_aside(&self) -> io::Result<File> {
        // What may fail comes first: until there is another file, this one stays where it is.
        let fresh = self.beside("new");
        let mut options = fs_err::OpenOptions::new();
        let file = options.append(true).create(true).open(&fresh)?;
        let older = self.settings.max_files - 1;
        for number in (1..older).rev() {
            renamed(self.numbered(number), self.numbered(number + 1))?;
        }
        renamed(self.path.clone(), self.numbered(1))?;
        fs_err::rename(fresh, &self.path)?;
        Ok(file)
    }

    fn numbered(&self, number: u32) -> PathBuf {
        self.beside(&number.to_string())
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{ending}"));
        name.into()
    }
}

/// Renames a file, if it is there.
fn renamed(from: PathBuf, to: PathBuf) -> io::Result<()> {
    match fs_err::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tracing::Level;

    use super::*;

    fn open(path: &Path, max_files: u32) -> LogFile {
        let settings = LogSettings {
            level: Level::INFO,
            max_size: 8,
            max_files,
        };
        LogFile::open(path.to_owned(), settings).unwrap()
    }

    /// The files of a folder, newest last, as `log.1: text`, each line as a word.
    fn files(folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = if path.is_file() {
                fs_err::read_to_string(&path).unwrap()
            } else {
                "a folder".to_owned()
            };
            found.push(format!("{name}: {}", text.trim_end().replace('\n', " ")));
        }
        found.sort();
        found
    }

    #[test]
    fn a_full_log_is_put_aside_and_only_so_many_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = open(&path, 3);
        for line in ["one\n", "two\n", "three\n", "four\n", "a line too long\n"] {
            log.write(line);
        }
        let kept = ["log.1: four", "log.2: three", "log: a line too long"];
        assert_eq!(files(folder.path()), kept);
        // What the one before us has written counts.
        drop(log);
        let mut log = open(&path, 3);
        log.write("six\n");
        log.write("7\n");
        let kept = ["log.1: a line too long", "log.2: four", "log: six 7"];
        assert_eq!(files(folder.path()), kept);
    }

    #[test]
    fn a_log_that_somebody_empties_or_takes_away_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = open(&path, 2);
        log.write("one two\n");
        fs_err::write(&path, "").unwrap();
        log.write("three\n");
        assert_eq!(files(folder.path()), ["log: three"]);
        fs_err::remove_file(&path).unwrap();
        log.write("four\n");
        log.write("five\n");
        assert_eq!(files(folder.path()), ["log.1: four", "log: five"]);
    }

    #[test]
    fn a_log_that_cannot_be_put_aside_says_so_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs_err::create_dir_all(folder.path().join("log.1/in the way")).unwrap();
        let mut log = open(&path, 2);
        log.write("one two\n");
        log.write("three\n");
        let said = files(folder.path()).pop().unwrap();
        let told = "log: one two (this log is full, and cannot be put aside: ";
        assert!(said.starts_with(told), "{said}");
        assert!(said.ends_with(") three"), "{said}");
    }

    #[test]
    fn lines_that_a_full_disk_swallowed_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = open(&path, 2);
        log.settings.max_size = 1024;
        // Open for reading only: every write fails.
        log.file = File::open(&path).unwrap();
        log.write("one\n");
        log.write("two\n");
        let mut options = fs_err::OpenOptions::new();
        log.file = options.append(true).open(&path).unwrap();
        log.write("three\n");
        log.write("four\n");

        let written = fs_err::read_to_string(&path).unwrap();
        assert_eq!(
            written,
            "\n(2 lines could not be written here)\nthree\nfour\n"
        );
    }
}
