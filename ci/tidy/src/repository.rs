//! The checkout: its files, as the rules want to see them. It judges nothing.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A checkout.
#[derive(Clone, Debug)]
pub struct Repository {
    root: PathBuf,
}

/// A text file, with its path from the root of the checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFile {
    pub path: String,
    pub text: String,
}

/// A file as the tests beside the rules make it up.
#[cfg(test)]
pub(crate) fn file(path: &str, text: &str) -> TextFile {
    TextFile {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

/// A name in a folder of the checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub path: String,
    pub executable: bool,
    /// It begins with `#!`.
    pub script: bool,
}

impl Repository {
    /// The checkout that this program was built in.
    #[must_use]
    pub fn here() -> Self {
        Self {
            root: Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."),
        }
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether a file or folder of this path from the root is here.
    #[must_use]
    pub fn holds(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// The names in the root, as a clone would have them: without what git ignores, without
    /// folders that hold no file, and without dotfiles.
    pub fn root_names(&self) -> io::Result<Vec<String>> {
        let paths = self.paths()?;
        let tops = paths.iter().filter_map(|path| path.split('/').next());
        let names: BTreeSet<&str> = tops.filter(|name| !name.starts_with('.')).collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    /// One text file.
    pub fn text(&self, path: &str) -> io::Result<TextFile> {
        Ok(TextFile {
            path: path.to_owned(),
            text: fs_err::read_to_string(self.root.join(path))?,
        })
    }

    /// Every text file, ordered by path. Hidden folders are looked into, but for git's own.
    pub fn texts(&self) -> io::Result<Vec<TextFile>> {
        let mut texts = Vec::new();
        for path in self.paths()? {
            let bytes = fs_err::read(self.root.join(&path))?;
            match String::from_utf8(bytes) {
                Ok(text) => texts.push(TextFile { path, text }),
                // A recorded payload; no rule reads those.
                Err(_binary) => {}
            }
        }
        Ok(texts)
    }

    /// Every file whose path ends so.
    pub fn ending(&self, ending: &str) -> io::Result<Vec<TextFile>> {
        let mut texts = self.texts()?;
        texts.retain(|file| file.path.ends_with(ending));
        Ok(texts)
    }

    /// The files that lie directly in a folder.
    pub fn entries(&self, folder: &str) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for name in names(&self.root.join(folder))? {
            let path = format!("{folder}/{name}");
            let file = self.root.join(&path);
            let found = fs_err::metadata(&file)?;
            if found.is_file() {
                entries.push(Entry {
                    executable: found.permissions().mode() & 0o111 != 0,
                    script: fs_err::read(&file)?.starts_with(b"#!"),
                    path,
                });
            }
        }
        Ok(entries)
    }

    fn paths(&self) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for name in names(&self.root.join(&folder))? {
                let path = format!("{folder}{name}");
                let kind = fs_err::symlink_metadata(self.root.join(&path))?.file_type();
                if kind.is_dir() && !["target", ".git"].contains(&path.as_str()) {
                    folders.push(format!("{path}/"));
                } else if kind.is_file() {
                    found.push(path);
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let name = entry?.file_name().into_string();
        names.push(name.map_err(|name| {
            let shown = format!("{}: {}", folder.display(), name.display());
            io::Error::other(format!("{shown}: the name is not UTF-8"))
        })?);
    }
    names.sort();
    Ok(names)
}
