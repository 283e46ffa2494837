//! `read_file`, `write_file`, `edit_file`: text files, by default in the group's folder.
//!
//! No fence: the box is the fence, and `bash` would go around any other.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::excerpt::Excerpt;
use super::request::{Edit, FilePart, NewFile};
use crate::replace_file::{Lasting, replace_file};

const USUAL_LINES: usize = 2_000;
/// Larger files are for `bash`: `head`, `grep`, `sed -n`.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Files as seen from the group's folder.
#[derive(Debug)]
pub(super) struct GroupFiles {
    folder: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("the file cannot be used")]
    Io(#[from] io::Error),
    #[error("`{0}` is not a file")]
    NotAFile(String),
    #[error("`{path}` has {length} bytes; look at parts of it with bash (head, grep, sed -n)")]
    TooLong { path: String, length: u64 },
    #[error("`{0}` is not text in UTF-8")]
    NotText(String),
    #[error("line {offset} is behind the end: `{path}` has {lines} lines")]
    BehindTheEnd {
        path: String,
        offset: usize,
        lines: usize,
    },
    #[error("`old` is empty; to write a new file use write_file")]
    NothingToReplace,
    #[error("`old` is not in `{0}`; it must stand there to the blank and the line break")]
    NotFound(String),
    #[error("`old` is {count} times in `{path}`; make it longer, or set `all`")]
    Ambiguous { path: String, count: usize },
}

impl GroupFiles {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    pub(super) fn read(&self, part: &FilePart) -> Result<String, FileError> {
        let text = self.text(&part.path)?;
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let offset = part.offset.unwrap_or(1).max(1);
        if offset > lines.len().max(1) {
            return Err(FileError::BehindTheEnd {
                path: part.path.clone(),
                offset,
                lines: lines.len(),
            });
        }
        let asked = &lines[offset.min(lines.len() + 1) - 1..];
        let shown = part.limit.unwrap_or(USUAL_LINES).min(asked.len());
        let mut output = Excerpt::of(&asked[..shown].concat());
        if shown < asked.len() {
            let (last, all) = (offset + shown - 1, lines.len());
            let next = last + 1;
            output =
                format!("{output}[lines {offset} to {last} of {all}; go on with offset {next}]");
        }
        Ok(output)
    }

    pub(super) fn write(&self, file: &NewFile) -> Result<String, FileError> {
        let path = self.target(&file.path)?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        replace_file(&path, file.content.as_bytes(), Lasting::Visible)?;
        Ok(format!(
            "wrote {} bytes to `{}`",
            file.content.len(),
            file.path
        ))
    }

    pub(super) fn edit(&self, edit: &Edit) -> Result<String, FileError> {
        if edit.old.is_empty() {
            return Err(FileError::NothingToReplace);
        }
        let text = self.text(&edit.path)?;
        let count = text.matches(&edit.old).count();
        match count {
            0 => return Err(FileError::NotFound(edit.path.clone())),
            1 => {}
            _ if edit.all => {}
            _ => {
                return Err(FileError::Ambiguous {
                    path: edit.path.clone(),
                    count,
                });
            }
        }
        let text = text.replace(&edit.old, &edit.new);
        replace_file(&self.target(&edit.path)?, text.as_bytes(), Lasting::Visible)?;
        Ok(format!("replaced {count} of {count} in `{}`", edit.path))
    }

    fn text(&self, path: &str) -> Result<String, FileError> {
        let full = self.folder.join(path);
        // Asked before opening: opening a pipe would wait for its other end for ever.
        let found = fs::metadata(&full)?;
        if !found.is_file() {
            return Err(FileError::NotAFile(path.to_owned()));
        }
        if found.len() > MOST_BYTES {
            return Err(FileError::TooLong {
                path: path.to_owned(),
                length: found.len(),
            });
        }
        String::from_utf8(fs::read(&full)?).map_err(|_bytes| FileError::NotText(path.to_owned()))
    }

