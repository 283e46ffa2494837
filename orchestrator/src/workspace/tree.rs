//! A group's folders on this machine, read so that nothing in them leads us out or makes us wait.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use fs_err::File;

use super::entry::{Entries, Entry, EntryPath, Scope, escaped};
use super::sums::sums_of;
use crate::ids::GroupFolder;
use crate::safe_dir::{EntryKind, SafeDir, Stamp};

/// Nobody nests deeper on purpose, and each level holds a file descriptor.
const DEEPEST: usize = 128;
/// More than anybody reads.
const TOLD: usize = 20;

/// An agent may have closed to others what it has made.
const UNREADABLE: &str = "the user that nanokimi runs as may not read it";

/// How much of a workspace is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub files: usize,
    pub file_size: u64,
    pub size: u64,
}

/// What was found, without having been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    File(Stamp),
    EmptyFolder,
    /// What it says, with the escapes of a path.
    Link(String),
}

/// What is not kept, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct LeftOut {
    pub path: String,
    pub reason: String,
}

/// A workspace as it stood while it was looked over.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub found: BTreeMap<EntryPath, Found>,
    /// The first of what is left out, and how many there are in all.
    pub left_out: Vec<LeftOut>,
    pub left_out_count: usize,
    /// Of these, what we may not read: whether it has changed, nobody here knows.
    pub unreadable: BTreeSet<EntryPath>,
}

/// The two folders of one group.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub root: PathBuf,
    pub folder: GroupFolder,
}

impl Place {
    /// The group's folder of a scope, if it is there.
    pub(crate) fn open(&self, scope: Scope) -> io::Result<Option<SafeDir>> {
        match SafeDir::open_existing(&self.root.join(scope.parent()))? {
            Some(parent) => parent.enter_existing(self.folder.as_str()),
            None => Ok(None),
        }
    }

    /// Whether the group has a folder here.
    pub(crate) fn is_there(&self) -> io::Result<bool> {
        Ok(self.open(Scope::Group)?.is_some())
    }

    /// Opens a plain file; none if none stands there.
    pub(crate) fn open_file(&self, path: &EntryPath) -> io::Result<Option<(File, Stamp)>> {
        let (folders, name) = path.names();
        let mut folder = self.open(path.scope())?;
        for entered in folders {
            let Some(open) = folder else { return Ok(None) };
            folder = open.enter_existing(entered)?;
        }
        let Some(folder) = folder else {
            return Ok(None);
        };
        let found = folder.open_file(&name)?;
        Ok(found.map(|(file, looked)| (file, looked.stamp)))
    }

    /// Looks the folders over. Files are not read.
    pub(crate) fn look(&self, limits: Limits) -> io::Result<Tree> {
        let mut looking = Looking {
            limits,
            tree: Tree::default(),
            size: 0,
            several_names: HashMap::new(),
        };
        for scope in Scope::ALL {
            if let Some(folder) = self.open(scope)? {
                looking.folder(&folder, &|name| EntryPath::top(scope, name), 0)?;
            }
        }
        looking.settle_names();
        Ok(looking.tree)
    }

    /// The entry of a file that was found; none if it has changed since, or is gone.
    pub(crate) fn read_sums(&self, path: &EntryPath, stamp: Stamp) -> io::Result<Option<Entry>> {
        let Some((file, before)) = self.open_file(path)? else {
            return Ok(None);
        };
        if before != stamp {
            return Ok(None);
        }
        let sums = sums_of(&file)?;
        Ok((sums.size == stamp.size).then_some(Entry::File {
            size: sums.size,
            executable: stamp.executable,
            sha256: sums.sha256,
            crc32c: sums.crc32c,
        }))
    }
}

struct Looking {
    limits: Limits,
    tree: Tree,
    size: u64,
    /// Files with more than one name: how many, and which we have seen.
    several_names: HashMap<u64, (u64, Vec<EntryPath>)>,
}

