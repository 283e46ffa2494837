//! The machines of a scenario: nanokimi is on one at a time, and may be moved to another.
//!
//! A machine is a root folder; what surrounds it (the mocks, the operator's home) stays.

use std::path::{Path, PathBuf};

use super::folder::ZONE;
use super::{Stage, StageError};
use crate::scenario::Scenario;

impl Stage {
    /// Has nanokimi, which must not run, be started on this machine from now on.
    pub(crate) fn move_to(&mut self, machine: &str, scenario: &Scenario) -> Result<(), StageError> {
        self.free_store();
        let is_fresh = self.folder.move_to(machine)?;
        if is_fresh {
            let url = self.mock.url();
            self.folder.furnish(scenario, &self.settings, url)?;
        }
        if scenario.needs_an_ordinary_user() {
            self.folder.give_away()?;
        }
        Ok(())
    }

    /// Has nanokimi, which must not run, live in this time zone from now on.
    pub(crate) fn set_zone(&mut self, zone: &str) -> Result<(), StageError> {
        self.settings.insert(ZONE.to_owned(), zone.into());
        self.folder.configure(&self.settings)
    }

    /// The root folder of each machine there was, the first one's first.
    pub(crate) fn roots(&self) -> &[PathBuf] {
        self.folder.roots()
    }

    /// How the path of every machine's root begins.
    pub(crate) fn first_root(&self) -> &Path {
        &self.folder.roots()[0]
    }
}
