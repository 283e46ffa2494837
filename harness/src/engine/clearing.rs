//! Getting rid of all that a run has left in the engine: containers, networks, volumes.
//!
//! Looks again until nothing comes any more: what a dead process had asked for may still be made.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use bollard::query_parameters::{ListNetworksOptions, ListVolumesOptions, RemoveVolumeOptions};
use tokio::time::{Instant, interval};

use super::{Engine, EngineError, Labels, RUN, called, gone, holds};

/// How often is looked, and how many looks must find nothing before it is believed.
const LOOK: Duration = Duration::from_millis(400);
const CALM: usize = 3;
/// A busy engine takes seconds to remove a container.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is to go.
#[derive(Clone, Debug)]
pub(crate) struct Clearing {
    pub(crate) run: String,
    /// Folders whose containers go as well: agents do not carry the label of a run.
    pub(crate) folders: Vec<PathBuf>,
}

impl Clearing {
    /// Removes until nothing is found any more.
    ///
    /// # Errors
    /// Something is still there after a minute.
    pub(crate) async fn until_calm(&self, engine: &Engine) -> Result<(), EngineError> {
        let deadline = Instant::now() + PATIENCE;
        let mut looks = interval(LOOK);
        let mut calm = 0;
        let mut last = Ok(0);
        while calm < CALM {
            looks.tick().await;
            last = self.once(engine).await;
            calm = if matches!(last, Ok(0)) { calm + 1 } else { 0 };
            if Instant::now() >= deadline {
                break;
            }
        }
        match last? {
            0 => Ok(()),
            left => Err(EngineError::Left {
                run: self.run.clone(),
                left: format!("{left} are still found after a minute"),
            }),
        }
    }

    /// Removes what is there now; says how much there was.
    pub(crate) async fn once(&self, engine: &Engine) -> Result<usize, EngineError> {
        let containers = engine.containers().await?;
        let ours = |labels: &HashMap<String, String>| labels.get(RUN) == Some(&self.run);
        let labelled = |labels: &Option<HashMap<String, String>>| labels.as_ref().is_some_and(ours);
        // nanokimi goes first, so that it starts no more agents.
        let (mut doomed, others): (Vec<_>, Vec<_>) = containers
            .iter()
            .partition(|container| labelled(&container.labels));
        let below = |folder: &PathBuf, one| holds(one, folder.as_path());
        doomed.extend(
            others
                .into_iter()
                .filter(|one| self.folders.iter().any(|folder| below(folder, one))),
        );
        let mut found = 0;
        for container in doomed {
            if let Some(id) = &container.id {
                engine.remove(id).await?;
                found += 1;
            }
        }
        found += self.networks(engine).await?;
        found += self.volumes(engine).await?;
        Ok(found)
    }

    fn filter(&self) -> Option<HashMap<String, Vec<String>>> {
        let label = format!("{RUN}={}", self.run);
        Some(HashMap::from([("label".to_owned(), vec![label])]))
    }

    async fn networks(&self, engine: &Engine) -> Result<usize, EngineError> {
        let options = ListNetworksOptions {
            filters: self.filter(),
        };
        let networks = engine.docker.list_networks(Some(options)).await;
        let networks = networks.map_err(called("list its networks"))?;
        let ids: Vec<String> = networks.into_iter().filter_map(|one| one.id).collect();
        for id in &ids {
            let removed = engine.docker.remove_network(id).await;
            gone(removed).map_err(called("remove a network"))?;
        }
        Ok(ids.len())
    }

    async fn volumes(&self, engine: &Engine) -> Result<usize, EngineError> {
        let options = ListVolumesOptions {
            filters: self.filter(),
        };
        let listed = engine.docker.list_volumes(Some(options)).await;
        let listed = listed.map_err(called("list its volumes"))?;
        let volumes = listed.volumes.unwrap_or_default();
        for volume in &volumes {
            let options = RemoveVolumeOptions { force: true };
            let removed = engine.docker.remove_volume(&volume.name, Some(options));
            gone(removed.await).map_err(called("remove a volume"))?;
        }
        Ok(volumes.len())
    }
}

/// Removes what earlier runs have left that are certainly dead, though a reaper of theirs should
/// have done so. Returns their ids.
pub(super) async fn clear_dead_runs(
    engine: &Engine,
    here: &Labels,
) -> Result<Vec<String>, EngineError> {
    let containers = engine.containers().await?;
    let networks = engine.docker.list_networks(None).await;
    let networks = networks.map_err(called("list its networks"))?;
    let labels = containers.into_iter().filter_map(|one| one.labels);
    let labels = labels.chain(networks.into_iter().filter_map(|one| one.labels));
    let mut dead: Vec<String> = labels
        .filter_map(|labels| Labels::read(&labels))
        .filter(|labels| labels.is_dead(here))
        .map(|labels| labels.run)
        .collect();
    dead.sort();
    dead.dedup();
    for run in &dead {
        let clearing = Clearing {
            run: run.clone(),
            folders: Vec::new(),
        };
        clearing.once(engine).await?;
    }
    Ok(dead)
}
