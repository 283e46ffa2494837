//! Reads what agents drop below `data/ipc`, safely and without knowing what it means.
//!
//! An agent owns its folder there: it may be a link, hold pipes, devices and giants, or be
//! gone. Whatever lies there, a pass ends, reads nothing outside, and skips nothing silently.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use crate::safe_dir::{LISTED, PlainFile, SafeDir, Unreadable};

/// No command of an agent is longer.
const LARGEST: u64 = 1024 * 1024;
/// What one pass takes from one folder, so that one agent cannot keep the watcher to itself.
pub(super) const PER_PASS: usize = 200;
/// And what one pass keeps of it in memory, give or take one file.
const BYTES_PER_PASS: usize = 2 * 1024 * 1024;
/// How long a file may lie half-written: by the machine's clock, which dates files.
const YOUNG: Duration = Duration::from_secs(2);
/// No name of a file is longer.
const LONGEST_NAME: usize = 255;

/// All agents' IPC folders.
#[derive(Debug)]
pub(crate) struct Inbox {
    ipc: SafeDir,
}

/// Which of the two folders a file lay in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DropKind {
    Messages,
    Tasks,
}

impl DropKind {
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Tasks => "tasks",
        }
    }
}

/// One thing that an agent dropped.
#[derive(Debug)]
pub(crate) struct Drop {
    /// The folder it lay in: the identity of whoever dropped it.
    pub folder: String,
    pub kind: DropKind,
    name: OsString,
    pub content: Result<Vec<u8>, Unreadable>,
    /// Whoever writes it may not be done yet.
    pub young: bool,
}

/// What one look at one folder found.
#[derive(Debug)]
pub(crate) struct Pass {
    /// Names in order, but those that stayed after an earlier look come last.
    pub drops: Vec<Drop>,
    /// There was more than one pass takes.
    pub more: bool,
}

impl Drop {
    /// How it is called in logs and receipts, e.g. `tasks/1767603600000-a1.json`.
    #[must_use]
    pub(crate) fn shown(&self) -> String {
        shown(self.kind, &self.name)
    }
}

impl Inbox {
    pub(crate) fn open(data_ipc: &Path) -> io::Result<Self> {
        Ok(Self {
            ipc: SafeDir::open(data_ipc)?,
        })
    }

    /// Makes a group's folders, in place of whatever has their names.
    pub(crate) fn prepare(&self, folder: &str) -> io::Result<()> {
        let group = self.ipc.enter(folder)?;
        for name in ["messages", "tasks", "input"] {
            group.enter(name)?;
        }
        Ok(())
    }

    /// One pass over one folder of a group; `left` is what stayed there after earlier ones.
    pub(crate) fn pass(
        &self,
        folder: &str,
        kind: DropKind,
        left: &BTreeSet<String>,
    ) -> io::Result<Pass> {
        let dropped = match self.ipc.enter_existing(folder)? {
            Some(group) => group.enter_existing(kind.folder())?,
            None => None,
        };
        match dropped {
            Some(dropped) => take(&dropped, folder, kind, left),
            None => Ok(Pass {
                drops: Vec::new(),
                more: false,
            }),
        }
    }

    pub(crate) fn remove(&self, dropped: &Drop) -> io::Result<()> {
        match self.folder_of(dropped)? {
            Some(folder) => folder.remove(&dropped.name),
            None => Ok(()),
        }
    }

    /// Moves a drop to `errors/`, whatever it is, and returns its name there.
    pub(crate) fn quarantine(&self, dropped: &Drop) -> io::Result<OsString> {
        let errors = self.ipc.enter("errors")?;
        let mut taken = 0;
        loop {
            let name = quarantined_name(&dropped.folder, &dropped.name, taken);
            let Some(folder) = self.folder_of(dropped)? else {
                return Ok(name);
            };
            if folder.move_to(&dropped.name, &errors, &name)? {
                return Ok(name);
            }
            taken += 1;
        }
    }

