//! Moves what was fetched into a group's folders, from beside them: each step is taken from an
//! open directory, and nothing of ours is lost to a name that something else takes.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use fs_err::File;

use super::entry::{Entries, Entry, EntryPath, LONGEST_NAME, Scope, Sha256Hex, unescaped};
use super::merge::Plan;
use super::sums::sums_of;
use super::tickets::STAGED;
use super::tree::Place;
use crate::ids::GroupFolder;
use crate::safe_dir::{EntryKind, SafeDir, set_executable};

/// More copies than anybody keeps beside one file.
const BESIDE: u32 = 1000;

/// What is fetched for a group, as part of a name.
pub(super) const RESTORED: &str = "new";

/// A folder beside the groups', on the same disk, in which contents lie by their names. It goes
/// away with its owner; one that was left behind is emptied.
#[derive(Debug)]
pub(super) struct Staging {
    path: PathBuf,
    folder: SafeDir,
}

impl Staging {
    /// `what` tells it from others of the same group.
    pub(super) fn new(place: &Place, what: &str) -> io::Result<Self> {
        let name = format!(".{}.{what}", place.folder);
        let path = place.root.join(Scope::Group.parent()).join(name);
        remove_all(&path)?;
        let folder = SafeDir::open(&path)?;
        Ok(Self { path, folder })
    }

    /// An empty file for a content, whatever was there.
    pub(super) fn create(&self, sha256: &Sha256Hex) -> io::Result<File> {
        self.folder.remove_entry(OsStr::new(sha256.as_str()))?;
        self.folder.create_new(sha256.as_str())
    }
}

/// Removes what a process that was killed has left beside the groups' folders and had staged; what
/// will not go only takes room. Nobody may be at work there.
pub(crate) fn clear_away(root: &Path) -> io::Result<()> {
    clear(&root.join(STAGED));
    let parent = root.join(Scope::Group.parent());
    for entry in fs_err::read_dir(&parent)? {
        let name = entry?.file_name();
        if is_staging(&name) {
            clear(&parent.join(&name));
        }
    }
    Ok(())
}

fn clear(path: &Path) {
    if let Err(error) = remove_all(path) {
        tracing::warn!(%error, "what was left of an earlier process is still there; remove it by hand");
    }
}

/// Whether a name is one of ours: `.<folder>.new`, or with an id of its own.
fn is_staging(name: &OsStr) -> bool {
    let words = name.to_str().and_then(|name| name.strip_prefix('.'));
    let Some((folder, what)) = words.and_then(|words| words.split_once('.')) else {
        return false;
    };
    let is_id = what.len() == 32 && what.bytes().all(|byte| byte.is_ascii_hexdigit());
    folder.parse::<GroupFolder>().is_ok() && (is_id || what == RESTORED)
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = remove_all(&self.path) {
            tracing::warn!(%error, "what was fetched for a workspace is still there");
        }
    }
}

fn remove_all(path: &Path) -> io::Result<()> {
    match fs_err::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The group's folders, while they are being changed.
#[derive(Debug)]
pub(super) struct Moving<'a> {
    group: SafeDir,
    home: SafeDir,
    staging: &'a Staging,
    version: u64,
}

impl<'a> Moving<'a> {
    pub(super) fn new(place: &Place, staging: &'a Staging, version: u64) -> io::Result<Self> {
        let open = |scope: Scope| {
            let parent = place.root.join(scope.parent());
            SafeDir::open(&parent)?.enter(place.folder.as_str())
        };
        Ok(Self {
            group: open(Scope::Group)?,
            home: open(Scope::Home)?,
            staging,
            version,
        })
    }

    /// Makes the plan come true, and returns only when it survives the loss of power. Says where
    /// ours was kept.
    pub(super) fn obey(&self, plan: &Plan, entries: &Entries) -> io::Result<Vec<EntryPath>> {
        let mut kept = Vec::new();
        for path in &plan.aside {
            let (folders, name) = path.names();
            if let Some(folder) = self.find(path.scope(), &folders)? {
                kept.push(self.keep_beside(&folder, &name, path)?);
            }
        }
        for path in &plan.remove {
            self.remove(path)?;
        }
        let mut uses = uses(plan, entries);
        for path in &plan.take {
            if let Some(entry) = entries.get(path) {
                let folder = self.make(path, &mut kept)?;
                let is_unseen = plan.unseen.contains(path);
                kept.extend(self.make_room(&folder, path, entry, is_unseen)?);
                self.take(&folder, path, entry, &mut uses)?;
            }
        }
        self.group.sync_all()?;
        self.home.sync_all()?;
        Ok(kept)
    }

