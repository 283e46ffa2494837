//! What every part of a running orchestrator may use: where it lives, its settings, its
//! store, its clock and its record of events. Cheap to clone.

use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::events::EventLog;
use crate::store::Store;

/// The house the parts live in.
#[derive(Clone, Debug)]
pub(crate) struct House {
    /// The root folder; nothing is written outside its `store/`, `data/`, `groups/` and `logs/`.
    pub root: PathBuf,
    pub config: Arc<Config>,
    pub store: Store,
    pub clock: Clock,
    pub events: EventLog,
}
