//! States as values: tables of the store, files below the root, the lines of the log, what lies in
//! the mocks' storage, and what the container engine shows.
//!
//! Read-only, and read anew each time.

use std::path::{Path, PathBuf};

use fs_err as fs;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use serde_json::{Map, Value, json};

use super::{Stage, StageError};
use crate::scenario::StateName;

impl Stage {
    /// Reads a state. What is not there (a file, the store, a bucket, an engine) is `null`.
    pub(crate) async fn read(&self, name: &StateName) -> Result<Value, StageError> {
        match name {
            StateName::Table(table) => rows(self.root(), table),
            StateName::Files(glob) => Ok(files(self.root(), glob)),
            StateName::Storage(bucket) => Ok(self.mock().stored(bucket).await?),
            StateName::Log => Ok(log(self.root())),
            StateName::Containers => match self.means.ground.containers() {
                Some(containers) => Ok(containers.engine.show_agents(self.root()).await?),
                None => Ok(Value::Null),
            },
        }
    }
}

fn log(root: &Path) -> Value {
    let log = fs::read_to_string(root.join("logs/nanokimi.log"));
    let lines = |text: String| text.lines().map(Value::from).collect();
    log.map_or_else(|_no_log| json!([]), lines)
}

fn rows(root: &Path, table: &str) -> Result<Value, StageError> {
    let path = root.join("store/messages.db");
    if !path.is_file() {
        return Ok(Value::Null);
    }
    select(&path, &format!("SELECT * FROM {table}"))
        .map_err(|error| StageError::Store(format!("db.{table} cannot be read: {error}")))
}

/// The rows of a query on the store, as maps.
pub(crate) fn select(path: &Path, query: &str) -> rusqlite::Result<Value> {
    let store = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    store.busy_timeout(std::time::Duration::from_secs(2))?;
    let mut statement = store.prepare(query)?;
    let names: Vec<String> = statement
        .column_names()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let rows = statement.query_map([], |row| Ok(map_of(row, &names)))?;
    let rows: rusqlite::Result<Vec<Value>> = rows.collect();
    rows.map(Value::Array)
}

fn map_of(row: &Row<'_>, names: &[String]) -> Value {
    let cell = |index: usize| match row.get_ref(index) {
        Ok(ValueRef::Integer(number)) => number.into(),
        Ok(ValueRef::Real(number)) => number.into(),
        Ok(ValueRef::Text(text)) => String::from_utf8_lossy(text).into_owned().into(),
        Ok(ValueRef::Blob(bytes)) => format!("{} bytes", bytes.len()).into(),
        Ok(ValueRef::Null) | Err(_) => Value::Null,
    };
    let cells = names.iter().enumerate();
    let cells: Map<String, Value> = cells
        .map(|(index, name)| (name.clone(), cell(index)))
        .collect();
    Value::Object(cells)
}

/// The text of a file; links are followed. Anything else is named, not opened: to read a
/// FIFO is to wait for ever.
fn content(path: &Path) -> Value {
    match fs::metadata(path) {
        Err(_missing) => Value::Null,
        Ok(about) if about.is_file() => text(path),
        Ok(about) if about.is_dir() => "[folder]".into(),
        Ok(_) => "[special]".into(),
    }
}

fn text(path: &Path) -> Value {
    fs::read(path).map_or(Value::Null, |bytes| {
        String::from_utf8_lossy(&bytes).into_owned().into()
    })
}

/// The text of a file; with `*` in its path, `[{path, kind, text}]` of those that are there, in
/// the order of paths, where only files have a text.
pub(crate) fn files(root: &Path, glob: &str) -> Value {
    if !glob.contains('*') {
        return content(&root.join(glob));
    }
    let parts: Vec<&str> = glob.split('/').collect();
    let mut found = Vec::new();
    gather(root, &parts, &mut found);
    found.sort();
    found.iter().map(|path| described(root, path)).collect()
}

fn described(root: &Path, path: &Path) -> Value {
    let relative = path.strip_prefix(root).map_or(path, |path| path);
    // What an agent has made may have a name that is no text.
    let relative = relative.to_string_lossy();
    let kind = match fs::symlink_metadata(path) {
        Ok(about) if about.is_symlink() => "link",
        Ok(about) if about.is_dir() => "folder",
        Ok(about) if about.is_file() => {
            return json!({ "path": relative, "kind": "file", "text": text(path) });
        }
        Ok(_) => "special",
        Err(_gone) => "gone",
    };
    json!({ "path": relative, "kind": kind })
}

/// `*` stands for any part of one name, `**` for any folders.
fn gather(folder: &Path, parts: &[&str], found: &mut Vec<PathBuf>) {
    let Some((part, rest)) = parts.split_first() else {
        return;
    };
    if *part == "**" {
        gather(folder, rest, found);
    }
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        // A file that goes away while we look is not there.
        let Ok(entry) = entry else { continue };
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let name = entry.file_name().to_string_lossy().into_owned();
        match (*part == "**", is_folder, rest.is_empty()) {
            (true, true, _) => gather(&path, parts, found),
            (false, true, false) if fits(part, &name) => gather(&path, rest, found),
            (false, _, true) if fits(part, &name) => found.push(path),
            (_, _, _) => {}
        }
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(rest) = name.strip_prefix(before) else {
        return false;
    };
    (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|rest| fits(after, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_lists_files_with_their_text_in_order() {
        let root = tempfile::tempdir().unwrap();
        for path in ["a/x.json", "a/b/y.json", "a/z.txt"] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "text").unwrap();
        }
        let check = |glob: &str, expected: &[&str]| {
            let listed = files(root.path(), glob);
            let paths: Vec<&str> = listed
                .as_array()
                .unwrap()
                .iter()
                .map(|file| file["path"].as_str().unwrap())
                .collect();
            assert_eq!(paths, expected, "{glob}");
        };
        check("a/*.json", &["a/x.json"]);
        check("**/*.json", &["a/b/y.json", "a/x.json"]);
        check("a/*", &["a/b", "a/x.json", "a/z.txt"]);
        check("none/*", &[]);
    }

    #[test]
    fn what_is_no_file_is_named_and_never_opened() {
        let root = tempfile::tempdir().unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let fifo = root.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        std::os::unix::fs::symlink("/dev/zero", root.path().join("link")).unwrap();

        let read = |name: &str| files(root.path(), name);

        assert_eq!(read("fifo"), json!("[special]"));
        assert_eq!(read("link"), json!("[special]"));
        let listed = json!([{"path": "fifo", "kind": "special"}, {"path": "link", "kind": "link"}]);
        assert_eq!(read("*"), listed);
    }

    #[test]
    fn a_name_that_is_no_text_is_shown_all_the_same() {
        let root = tempfile::tempdir().unwrap();
        let name = std::os::unix::ffi::OsStrExt::from_bytes(b"x\xff");
        fs::write(root.path().join::<&std::ffi::OsStr>(name), "").unwrap();
        let listed = files(root.path(), "*");
        assert_eq!(listed[0]["path"], "x\u{FFFD}");
    }

    #[test]
    fn what_is_not_there_is_null() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(files(root.path(), "x"), Value::Null);
        assert_eq!(rows(root.path(), "runs").unwrap(), Value::Null);
    }
}
