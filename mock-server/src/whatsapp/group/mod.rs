//! Groups: who is in them, what they are called, and how clients are told. Who may read which
//! message follows from here; the messages themselves do not come by.

mod book;
mod change;
mod request;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use book::{Asking, GroupBook};
pub(crate) use change::{Change, GroupEvent};
pub(crate) use request::GroupRequest;
pub(crate) use state::Group;
