//! The bond to the process that started us: no agent survives its orchestrator.
//!
//! It covers this process only; what tools start is on a leash of its own (`tools::leash`).

use rustix::process::getppid;

/// The parent died while we were starting, so nobody waits for this turn.
#[derive(Debug, thiserror::Error)]
pub enum ParentGone {
    #[error("the process that started this agent is gone")]
    Gone,
    #[error("cannot ask the kernel to end this agent with its parent")]
    NotBound(#[source] rustix::io::Errno),
}

/// Asks the kernel to kill us when our parent dies, and checks that it still lives.
///
/// The kernel watches the parent's *thread* that started us: a parent that spawns from a
/// short-lived thread would kill its own agent.
pub fn die_with_parent() -> Result<(), ParentGone> {
    let parent = getppid();
    bind_to_parent().map_err(ParentGone::NotBound)?;
    // A parent that died before the request took effect sends no signal any more.
    if getppid() == parent {
        Ok(())
    } else {
        Err(ParentGone::Gone)
    }
}

#[cfg(target_os = "linux")]
fn bind_to_parent() -> rustix::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
}

#[cfg(not(target_os = "linux"))]
fn bind_to_parent() -> rustix::io::Result<()> {
    Ok(())
}