    /// Leaves a file for the group's agent to read, if the group has a folder.
    pub(crate) fn write_snapshot(&self, folder: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
        match self.ipc.enter_existing(folder)? {
            Some(group) => group.replace(name, bytes),
            None => Ok(()),
        }
    }

    fn folder_of(&self, dropped: &Drop) -> io::Result<Option<SafeDir>> {
        match self.ipc.enter_existing(&dropped.folder)? {
            Some(group) => group.enter_existing(dropped.kind.folder()),
            None => Ok(None),
        }
    }
}

fn take(
    dropped: &SafeDir,
    folder: &str,
    kind: DropKind,
    left: &BTreeSet<String>,
) -> io::Result<Pass> {
    let mut pass = Pass {
        drops: Vec::new(),
        more: false,
    };
    let mut bytes = 0;
    for name in commands(dropped, kind, left)? {
        if pass.drops.len() == PER_PASS || bytes >= BYTES_PER_PASS {
            pass.more = true;
            break;
        }
        // Gone between the listing and now: its owner took it back.
        let Some(content) = dropped.read(&name, LARGEST) else {
            continue;
        };
        // A date in the future says nothing about who is writing now.
        let age = |file: &PlainFile| file.modified.elapsed();
        let young = matches!(content.as_ref().map(age), Ok(Ok(age)) if age < YOUNG);
        let content = content.map(|file| file.bytes);
        bytes += content.as_ref().map_or(0, Vec::len);
        pass.drops.push(Drop {
            folder: folder.to_owned(),
            kind,
            name,
            content,
            young,
        });
    }
    Ok(pass)
}

/// The names of commands in the order in which they are taken.
fn commands(
    dropped: &SafeDir,
    kind: DropKind,
    left: &BTreeSet<String>,
) -> io::Result<Vec<OsString>> {
    let mut names = dropped.names()?;
    let crowded = names.len() == LISTED;
    names.retain(|name| is_command(name));
    if crowded && names.is_empty() {
        return Err(io::Error::other(format!(
            "more than {LISTED} entries are no commands, and what is behind them is not seen; clear the folder"
        )));
    }
    names.sort_by_key(|name| left.contains(&shown(kind, name)));
    Ok(names)
}

fn shown(kind: DropKind, name: &OsStr) -> String {
    format!("{}/{}", kind.folder(), name.display())
}

/// The name in `errors/`; of one that would be too long, the beginning is left out. Whoever drops
/// the same name for ever is not counted for ever.
fn quarantined_name(folder: &str, name: &OsStr, taken: usize) -> OsString {
    let suffix = match taken {
        0 => String::new(),
        1..=9 => format!(".{taken}"),
        _ => format!(".{}", uuid::Uuid::new_v4().simple()),
    };
    let mut whole = OsString::from(format!("{folder}-"));
    let room = LONGEST_NAME.saturating_sub(whole.len() + suffix.len());
    let name = name.as_bytes();
    whole.push(OsStr::from_bytes(&name[name.len().saturating_sub(room)..]));
    whole.push(suffix);
    whole
}

