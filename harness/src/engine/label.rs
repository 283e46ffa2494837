//! The labels by which everything of a run is found again, also when the run is dead.
//!
//! A run is known by its process: by its id and by when it began, on one machine and in one
//! namespace of processes. Nothing else is taken for dead.

use std::collections::HashMap;
use std::path::Path;

use fs_err as fs;

/// The label that holds the run's id.
pub(crate) const RUN: &str = "harness.run";
/// The label of a nanokimi's container that holds its folder: what its agents have mounted.
pub(crate) const FOLDER: &str = "harness.folder";
const OWNER: &str = "harness.owner";
const PLACE: &str = "harness.place";

/// Who runs, and where: what everything of a run is labelled with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Labels {
    pub(crate) run: String,
    /// `<process id>:<when it began, in ticks since boot>`
    owner: String,
    /// `<boot id>:<namespace of processes>`
    place: String,
}

impl Labels {
    /// Ours.
    pub(crate) fn of_this_run() -> std::io::Result<Self> {
        let id = std::process::id();
        let began = began(id).ok_or_else(|| std::io::Error::other("/proc does not know us"))?;
        let place = place()?;
        Ok(Self {
            run: format!("{id}-{began}"),
            owner: format!("{id}:{began}"),
            place,
        })
    }

    pub(crate) fn to_map(&self) -> HashMap<String, String> {
        let labels = [(RUN, &self.run), (OWNER, &self.owner), (PLACE, &self.place)];
        labels
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect()
    }

    /// Whose something with these labels is; `None` if it is no run's.
    pub(crate) fn read(labels: &HashMap<String, String>) -> Option<Self> {
        Some(Self {
            run: labels.get(RUN)?.clone(),
            owner: labels.get(OWNER)?.clone(),
            place: labels.get(PLACE)?.clone(),
        })
    }

    /// Whether its run has certainly ended, as seen from `here`.
    pub(crate) fn is_dead(&self, here: &Self) -> bool {
        if self.place != here.place {
            // Another machine, or a boot before this one: we cannot know.
            return false;
        }
        let Some((id, since)) = self.owner.split_once(':') else {
            return false;
        };
        match id.parse() {
            Ok(id) => began(id).is_none_or(|began| began.to_string() != since),
            Err(_no_number) => false,
        }
    }
}

/// When a process began; `None` if there is none.
fn began(id: u32) -> Option<u64> {
    const START_TIME: usize = 19;
    let stat = match fs::read_to_string(format!("/proc/{id}/stat")) {
        Ok(stat) => stat,
        Err(_gone) => return None,
    };
    // The name may hold spaces and brackets; what follows the last one does not.
    let (_, fields) = stat.rsplit_once(") ")?;
    match fields.split(' ').nth(START_TIME)?.parse() {
        Ok(ticks) => Some(ticks),
        Err(_no_number) => None,
    }
}

fn place() -> std::io::Result<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let namespace = fs::read_link(Path::new("/proc/self/ns/pid"))?;
    Ok(format!("{}:{}", boot.trim(), namespace.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_that_has_certainly_ended_is_dead() {
        let ours = Labels::of_this_run().unwrap();
        assert!(!ours.is_dead(&ours));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let ended = Labels {
            owner: format!("{}:1", child.id()),
            ..ours.clone()
        };
        assert!(ended.is_dead(&ours));
        // Its id is taken by another process, which began at another time: us.
        let reused = Labels {
            owner: format!("{}:1", std::process::id()),
            ..ours.clone()
        };
        assert!(reused.is_dead(&ours));
        let elsewhere = Labels {
            place: "another boot".to_owned(),
            ..ended
        };
        assert!(!elsewhere.is_dead(&ours));
    }

    #[test]
    fn labels_are_read_as_they_were_written() {
        let ours = Labels::of_this_run().unwrap();
        assert_eq!(Labels::read(&ours.to_map()), Some(ours));
        assert_eq!(Labels::read(&HashMap::new()), None);
    }
}
