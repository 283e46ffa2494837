//! What a saboteur does between its start in nanokimi's place and the moment it becomes the real
//! one, which knows nothing of it.
//!
//! It reaches nanokimi only from outside: in its store, in its log, among the processes.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fs_err as fs;
use fs_err::os::unix::fs::symlink;
use rusqlite::Connection;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

/// What is done to nanokimi.
#[derive(Debug)]
pub(super) enum Deed {
    /// Statements for its store, before anything of it runs: most often a trigger, which
    /// stays, and spoils what nanokimi writes.
    InTheStore(&'static str),
    /// The same, each time it starts to serve.
    BeforeItServes(&'static str),
    /// It starts an agent that nobody will end.
    LosesAnAgent,
    /// This file of the installation is told to the log, if it is there when nanokimi starts …
    Logs(&'static str),
    /// … or to whoever reads what nanokimi prints.
    Prints(&'static str),
}

/// What the real nanokimi, and the lost agent, are called among the disguises.
const NANOKIMI: &str = "nanokimi";
const AGENT: &str = "agent-runner";
/// A pipe that is held open as long as the disguises are there; a lost agent lives no longer.
const LEASH: &str = "leash";
/// A nanokimi that runs may have the store locked for a moment.
const BUSY: Duration = Duration::from_secs(5);

/// Links under which this very program is started to be somebody else.
pub(super) struct Disguises {
    folder: TempDir,
    _leash: fs::File,
}

impl Disguises {
    pub(super) fn make(nanokimi: &Path) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        symlink(nanokimi, folder.path().join(NANOKIMI))?;
        let leash = folder.path().join(LEASH);
        mknodat(CWD, &leash, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
        // To open it for writing alone is to wait for a reader.
        let held = fs::File::options().read(true).write(true).open(leash)?;
        let disguises = Self {
            folder,
            _leash: held,
        };
        disguises.of(AGENT)?;
        Ok(disguises)
    }

    /// The program that does what is done under this name.
    pub(super) fn of(&self, name: &str) -> io::Result<PathBuf> {
        let program = self.folder.path().join(name);
        symlink(std::env::current_exe()?, &program)?;
        Ok(program)
    }
}

/// Does what belongs to the name that we were started under, and returns how that ended; `None`
/// if we are just ourselves. A saboteur returns only if it cannot become nanokimi.
///
/// To be called first in `main`, with all arguments.
pub(crate) fn disguised(mut arguments: impl Iterator<Item = OsString>) -> Option<io::Result<()>> {
    let program = PathBuf::from(arguments.next()?);
    let name = program.file_name()?.to_str()?;
    if name == AGENT {
        // Nobody writes there: it is read until it is closed.
        return Some(fs::read(program.with_file_name(LEASH)).map(drop));
    }
    let saboteur = super::known(name)?;
    let arguments: Vec<OsString> = arguments.collect();
    let nanokimi = program.with_file_name(NANOKIMI);
    Some(match saboteur.deed.is_done(&nanokimi, &arguments) {
        Ok(()) => Err(Command::new(nanokimi).args(arguments).exec()),
        Err(error) => Err(error),
    })
}

impl Deed {
    fn is_done(&self, nanokimi: &Path, arguments: &[OsString]) -> io::Result<()> {
        let root = root_among(arguments)?;
        let serves = arguments.first().is_some_and(|command| command == "run");
        match self {
            // Groups may be registered before it serves for the first time.
            Self::InTheStore(statements) => in_store(nanokimi, root, statements),
            Self::BeforeItServes(statements) if serves => in_store(nanokimi, root, statements),
            Self::LosesAnAgent if serves => {
                let agent = nanokimi.with_file_name(AGENT);
                lose_agent(&agent, root).map(drop)
            }
            Self::Logs(file) if serves => log(root, &text_of(root, file)?),
            Self::Prints(file) if serves => io::stderr().write_all(&text_of(root, file)?),
            Self::BeforeItServes(_) | Self::LosesAnAgent | Self::Logs(_) | Self::Prints(_) => {
                Ok(())
            }
        }
    }
}

/// The harness names the folder of the installation in each command.
fn root_among(arguments: &[OsString]) -> io::Result<&Path> {
    let at = arguments.iter().position(|argument| argument == "--root");
    let root = at.and_then(|at| arguments.get(at + 1));
    let missing = || io::Error::other("expected `--root` and a folder among the arguments");
    root.map(Path::new).ok_or_else(missing)
}

fn in_store(nanokimi: &Path, root: &Path, statements: &str) -> io::Result<()> {
    fs::create_dir_all(root.join("store"))?;
    // Whoever looks at a store makes it, or brings it up to date, first.
    let mut looking = Command::new(nanokimi);
    looking.args(["groups", "list", "--root"]).arg(root);
    let looked = looking.stdout(Stdio::null()).status()?;
    if !looked.success() {
        let why = format!("`nanokimi groups list` made no store: {looked}");
        return Err(io::Error::other(why));
    }
    let store = Connection::open(root.join("store/messages.db")).map_err(io::Error::other)?;
    store.busy_timeout(BUSY).map_err(io::Error::other)?;
    store.execute_batch(statements).map_err(io::Error::other)
}

fn lose_agent(agent: &Path, root: &Path) -> io::Result<Child> {
    let mut lost = Command::new(agent);
    lost.current_dir(root);
    lost.stdin(Stdio::null());
    lost.stdout(Stdio::null());
    lost.stderr(Stdio::null());
    lost.spawn()
}

/// Nothing before there is such a file.
fn text_of(root: &Path, file: &str) -> io::Result<Vec<u8>> {
    match fs::read(root.join(file)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

fn log(root: &Path, text: &[u8]) -> io::Result<()> {
    let logs = root.join("logs");
    fs::create_dir_all(&logs)?;
    let mut options = fs::OpenOptions::new();
    let mut log = options
        .append(true)
        .create(true)
        .open(logs.join("nanokimi.log"))?;
    log.write_all(text)
}
