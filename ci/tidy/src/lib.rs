//! The rules of this repository, as plain functions from what lies here to what breaks them.
//!
//! `tests/repository.rs` holds each rule against the checkout; the tests beside each rule show
//! that it can fail. Nothing here repairs anything.

mod breach;
mod coverage;
mod graph;
mod lean;
mod licence;
mod listing;
mod manifest;
mod policy;
mod readme;
mod repository;
mod scenarios;
mod sources;

pub use breach::Breach;
pub use coverage::coverage;
pub use graph::{Dependency, Graph, GraphError, Package};
pub use lean::{LeanError, lean_build};
pub use listing::{root_listing, scripts_run};
pub use manifest::{argued, lints_inherited, used};
pub use policy::{Policy, PolicyError};
pub use readme::{named_paths, names_packages, short_enough};
pub use repository::{Entry, Repository, TextFile};
pub use scenarios::{exclusions, stories, unique};
pub use sources::{door, length, machine_paths};
