//! The hidden modes of every program that plays scenarios: it starts itself to be something else.

use std::ffi::OsString;
use std::io;

use crate::engine::{REAPER, become_reaper};
use crate::stage::{GUARD, become_guarded};

/// Becomes what the first of these arguments asks for, and returns how that ended; `None` if it
/// asks for no hidden mode.
///
/// To be called first in `main`, with the arguments behind the program's name.
pub fn hidden_mode(mut arguments: impl Iterator<Item = OsString>) -> Option<io::Result<()>> {
    let first = arguments.next()?;
    if first == GUARD {
        // It returns only if it cannot become the other program.
        return Some(Err(become_guarded(arguments)));
    }
    (first == REAPER).then(|| become_reaper(arguments))
}