    /// Where a write to `path` ends up: behind a link, and never in place of a device.
    fn target(&self, path: &str) -> Result<PathBuf, FileError> {
        let full = self.folder.join(path);
        match fs::metadata(&full) {
            Ok(found) if found.is_file() => Ok(fs::canonicalize(&full)?),
            Ok(_) => Err(FileError::NotAFile(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(full),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::chain;

    struct Group {
        folder: tempfile::TempDir,
        files: GroupFiles,
    }

    fn group(text: &str) -> Group {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.txt"), text).unwrap();
        let files = GroupFiles::new(folder.path());
        Group { folder, files }
    }

    fn edit(old: &str, new: &str, all: bool) -> Edit {
        Edit {
            path: "a.txt".into(),
            old: old.into(),
            new: new.into(),
            all,
        }
    }

    #[track_caller]
    fn check_read(text: &str, offset: Option<usize>, limit: Option<usize>, output: &str) {
        let part = FilePart {
            path: "a.txt".into(),
            offset,
            limit,
        };
        let read = group(text)
            .files
            .read(&part)
            .unwrap_or_else(|error| chain(&error));
        assert_eq!(read, output);
    }

    #[test]
    fn lines_are_counted_from_one() {
        check_read("a\nb\nc\n", None, None, "a\nb\nc\n");
        check_read("a\nb\nc\n", Some(2), None, "b\nc\n");
        check_read("a\nb\nc", Some(3), Some(9), "c");
        check_read("", None, None, "");
        check_read(
            "a\nb\nc\n",
            Some(2),
            Some(1),
            "b\n[lines 2 to 2 of 3; go on with offset 3]",
        );
        check_read(
            "a\n",
            Some(2),
            None,
            "line 2 is behind the end: `a.txt` has 1 lines",
        );
    }

    #[test]
    fn a_write_makes_its_folders_and_follows_links() {
        let group = group("old");
        std::os::unix::fs::symlink("a.txt", group.folder.path().join("link")).unwrap();
        for (path, content) in [("x/y/z.txt", "deep"), ("link", "new")] {
            let file = NewFile {
                path: path.into(),
                content: content.into(),
            };
            group.files.write(&file).unwrap();
        }
        let read = |path| fs::read_to_string(group.folder.path().join(path)).unwrap();
        assert_eq!(
            (read("x/y/z.txt"), read("a.txt")),
            ("deep".into(), "new".into())
        );
        assert!(group.folder.path().join("link").is_symlink());
    }

    #[test]
    fn a_device_is_not_replaced_by_a_file() {
        let file = NewFile {
            path: "/dev/null".into(),
            content: String::new(),
        };
        let told = group("").files.write(&file).unwrap_err().to_string();
        assert_eq!(told, "`/dev/null` is not a file");
    }

    #[test]
    fn an_edit_must_mean_one_place() {
        let group = group("one two two");
        let told = |edit: &Edit| group.files.edit(edit).unwrap_err().to_string();
        assert!(told(&edit("", "x", false)).contains("`old` is empty"));
        assert!(told(&edit("three", "x", false)).contains("is not in `a.txt`"));
        assert!(told(&edit("two", "x", false)).contains("is 2 times in `a.txt`"));

        group.files.edit(&edit("two", "x", true)).unwrap();
        group.files.edit(&edit("one", "1", false)).unwrap();

        let text = fs::read_to_string(group.folder.path().join("a.txt")).unwrap();
        assert_eq!(text, "1 x x");
    }

    #[test]
    fn what_is_not_a_text_file_says_so() {
        let group = group("");
        fs::write(group.folder.path().join("picture"), b"\xff\xd8").unwrap();
        let told = |path: &str| {
            let part = FilePart {
                path: path.into(),
                offset: None,
                limit: None,
            };
            chain(&group.files.read(&part).unwrap_err())
        };
        assert_eq!(told("picture"), "`picture` is not text in UTF-8");
        assert_eq!(told("."), "`.` is not a file");
        assert!(
            told("gone").contains("the file cannot be used: "),
            "{}",
            told("gone")
        );
    }
}
