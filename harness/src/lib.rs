//! Plays scenarios against a running orchestrator and says what went wrong.
//!
//! The harness knows the orchestrator only from outside: it starts the binary, speaks to it
//! over the wires that a user or a service would use, and reads the
//! [`mock_server::Journal`]. The modules stand in the order in which a scenario meets them.

mod catalogue;
mod scenario;

mod engine;
mod failure;
mod hidden;
mod judge;
mod outcome;
mod play;
mod stage;

mod fixture;
mod record;
mod report;

mod chain;
mod lenient;

pub use catalogue::{Listed, refused_in, scenarios_in};
pub use chain::chain;
pub use engine::{Containers, Engine, EngineError, Images, ImagesError};
pub use failure::Failure;
pub use fixture::{FixtureError, Manifest, make_paired, manifest_of, paired_manifest};
pub use hidden::hidden_mode;
pub use outcome::{Keep, Outcome, Performance, Verdict};
pub use play::Snapshots;
pub use report::told;
pub use scenario::{Form, Scenario, ScenarioError, UnknownForm, load, parse, schema};
pub use stage::{Binaries, BinariesError, Ground, Leak, Means, PairedError, end, left_over};