impl Looking {
    /// Returns how many entries there are in all.
    fn folder(
        &mut self,
        folder: &SafeDir,
        path_of: &dyn Fn(&OsStr) -> EntryPath,
        depth: usize,
    ) -> io::Result<usize> {
        // One more than is taken, so that what is beyond is noticed.
        let entries = folder.look(self.limits.files.saturating_add(1))?;
        let count = entries.len();
        for (name, looked) in entries {
            let path = path_of(&name);
            if path.is_left_here() {
                continue;
            }
            match looked.kind {
                EntryKind::File if !folder.may_read(&name)? => {
                    self.leave_unread(path);
                }
                EntryKind::File => self.file(path, looked.stamp, looked.names),
                EntryKind::Link => self.link(folder, &name, path)?,
                EntryKind::Other(kind) => self.leave_out(&path, format!("it is {kind}")),
                EntryKind::Folder if depth == DEEPEST => {
                    self.leave_out(&path, "it lies too deep".to_owned());
                }
                EntryKind::Folder => self.inner(folder, &name, &path, depth)?,
            }
        }
        Ok(count)
    }

    fn inner(
        &mut self,
        folder: &SafeDir,
        name: &OsStr,
        path: &EntryPath,
        depth: usize,
    ) -> io::Result<()> {
        let looked = match folder.enter_existing(name) {
            Ok(Some(inner)) => self.folder(&inner, &|name| path.below(name), depth + 1),
            // It has gone, or become something else, since it was listed.
            Ok(None) => return Ok(()),
            Err(error) => Err(error),
        };
        match looked {
            Ok(0) => self.take(path.clone(), Found::EmptyFolder),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.leave_unread(path.clone());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn file(&mut self, path: EntryPath, stamp: Stamp, names: u64) {
        let Limits {
            file_size, size, ..
        } = self.limits;
        if stamp.size > file_size {
            let bytes = stamp.size;
            return self.leave_out(
                &path,
                format!("it has {bytes} bytes, more than {file_size}"),
            );
        }
        if self.size.saturating_add(stamp.size) > size {
            return self.leave_out(&path, format!("with it there are more than {size} bytes"));
        }
        if names > 1 {
            let (_, seen) = self
                .several_names
                .entry(stamp.inode)
                .or_insert((names, Vec::new()));
            seen.push(path.clone());
        }
        self.size += stamp.size;
        self.take(path, Found::File(stamp));
    }

    /// A link is kept if it stays inside: what it points at outside is not the group's.
    fn link(&mut self, folder: &SafeDir, name: &OsStr, path: EntryPath) -> io::Result<()> {
        let Some(target) = folder.link_target(name)? else {
            return Ok(());
        };
        if stays_inside(Path::new(&target), path.depth()) {
            self.take(path, Found::Link(escaped(&target)));
        } else {
            self.leave_out(
                &path,
                "it is a link that leads out of the workspace".to_owned(),
            );
        }
        Ok(())
    }

    fn take(&mut self, path: EntryPath, found: Found) {
        let most = self.limits.files;
        if self.tree.found.len() < most {
            self.tree.found.insert(path, found);
        } else {
            self.leave_out(&path, format!("there are more than {most} files"));
        }
    }

    fn leave_out(&mut self, path: &EntryPath, reason: String) {
        self.tree.left_out_count += 1;
        if self.tree.left_out.len() < TOLD {
            self.tree.left_out.push(LeftOut {
                path: path.to_string(),
                reason,
            });
        }
    }

    fn leave_unread(&mut self, path: EntryPath) {
        self.leave_out(&path, UNREADABLE.to_owned());
        self.tree.unreadable.insert(path);
    }

    /// A file of which not every name is in the workspace may be somebody else's.
    fn settle_names(&mut self) {
        let several = std::mem::take(&mut self.several_names);
        for (names, seen) in several.into_values() {
            if seen.len() as u64 == names {
                continue;
            }
            for path in seen {
                self.tree.found.remove(&path);
                self.leave_out(&path, "it has a second name elsewhere".to_owned());
            }
        }
    }
}

/// Whether a link at this depth leads to a place in the same folder of the group, by its words.
pub(crate) fn stays_inside(target: &Path, depth: usize) -> bool {
    let mut depth = Some(depth);
    for part in target.components() {
        depth = match (part, depth) {
            (Component::Normal(_), Some(depth)) => Some(depth + 1),
            (Component::ParentDir, Some(depth)) => depth.checked_sub(1),
            (Component::CurDir, depth) => depth,
            (Component::RootDir | Component::Prefix(_), _) | (_, None) => return false,
        };
    }
    depth.is_some()
}

/// The part of what was found that needs no reading to be an entry.
pub(crate) fn plain_entry(found: &Found) -> Option<Entry> {
    match found {
        Found::File(_) => None,
        Found::EmptyFolder => Some(Entry::Folder {}),
        Found::Link(target) => Some(Entry::Link {
            target: target.clone(),
        }),
    }
}

/// Bytes of all files.
pub(crate) fn size_of(entries: &Entries) -> u64 {
    entries
        .values()
        .map(|entry| match entry {
            Entry::File { size, .. } => *size,
            Entry::Folder {} | Entry::Link { .. } => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    const LIMITS: Limits = Limits {
        files: 100,
        file_size: 1000,
        size: 5000,
    };

    struct Staged {
        root: tempfile::TempDir,
        place: Place,
    }

    fn staged() -> Staged {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(root.path().join("groups/family")).unwrap();
        let place = Place {
            root: root.path().to_owned(),
            folder: "family".parse().unwrap(),
        };
        Staged { root, place }
    }

    impl Staged {
        fn write(&self, name: &str, text: &str) {
            let path = self.root.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }

        #[track_caller]
        fn check(&self, limits: Limits, found: &[&str], left_out: &[(&str, &str)]) {
            let tree = self.place.look(limits).unwrap();
            let paths: Vec<&str> = tree.found.keys().map(EntryPath::as_str).collect();
            assert_eq!(paths, found);
            let left: Vec<(&str, &str)> = tree
                .left_out
                .iter()
                .map(|left| (left.path.as_str(), left.reason.as_str()))
                .collect();
            assert_eq!(left, left_out);
        }
    }

    #[test]
    fn both_folders_are_looked_over_and_others_groups_are_not() {
        let here = staged();
        here.write("groups/family/notes/a b.md", "x");
        here.write("groups/family/logs/run.log", "x");
        here.write("groups/work/secret.md", "x");
        here.write("data/sessions/family/.kimi/sessions/s/context.jsonl", "");
        here.write("data/sessions/family/.cache/big", "x");
        fs_err::create_dir(here.root.path().join("groups/family/empty")).unwrap();
        let odd = OsStr::from_bytes(b"odd\n\xff");
        fs_err::write(here.root.path().join("groups/family").join(odd), "x").unwrap();

        here.check(
            LIMITS,
            &[
                "group/empty",
                "group/notes/a b.md",
                "group/odd%0A%FF",
                "home/.kimi/sessions/s/context.jsonl",
            ],
            &[],
        );
    }

    #[test]
    fn what_leads_out_or_would_hang_is_left_out() {
        let here = staged();
        let group = here.root.path().join("groups/family");
        fs_err::create_dir(group.join("in")).unwrap();
        here.write("outside", "precious");
        symlink("../../outside", group.join("climbs")).unwrap();
        symlink("/etc/passwd", group.join("far")).unwrap();
        symlink("../a", group.join("in/near")).unwrap();
        symlink("../../a", group.join("in/out")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, group.join("pipe"), rustix::fs::Mode::RUSR).unwrap();
        fs_err::hard_link(here.root.path().join("outside"), group.join("named")).unwrap();
        here.write("groups/family/twice", "x");
        fs_err::hard_link(group.join("twice"), group.join("in/twice")).unwrap();

        let out = "it is a link that leads out of the workspace";
        here.check(
            LIMITS,
            &["group/in/near", "group/in/twice", "group/twice"],
            &[
                ("group/climbs", out),
                ("group/far", out),
                ("group/in/out", out),
                ("group/pipe", "it is a pipe"),
                ("group/named", "it has a second name elsewhere"),
            ],
        );
    }

    #[test]
    fn what_is_beyond_the_limits_is_told() {
        let here = staged();
        for name in ["a", "b", "c"] {
            here.write(&format!("groups/family/{name}"), "1234567890");
        }
        let files = Limits { files: 2, ..LIMITS };
        here.check(
            files,
            &["group/a", "group/b"],
            &[("group/c", "there are more than 2 files")],
        );
        let one = Limits {
            file_size: 9,
            ..LIMITS
        };
        assert_eq!(here.place.look(one).unwrap().left_out_count, 3);
        let all = Limits { size: 25, ..LIMITS };
        here.check(
            all,
            &["group/a", "group/b"],
            &[("group/c", "with it there are more than 25 bytes")],
        );
    }
}