    fn scope(&self, scope: Scope) -> &SafeDir {
        match scope {
            Scope::Group => &self.group,
            Scope::Home => &self.home,
        }
    }

    /// The folder of these names, if it is there.
    fn find(&self, scope: Scope, folders: &[OsString]) -> io::Result<Option<SafeDir>> {
        let mut at = self.scope(scope).again()?;
        for name in folders {
            match at.enter_existing(name)? {
                Some(inner) => at = inner,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// The folder of a path, made where it is missing.
    fn make(&self, path: &EntryPath, kept: &mut Vec<EntryPath>) -> io::Result<SafeDir> {
        let (folders, _name) = path.names();
        let mut at = self.scope(path.scope()).again()?;
        let mut so_far: Option<EntryPath> = None;
        for name in folders {
            let here = match &so_far {
                Some(outer) => outer.below(&name),
                None => EntryPath::top(path.scope(), &name),
            };
            if is_in_the_way(&at, &name)? {
                kept.push(self.keep_beside(&at, &name, &here)?);
            }
            at = at.enter(&name)?;
            so_far = Some(here);
        }
        Ok(at)
    }

    /// Gives an entry of ours the name of a copy, which is free.
    fn keep_beside(
        &self,
        folder: &SafeDir,
        name: &OsStr,
        path: &EntryPath,
    ) -> io::Result<EntryPath> {
        for number in 1..BESIDE {
            let copy = copy_of(name, self.version, number);
            if folder.move_to(name, folder, &copy)? {
                return Ok(beside(path, &copy));
            }
        }
        let what = format!("{path}: there are too many copies beside it");
        Err(io::Error::new(io::ErrorKind::AlreadyExists, what))
    }

    /// Removes an entry, and the folders that are empty without it.
    fn remove(&self, path: &EntryPath) -> io::Result<()> {
        let (mut folders, mut name) = path.names();
        if let Some(folder) = self.find(path.scope(), &folders)? {
            match folder.look_at(&name)? {
                Some(found) if found.kind == EntryKind::Folder => {
                    folder.remove_empty(&name)?;
                }
                Some(_) => folder.remove_entry(&name)?,
                None => {}
            }
        }
        while let Some(outer) = folders.pop() {
            name = outer;
            match self.find(path.scope(), &folders)? {
                Some(folder) if folder.remove_empty(&name)? => {}
                Some(_) | None => break,
            }
        }
        Ok(())
    }

    /// Keeps beside what stands where an entry comes and must not be lost.
    fn make_room(
        &self,
        folder: &SafeDir,
        path: &EntryPath,
        entry: &Entry,
        is_unseen: bool,
    ) -> io::Result<Option<EntryPath>> {
        let (_folders, name) = path.names();
        let Some(in_the_way) = folder.look_at(&name)? else {
            return Ok(None);
        };
        let is_folder = in_the_way.kind == EntryKind::Folder;
        let is_free = match entry {
            Entry::Folder {} => !is_in_the_way(folder, &name)?,
            Entry::File { .. } | Entry::Link { .. } if is_folder => folder.remove_empty(&name)?,
            Entry::File { .. } | Entry::Link { .. } => !is_unseen || holds(folder, &name, entry)?,
        };
        if is_free {
            return Ok(None);
        }
        self.keep_beside(folder, &name, path).map(Some)
    }

    fn take(
        &self,
        folder: &SafeDir,
        path: &EntryPath,
        entry: &Entry,
        uses: &mut BTreeMap<Sha256Hex, usize>,
    ) -> io::Result<()> {
        let (_folders, name) = path.names();
        match entry {
            Entry::Folder {} => folder.enter(&name).map(|_folder| ()),
            Entry::Link { target } => {
                let staged = OsStr::new("link");
                let staging = &self.staging.folder;
                staging.remove_entry(staged)?;
                staging.make_link(staged, &unescaped(target))?;
                staging.move_over(staged, folder, &name)
            }
            Entry::File {
                sha256, executable, ..
            } => {
                let staged = self.staged(sha256, uses)?;
                let staging = &self.staging.folder;
                if let Some((file, _)) = staging.open_file(&staged)? {
                    set_executable(&file, *executable)?;
                }
                match staging.move_over(&staged, folder, &name) {
                    // `groups` and `data` lie on two disks.
                    Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                        self.copy_over(&staged, folder, &name, *executable)
                    }
                    moved => moved,
                }
            }
        }
    }

    fn copy_over(
        &self,
        staged: &OsStr,
        folder: &SafeDir,
        name: &OsStr,
        executable: bool,
    ) -> io::Result<()> {
        let beside = format!(".new-{}", uuid::Uuid::new_v4().simple());
        let mut copy = folder.create_new(&beside)?;
        if let Some((mut content, _)) = self.staging.folder.open_file(staged)? {
            io::copy(&mut content, &mut copy)?;
        }
        set_executable(&copy, executable)?;
        folder.move_over(OsStr::new(&beside), folder, name)
    }

    /// A file with the content, to be moved: the fetched one itself for its last use.
    fn staged(
        &self,
        sha256: &Sha256Hex,
        uses: &mut BTreeMap<Sha256Hex, usize>,
    ) -> io::Result<OsString> {
        let left = uses.entry(sha256.clone()).or_insert(1);
        *left = left.saturating_sub(1);
        if *left == 0 {
            return Ok(sha256.as_str().into());
        }
        let staging = &self.staging.folder;
        let name = "copy";
        staging.remove_entry(OsStr::new(name))?;
        let mut copy = staging.create_new(name)?;
        if let Some((mut content, _)) = staging.open_file(OsStr::new(sha256.as_str()))? {
            io::copy(&mut content, &mut copy)?;
        }
        Ok(name.into())
    }
}

/// Whether something stands where a folder is to be that is none, or one that we may not look into.
fn is_in_the_way(folder: &SafeDir, name: &OsStr) -> io::Result<bool> {
    match folder.look_at(name)? {
        Some(found) if found.kind == EntryKind::Folder => Ok(!folder.may_look_into(name)?),
        Some(_) => Ok(true),
        None => Ok(false),
    }
}

/// Whether a file that nobody has read holds the same as an entry, so that nothing is lost with it.
fn holds(folder: &SafeDir, name: &OsStr, entry: &Entry) -> io::Result<bool> {
    let Entry::File { size, sha256, .. } = entry else {
        return Ok(false);
    };
    if !folder.may_read(name)? {
        return Ok(false);
    }
    match folder.open_file(name)? {
        Some((file, found)) if found.stamp.size == *size => Ok(sums_of(&file)?.sha256 == *sha256),
        Some(_) | None => Ok(false),
    }
}

/// How many files each content is for.
fn uses(plan: &Plan, entries: &Entries) -> BTreeMap<Sha256Hex, usize> {
    let mut uses = BTreeMap::new();
    for path in &plan.take {
        if let Some(Entry::File { sha256, .. }) = entries.get(path) {
            *uses.entry(sha256.clone()).or_default() += 1;
        }
    }
    uses
}

/// The name of a copy, which is no longer than a name may be: what it is a copy of is cut, between
/// two letters.
fn copy_of(name: &OsStr, version: u64, number: u32) -> OsString {
    let sign = match number {
        1 => format!(".conflict-v{version}"),
        more => format!(".conflict-v{version}-{more}"),
    };
    let name = name.as_bytes();
    let mut end = name.len().min(LONGEST_NAME - sign.len());
    let is_inside_a_letter = |at: usize| name.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    while end > 0 && is_inside_a_letter(end) {
        end -= 1;
    }
    let mut copy = OsStr::from_bytes(&name[..end]).to_owned();
    copy.push(sign);
    copy
}

/// Another name in the same folder.
fn beside(path: &EntryPath, name: &OsStr) -> EntryPath {
    let (folders, _name) = path.names();
    let mut at: Option<EntryPath> = None;
    for folder in &folders {
        at = Some(match at {
            Some(outer) => outer.below(folder),
            None => EntryPath::top(path.scope(), folder),
        });
    }
    match at {
        Some(folder) => folder.below(name),
        None => EntryPath::top(path.scope(), name),
    }
}
