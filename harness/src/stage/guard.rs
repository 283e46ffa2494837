//! The hidden mode in which our own binary starts another and dies with its parent.
//!
//! `<exe> --guard <parent> <program> [args…]` asks the kernel for SIGKILL when the thread
//! that started it ends, then becomes the program. So a `kill -9` of the harness, which
//! leaves it no time to clean up, takes nanokimi with it.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// The first argument of the hidden mode.
pub(crate) const GUARD: &str = "--guard";

/// Becomes the guarded program; returns only if that is not possible.
///
/// `args` are those behind [`GUARD`].
pub(crate) fn become_guarded(mut args: impl Iterator<Item = OsString>) -> io::Error {
    let parent = args
        .next()
        .and_then(|id| id.to_str()?.parse::<i32>().map_or(None, Pid::from_raw));
    let (Some(parent), Some(program)) = (parent, args.next()) else {
        return io::Error::other("expected `--guard <parent> <program> [args…]`");
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    // The parent may have gone before the line above: then nobody will send the signal.
    if getppid() != Some(parent) {
        return io::Error::other("the harness has ended");
    }
    Command::new(program).args(args).exec()
}
