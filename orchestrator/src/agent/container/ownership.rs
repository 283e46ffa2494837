//! Who an agent in a container is, and how the folders that it writes to become its own.

use std::io;

use rustix::process::{getegid, geteuid};

use super::boxes::Facts;
use crate::agent::home::Home;
use crate::safe_dir::{Owner, SafeDir};

/// The user `node` of the image.
const NODE: u32 = 1000;

/// The user of an agent, as the container knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::agent) struct User {
    uid: u32,
    gid: u32,
    /// The folders must be given to it, since they are somebody else's.
    is_given: bool,
}

impl User {
    /// Root's agents are not root. Everybody else's are who they are themselves: they could not
    /// read each other's files otherwise. A rootless engine calls whoever runs it root.
    pub(super) fn of(facts: Facts, (uid, gid): (u32, u32)) -> Self {
        let (uid, gid, is_given) = match (facts.is_rootless, uid) {
            (true, _) => (0, 0, false),
            (false, 0) => (NODE, NODE, true),
            (false, _) => (uid, gid, false),
        };
        Self { uid, gid, is_given }
    }

    /// Whose the agent's folders are, where they are not ours.
    pub(in crate::agent) fn owner(self) -> Option<Owner> {
        self.is_given.then_some(Owner {
            uid: self.uid,
            gid: self.gid,
        })
    }

    /// As the engine takes it.
    pub(super) fn in_words(self) -> String {
        format!("{}:{}", self.uid, self.gid)
    }
}

/// Chooses the agent's user, and gives it what it is to write to, and its credential to read.
/// No agent of the group may be alive: it could exchange things under us.
pub(in crate::agent) async fn hand_over(facts: Facts, home: &Home) -> io::Result<User> {
    let user = User::of(facts, (geteuid().as_raw(), getegid().as_raw()));
    let Some(owner) = user.owner() else {
        return Ok(user);
    };
    let folders = home.given();
    // A group's folder may hold a hundred thousand files.
    let given = tokio::task::spawn_blocking(move || {
        folders
            .iter()
            .try_for_each(|folder| SafeDir::open(folder)?.give_to(owner))
    });
    match given.await {
        Ok(Ok(())) => Ok(user),
        Ok(Err(error)) => Err(io::Error::new(
            error.kind(),
            format!("the agent's folders cannot be given to its user {NODE}: {error}"),
        )),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(is_rootless: bool, host: u32, expected: &str, is_given: bool) {
        let facts = Facts {
            nano_cpus: 1,
            is_rootless,
            remaps_users: false,
        };
        let user = User::of(facts, (host, host));
        assert_eq!(
            (user.in_words().as_str(), user.is_given),
            (expected, is_given)
        );
    }

    #[test]
    fn an_agent_is_never_root_of_the_machine() {
        check(false, 0, "1000:1000", true);
        check(false, 1001, "1001:1001", false);
        check(true, 1001, "0:0", false);
        check(true, 0, "0:0", false);
    }
}