/// Temporary files end otherwise, or begin with a dot.
fn is_command(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.ends_with(b".json") && !name.starts_with(b".")
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::symlink;

    use super::*;

    struct Ipc {
        root: tempfile::TempDir,
        inbox: Inbox,
    }

    fn ipc() -> Ipc {
        let root = tempfile::tempdir().unwrap();
        let inbox = Inbox::open(root.path()).unwrap();
        inbox.prepare("g").unwrap();
        Ipc { root, inbox }
    }

    impl Ipc {
        fn path(&self, name: impl AsRef<Path>) -> std::path::PathBuf {
            self.root.path().join("g/messages").join(name)
        }

        fn scan(&self) -> Vec<Drop> {
            self.pass(&[]).drops
        }

        fn pass(&self, left: &[&str]) -> Pass {
            let left = left.iter().map(|name| (*name).to_owned()).collect();
            self.inbox.pass("g", DropKind::Messages, &left).unwrap()
        }
    }

    #[test]
    fn files_come_in_the_order_of_their_names_and_temporary_ones_do_not() {
        let ipc = ipc();
        for name in [
            "2.json",
            "10.json",
            "1.json",
            "3.json.tmp",
            ".4.json",
            "readme",
        ] {
            fs_err::write(ipc.path(name), name).unwrap();
        }
        let names: Vec<String> = ipc.scan().iter().map(Drop::shown).collect();
        assert_eq!(
            names,
            ["messages/1.json", "messages/10.json", "messages/2.json"]
        );
    }

    #[test]
    fn what_is_no_plain_file_is_named_moved_and_never_followed() {
        let ipc = ipc();
        let secret = ipc.root.path().join("secret");
        fs_err::write(&secret, "s").unwrap();
        symlink(&secret, ipc.path("a.json")).unwrap();
        symlink("nowhere", ipc.path("b.json")).unwrap();
        fs_err::create_dir(ipc.path("c.json")).unwrap();
        let pipe = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, ipc.path("d.json"), pipe, FILE, 0).unwrap();
        fs_err::hard_link(&secret, ipc.path("e.json")).unwrap();
        fs_err::File::create(ipc.path("f.json"))
            .unwrap()
            .set_len(LARGEST + 1)
            .unwrap();

        let drops = ipc.scan();
        let reasons: Vec<String> = drops
            .iter()
            .map(|dropped| dropped.content.clone().unwrap_err().to_string())
            .collect();
        assert_eq!(
            reasons,
            [
                "it is a symbolic link, not a file",
                "it is a symbolic link, not a file",
                "it is a folder, not a file",
                "it is a pipe, not a file",
                "it has a second name elsewhere",
                "it has 1048577 bytes, and at most 1048576 are read",
            ]
        );
        for dropped in &drops {
            ipc.inbox.quarantine(dropped).unwrap();
        }
        assert!(ipc.scan().is_empty());
        assert_eq!(fs_err::read_to_string(&secret).unwrap(), "s");
        assert!(
            fs_err::symlink_metadata(ipc.root.path().join("errors/g-a.json"))
                .unwrap()
                .is_symlink()
        );
    }

    const FILE: rustix::fs::Mode = rustix::fs::Mode::RUSR.union(rustix::fs::Mode::WUSR);

    #[test]
    fn a_folder_that_became_a_link_is_not_entered() {
        let ipc = ipc();
        let outside = tempfile::tempdir().unwrap();
        fs_err::write(outside.path().join("x.json"), "{}").unwrap();
        fs_err::remove_dir(ipc.path("")).unwrap();
        symlink(outside.path(), ipc.root.path().join("g/messages")).unwrap();

        assert!(ipc.scan().is_empty());
        ipc.inbox.prepare("g").unwrap();
        assert!(fs_err::symlink_metadata(ipc.path("")).unwrap().is_dir());
        assert!(outside.path().join("x.json").is_file());
    }

    #[test]
    fn ten_thousand_files_are_taken_in_bounded_passes() {
        let ipc = ipc();
        for n in 0..10_000 {
            fs_err::write(ipc.path(format!("{n:05}.json")), "{}").unwrap();
        }
        let mut taken = 0;
        loop {
            let drops = ipc.scan();
            if drops.is_empty() {
                break;
            }
            assert!(drops.len() <= PER_PASS);
            for dropped in &drops {
                ipc.inbox.remove(dropped).unwrap();
            }
            taken += drops.len();
        }
        assert_eq!(taken, 10_000);
    }

    #[test]
    fn files_of_one_name_all_survive_quarantine_and_odd_names_do_too() {
        let ipc = ipc();
        let odd = OsString::from_vec(b"\xff\n.json".to_vec());
        let same = [OsStr::new("x.json"); 12];
        for name in same.into_iter().chain([odd.as_os_str()]) {
            fs_err::write(ipc.path(name), "{").unwrap();
            for dropped in &ipc.scan() {
                ipc.inbox.quarantine(dropped).unwrap();
            }
        }
        let errors = SafeDir::open(&ipc.root.path().join("errors")).unwrap();
        assert_eq!(errors.names().unwrap().len(), 13);
    }

    #[test]
    fn a_name_of_full_length_is_quarantined_too() {
        let ipc = ipc();
        let name = format!("{}.json", "é".repeat(125));
        for _ in 0..2 {
            fs_err::write(ipc.path(&name), "{").unwrap();
            for dropped in &ipc.scan() {
                ipc.inbox.quarantine(dropped).unwrap();
            }
        }
        assert!(ipc.scan().is_empty());
        let errors = SafeDir::open(&ipc.root.path().join("errors")).unwrap();
        assert_eq!(errors.names().unwrap().len(), 2);
    }

    #[test]
    fn a_pass_keeps_little_in_memory_and_leaves_nothing_behind() {
        let ipc = ipc();
        let large = vec![b' '; 1_000_000];
        for n in 10..40 {
            fs_err::write(ipc.path(format!("{n}.json")), &large).unwrap();
        }
        let mut passes = Vec::new();
        loop {
            let drops = ipc.scan();
            if drops.is_empty() {
                break;
            }
            for dropped in &drops {
                ipc.inbox.remove(dropped).unwrap();
            }
            passes.push(drops.len());
        }
        assert_eq!(passes, [3; 10]);
    }

    #[test]
    fn what_stayed_after_an_earlier_look_comes_last() {
        let ipc = ipc();
        for name in ["1.json", "2.json", "3.json"] {
            fs_err::write(ipc.path(name), "{}").unwrap();
        }
        let drops = ipc.pass(&["messages/1.json", "messages/2.json"]).drops;
        let names: Vec<String> = drops.iter().map(Drop::shown).collect();
        assert_eq!(
            names,
            ["messages/3.json", "messages/1.json", "messages/2.json"]
        );
    }

    #[test]
    fn a_file_is_young_for_two_seconds_and_not_because_it_is_dated_ahead() {
        let ipc = ipc();
        let dated = |seconds: i64| {
            let at = std::time::SystemTime::now();
            let span = Duration::from_secs(seconds.unsigned_abs());
            let at = if seconds < 0 { at - span } else { at + span };
            let file = fs_err::File::create(ipc.path("x.json")).unwrap();
            file.file().set_modified(at).unwrap();
            ipc.scan()[0].young
        };
        assert_eq!([dated(0), dated(-3), dated(3600)], [true, false, false]);
    }

    #[test]
    fn a_folder_full_of_other_things_is_an_error_and_not_an_empty_one() {
        let ipc = ipc();
        for n in 0..LISTED {
            fs_err::write(ipc.path(n.to_string()), "").unwrap();
        }
        let pass = ipc
            .inbox
            .pass("g", DropKind::Messages, &BTreeSet::new())
            .unwrap_err();
        assert!(pass.to_string().contains("clear the folder"), "{pass}");
    }

    #[test]
    fn a_snapshot_replaces_a_planted_link() {
        let ipc = ipc();
        let victim = ipc.root.path().join("victim");
        fs_err::write(&victim, "precious").unwrap();
        symlink(&victim, ipc.root.path().join("g/current_tasks.json")).unwrap();

        ipc.inbox
            .write_snapshot("g", "current_tasks.json", b"[]")
            .unwrap();

        assert_eq!(fs_err::read_to_string(&victim).unwrap(), "precious");
        let written = fs_err::read_to_string(ipc.root.path().join("g/current_tasks.json"));
        assert_eq!(written.unwrap(), "[]");
    }
}
