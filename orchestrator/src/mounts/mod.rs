//! Folders and files of this machine that a group's agents see besides their own: what somebody
//! asked for, and what the operator's list allows.
//!
//! What is asked for is kept in the store. It is judged anew before each agent, for list and disk
//! may have changed meanwhile, and what is refused is told and left out. The list lies outside our
//! root, where no agent can write, and so does the way to it. What lies below something that is allowed is not looked over.

mod allowlist;
mod asked;
mod granted;
mod judge;
#[cfg(test)]
mod tests;
mod way;

pub(crate) use allowlist::Ground;
#[cfg(test)]
pub(crate) use allowlist::read as read_allowlist;
pub(crate) use asked::{AskedMount, GroupMount, MountName};
pub(crate) use granted::Granted;
#[cfg(test)]
pub(crate) use granted::grant;
pub(crate) use judge::Judge;

/// Where agents in containers see them, each below its name.
pub(crate) const EXTRA_DIR: &str = "/workspace/extra";
