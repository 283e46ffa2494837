//! Tokens of runs: by one, an agent without our disk delivers what it has changed. A token is
//! bound to the group that its run is of, whatever is said along with it, and is good for as long
//! as the run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ids::GroupFolder;

/// Where it lies until it is told to be released.
pub(crate) const STAGED: &str = "data/workspace/staged";

/// What one token may bring before it is told to release it: a key is used once.
const MOST_STAGED: usize = 8;

/// The tokens of all runs that are at work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tickets(Arc<Mutex<BTreeMap<String, Admitted>>>);

#[derive(Debug)]
struct Admitted {
    group: GroupFolder,
    staged: BTreeMap<String, PathBuf>,
}

/// One run's token; dropped, it is worth nothing.
#[derive(Debug)]
pub(crate) struct Ticket {
    token: String,
    tickets: Tickets,
}

/// Why nothing was staged.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotStaged {
    /// The run has ended.
    NoRun,
    /// It has not released what it staged before.
    Full,
}

impl Tickets {
    pub(crate) fn issue(&self, group: &GroupFolder) -> Ticket {
        let bytes: [u8; 24] = rand::random();
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let admitted = Admitted {
            group: group.clone(),
            staged: BTreeMap::new(),
        };
        self.lock().insert(token.clone(), admitted);
        Ticket {
            token,
            tickets: self.clone(),
        }
    }

    /// The group that a token is bound to.
    pub(crate) fn group_of(&self, token: &str) -> Option<GroupFolder> {
        self.lock()
            .get(token)
            .map(|admitted| admitted.group.clone())
    }

    /// Keeps a file until it is told to be released; returns its key.
    pub(crate) fn stage(&self, token: &str, file: PathBuf) -> Result<String, NotStaged> {
        let mut admitted = self.lock();
        let admitted = admitted.get_mut(token).ok_or(NotStaged::NoRun)?;
        if admitted.staged.len() == MOST_STAGED {
            return Err(NotStaged::Full);
        }
        let key = uuid::Uuid::new_v4().simple().to_string();
        admitted.staged.insert(key.clone(), file);
        Ok(key)
    }

    /// The staged file of a key; the key is used up.
    pub(crate) fn unstage(&self, token: &str, key: &str) -> Option<PathBuf> {
        self.lock().get_mut(token)?.staged.remove(key)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Admitted>> {
        // Nothing panics while it holds the tokens, so a poisoned lock still holds whole ones.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    pub(crate) fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let admitted = self.tickets.lock().remove(&self.token);
        for file in admitted
            .into_iter()
            .flat_map(|run| run.staged.into_values())
        {
            if let Err(error) = fs_err::remove_file(file) {
                tracing::warn!(%error, "what a run has staged is still there");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_run_and_its_group() {
        let tickets = Tickets::default();
        let ticket = tickets.issue(&"family".parse().unwrap());
        let token = ticket.token().to_owned();
        assert_eq!(tickets.group_of(&token).unwrap().as_str(), "family");
        assert_eq!(tickets.group_of("other"), None);
        drop(ticket);
        assert_eq!(tickets.group_of(&token), None);
    }

    #[test]
    fn a_key_is_used_once_and_by_its_run_alone() {
        let tickets = Tickets::default();
        let one = tickets.issue(&"family".parse().unwrap());
        let other = tickets.issue(&"work".parse().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("staged");
        fs_err::write(&file, "x").unwrap();
        let key = tickets.stage(one.token(), file.clone()).unwrap();

        assert_eq!(tickets.unstage(other.token(), &key), None);
        assert_eq!(tickets.unstage(one.token(), &key), Some(file.clone()));
        assert_eq!(tickets.unstage(one.token(), &key), None);

        for _ in 0..MOST_STAGED {
            tickets.stage(one.token(), file.clone()).unwrap();
        }
        assert_eq!(tickets.stage(one.token(), file), Err(NotStaged::Full));
    }
}
