//! The hidden mode that outlives a killed harness, and clears up after it.
//!
//! `<exe> --reaper <run> <engine>` reads folders from its stdin, a line each, and waits for the
//! end: the pipe closes when the harness ends, however it does. Then it removes all that is left
//! of the run in the engine. In a session of its own, so that no signal to the harness's group
//! reaches it; it holds none of its streams open.

use std::ffi::OsString;
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::clearing::CALM;
use super::{Clearing, Engine, EngineError};

/// The first argument of the hidden mode.
pub(crate) const REAPER: &str = "--reaper";

/// The last line of a harness that has put everything away itself: one look is enough.
const ALL_DONE: &str = "all done";

/// Waits for the end of whoever started us, and clears up.
///
/// `args` are those behind [`REAPER`].
pub(crate) fn become_reaper(mut args: impl Iterator<Item = OsString>) -> io::Result<()> {
    let mut text = || match args.next()?.into_string() {
        Ok(text) => Some(text),
        Err(_no_text) => None,
    };
    let (Some(run), Some(address)) = (text(), text()) else {
        return Err(io::Error::other("expected `--reaper <run> <engine>`"));
    };
    rustix::process::setsid()?;
    let mut folders = Vec::new();
    let mut in_order = false;
    for line in io::stdin().lock().lines() {
        // A pipe that breaks is one that ends.
        let Ok(line) = line else { break };
        match line == ALL_DONE {
            true => in_order = true,
            false => folders.push(PathBuf::from(line)),
        }
    }
    let clearing = Clearing { run, folders };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let cleared = runtime.block_on(async {
        let engine = Engine::answering(Some(&address)).await?;
        if in_order && clearing.once(&engine).await? == 0 {
            return Ok(());
        }
        clearing.until_calm(&engine, CALM).await
    });
    cleared.map_err(|error: EngineError| io::Error::other(error))
}

/// The reaper of a run, as the run sees it. When this is dropped it looks for the last time.
#[derive(Debug)]
pub(super) struct Reaper {
    /// `None` once it is closed.
    pipe: Mutex<Option<ChildStdin>>,
    child: Child,
}

impl Reaper {
    /// Starts it; before the first container of the run.
    pub(super) fn start(run: &str, address: &str) -> Result<Self, EngineError> {
        // Not by its path: cargo may have put a newer build there meanwhile.
        let mut command = Command::new(Path::new("/proc/self/exe"));
        command
            .args([REAPER, run, address])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().map_err(EngineError::Reaper)?;
        let pipe = Mutex::new(child.stdin.take());
        Ok(Self { pipe, child })
    }

    /// From now on what has this folder mounted is the run's as well.
    pub(super) fn watch(&self, folder: &Path) -> Result<(), EngineError> {
        self.write(&folder.display().to_string())
            .map_err(EngineError::Reaper)
    }

    fn write(&self, line: &str) -> io::Result<()> {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        match pipe.as_mut() {
            Some(pipe) => writeln!(pipe, "{line}"),
            None => Err(io::Error::other("it has been closed")),
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        // One that has been killed cannot be told; then the next run clears up.
        let (Ok(()) | Err(_)) = self.write(ALL_DONE);
        self.pipe = Mutex::new(None);
        let (Ok(_) | Err(_)) = self.child.wait();
    }
}
