//! Groups' workspaces outlive the machine: after each run what changed is released to a store,
//! and an empty machine with the same settings brings it back, registers the groups and goes on
//! in the same conversations.
//!
//! A workspace is `groups/<folder>` without its run logs, the agent's home without caches and
//! logins, how the group is registered, and the conversation it is in. Without `workspace_store`
//! none of this runs.

// What it is made of, from the smallest.
mod entry;
mod sums;
mod tree;
mod manifest;
mod index;

// The store.
mod bucket;
mod fetch;
mod manners;
mod opening;

// What is done.
mod merge;
mod moving;
mod desk;
mod release;
mod restore;
mod verify;
mod sweep;
mod lanes;
mod serve;
mod standing;

// Where an agent does not share our disk.
mod tickets;
mod delivery;
#[cfg(test)]
mod tests;

pub(crate) use bucket::Bucket;
pub use bucket::StoreFault;
pub(crate) use delivery::{Delivery, DeliveryFault};
pub use desk::WorkspaceFault;
pub(crate) use desk::{Desk, files_of};
pub(crate) use entry::{EntryPath, Scope};
pub(crate) use index::version_here;
pub(crate) use moving::clear_away;
pub(crate) use opening::{Known, open, take_over};
#[cfg(test)]
use release::Released;
#[cfg(test)]
use restore::Restored;
pub(crate) use serve::{NotReady, Requests, Workspace, serve};
pub(crate) use standing::{Keeping, Standing, trouble};
pub(crate) use sweep::{KEPT, Keep, Swept, sweep};
pub(crate) use tickets::{NotStaged, STAGED, Ticket, Tickets};
pub(crate) use tree::{Found, LeftOut, Limits, Place, size_of};
pub(crate) use verify::{Flaw, verify};
