//! The guards that are alive, and what to do when one of them is killed.
//!
//! A guard ends everything below itself before it goes. One that is killed itself (by its own
//! agent, or for want of memory) cannot; what it leaves becomes our child, and is ended here.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid,
};

use super::guard::{children, ignore_gone};

/// The guards of this process; a handle that is cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guards(Arc<Mutex<BTreeSet<i32>>>);

impl Guards {
    /// Makes us the heir of what guards may leave behind.
    pub(crate) fn new() -> io::Result<Self> {
        set_child_subreaper(Some(getpid()))?;
        Ok(Self::default())
    }

    pub(super) fn started(&self, guard: Pid) {
        self.lock().insert(guard.as_raw_pid());
    }

    /// A guard has ended, and has been waited for.
    pub(super) fn ended(&self, guard: Pid, was_killed: bool) -> io::Result<()> {
        self.lock().remove(&guard.as_raw_pid());
        if was_killed {
            self.end_orphans()?;
        }
        Ok(())
    }

    /// Ends our children that are no guards, until there are none: what a killed one leaves
    /// behind becomes our child.
    fn end_orphans(&self) -> io::Result<()> {
        loop {
            let guards = self.lock().clone();
            let orphans: Vec<Pid> = children()?
                .into_iter()
                .filter(|child| !guards.contains(&child.as_raw_pid()))
                .collect();
            if orphans.is_empty() {
                return Ok(());
            }
            for orphan in orphans {
                ignore_gone(kill_process(orphan, Signal::KILL))?;
                match waitpid(Some(orphan), WaitOptions::empty()) {
                    Ok(_) | Err(rustix::io::Errno::CHILD) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        // A set of numbers is whole, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
