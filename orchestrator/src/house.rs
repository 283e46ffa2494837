//! What every part of a running orchestrator may use: where it lives, its settings, its
//! store, its clock, its record of events, and the way to the groups' workspaces. Cheap to clone.

use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::events::EventLog;
use crate::store::Store;
use crate::workspace::{Tickets, Workspace};

/// The house the parts live in.
#[derive(Clone, Debug)]
pub(crate) struct House {
    /// The root folder; nothing is written outside its `store/`, `data/`, `groups/` and `logs/`.
    pub root: PathBuf,
    pub config: Arc<Config>,
    pub store: Store,
    pub clock: Clock,
    pub events: EventLog,
    pub workspace: Workspace,
    pub tickets: Tickets,
}

#[cfg(test)]
impl House {
    /// A house for tests, in an empty folder, at nine o'clock on a clock that stands still.
    pub(crate) fn staged(root: &std::path::Path, settings: &str) -> Self {
        for folder in ["store", "data/ipc", "groups"] {
            fs_err::create_dir_all(root.join(folder)).unwrap();
        }
        let host = "agent_runtime = \"host\"\nagent_runner = \"/bin/true\"\n";
        fs_err::write(root.join("nanokimi.toml"), format!("{host}{settings}")).unwrap();
        let clock = Clock::test("2026-01-05T09:00:00Z".parse().unwrap());
        Self {
            root: root.to_owned(),
            config: Arc::new(Config::load(root, &[].into()).unwrap()),
            store: Store::open(root).unwrap(),
            events: EventLog::new(clock.clone()),
            workspace: Workspace::default(),
            tickets: Tickets::default(),
            clock,
        }
    }

    /// What has been told so far, as `event: data`, without the instant.
    pub(crate) async fn told(&self) -> Vec<String> {
        let mut reader = self.events.read_after(0);
        let mut told = Vec::new();
        for _ in 0..self.events.newest() {
            let event = reader.next().await.unwrap();
            let data = serde_json::to_string(&event.event).unwrap();
            told.push(format!("{}: {data}", event.event.name()));
        }
        told
    }
}
