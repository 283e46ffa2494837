//! What the stages with containers have in common for a whole run: the engine, the images, and
//! the reaper that clears up if the run is killed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::clearing::clear_dead_runs;
use super::reaper::Reaper;
use super::{Engine, EngineError, Images, Labels};

/// Shared by all scenarios of a run.
#[derive(Clone, Debug)]
pub struct Containers {
    pub(crate) engine: Engine,
    pub(crate) images: Images,
    pub(crate) labels: Labels,
    reaper: Arc<Reaper>,
    /// How many scenarios have been set up.
    count: Arc<AtomicUsize>,
}

impl Containers {
    /// Clears up after dead runs and starts the reaper of this one.
    ///
    /// # Errors
    /// No engine answers, or the reaper cannot be started.
    pub fn prepare(engine: Engine, images: Images) -> Result<Self, EngineError> {
        let labels = Labels::of_this_run().map_err(EngineError::Reaper)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(EngineError::Runtime)?;
        runtime.block_on(clear_dead_runs(&engine, &labels))?;
        let reaper = Reaper::start(&labels.run, engine.address())?;
        Ok(Self {
            engine,
            images,
            labels,
            reaper: Arc::new(reaper),
            count: Arc::default(),
        })
    }

    /// A name for what belongs to one scenario, of which there is no other in the engine. What
    /// has its folder mounted is removed if we are killed.
    pub(crate) fn enter(&self, folder: &Path) -> Result<String, EngineError> {
        self.reaper.watch(folder)?;
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        Ok(format!("harness-{}-{number}", self.labels.run))
    }
}
