//! Getting rid of all that a run has left in the engine: containers, networks, volumes.
//!
//! Looks again until nothing comes any more: what a dead process had asked for may still be made.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use bollard::query_parameters::{ListNetworksOptions, ListVolumesOptions, RemoveVolumeOptions};
use tokio::time::{Instant, interval};

use super::{Engine, EngineError, FOLDER, Labels, RUN, called, gone, holds};

/// How often is looked, and how many looks must find nothing before it is believed of a run that
/// has only just been killed.
const LOOK: Duration = Duration::from_millis(400);
pub(super) const CALM: usize = 3;
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
    /// Removes until nothing is found any more, by as many looks in a row.
    ///
    /// # Errors
    /// Something is still there after a minute.
    pub(crate) async fn until_calm(
        &self,
        engine: &Engine,
        looks_in_a_row: usize,
    ) -> Result<(), EngineError> {
        let deadline = Instant::now() + PATIENCE;
        let mut looks = interval(LOOK);
        let mut calm = 0;
        let mut last = Ok(0);
        while calm < looks_in_a_row {
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
    let mut dead: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for labels in labels {
        if let Some(theirs) = Labels::read(&labels)
            && theirs.is_dead(here)
        {
            let folders = dead.entry(theirs.run).or_default();
            folders.extend(labels.get(FOLDER).map(PathBuf::from));
        }
    }
    let runs = dead.keys().cloned().collect();
    for (run, folders) in dead {
        let clearing = Clearing { run, folders };
        // Its own reaper may be at it, and have taken a container that is still on a network.
        clearing.until_calm(engine, 1).await?;
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{UnixListener, UnixStream};

    use super::*;

    /// What a staged engine has: names by kind, and how often it still refuses to remove each.
    #[derive(Clone, Default)]
    struct Staged(Arc<Mutex<Vec<(serde_json::Value, usize)>>>);

    impl Staged {
        fn answer(&self, line: &str) -> (u16, String) {
            let mut things = self.0.lock().unwrap();
            let of_kind = |kind: &str| {
                let all = things.iter().map(|(thing, _)| thing);
                let found: Vec<_> = all.filter(|thing| thing["kind"] == kind).collect();
                json!(found).to_string()
            };
            if line.starts_with("GET /containers/") {
                return (200, of_kind("container"));
            }
            if line.starts_with("GET /networks") {
                return (200, of_kind("network"));
            }
            if line.starts_with("GET /volumes") {
                return (200, json!({ "Volumes": [], "Warnings": [] }).to_string());
            }
            let is_it = |thing: &serde_json::Value| {
                let id = thing["Id"].as_str().unwrap();
                line.contains(&format!("/{id} ")) || line.contains(&format!("/{id}?"))
            };
            match things.iter().position(|(thing, _)| is_it(thing)) {
                Some(place) if things[place].1 > 0 => {
                    things[place].1 -= 1;
                    (
                        403,
                        json!({ "message": "has active endpoints" }).to_string(),
                    )
                }
                Some(place) => {
                    things.remove(place);
                    (204, String::new())
                }
                None => (200, "OK".to_owned()),
            }
        }

        async fn serve(&self, mut caller: UnixStream) {
            let mut head = vec![0; 4096];
            let length = caller.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let (status, body) = self.answer(head.lines().next().unwrap_or_default());
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n");
            let rest = format!("Connection: close\r\nContent-Length: {length}\r\n\r\n{body}");
            caller.write_all((head + &rest).as_bytes()).await.unwrap();
        }

        /// Clears up after dead runs on this engine; what is there afterwards.
        async fn cleared(&self, here: &Labels) -> Vec<String> {
            let folder = tempfile::tempdir().unwrap();
            let socket = folder.path().join("engine.sock");
            let listener = UnixListener::bind(&socket).unwrap();
            let serving = async {
                loop {
                    let (caller, _) = listener.accept().await.unwrap();
                    self.serve(caller).await;
                }
            };
            let clearing = async {
                let address = format!("unix://{}", socket.display());
                let engine = Engine::answering(Some(&address)).await.unwrap();
                clear_dead_runs(&engine, here).await.unwrap();
            };
            tokio::select! {
                () = clearing => {}
                () = serving => unreachable!(),
            }
            let left = self.0.lock().unwrap();
            let ids = left.iter().map(|(thing, _)| thing["Id"].as_str().unwrap());
            ids.map(ToOwned::to_owned).collect()
        }
    }

    /// The labels of a run that has ended, and our own.
    fn labels() -> (HashMap<String, String>, Labels) {
        let here = Labels::of_this_run().unwrap();
        let mut dead = here.to_map();
        // We began at another time.
        let owner = format!("{}:1", std::process::id());
        dead.insert("harness.owner".to_owned(), owner);
        dead.insert(RUN.to_owned(), "dead".to_owned());
        (dead, here)
    }

    /// Time passes as soon as nothing else happens.
    #[tokio::test(start_paused = true)]
    async fn a_network_that_somebody_is_leaving_is_waited_for() {
        let (dead, here) = labels();
        let network = json!({ "kind": "network", "Id": "n", "Name": "n", "Labels": dead });
        let staged = Staged(Arc::new(Mutex::new(vec![(network, 2)])));
        assert!(staged.cleared(&here).await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn agents_of_a_dead_run_are_known_by_its_folder() {
        let (mut dead, here) = labels();
        dead.insert(FOLDER.to_owned(), "/played/1".to_owned());
        let agent = |id: &str, source: &str| {
            let mounts = json!([{ "Source": source }]);
            json!({ "kind": "container", "Id": id, "Mounts": mounts })
        };
        let nanokimi = json!({ "kind": "container", "Id": "nanokimi", "Labels": dead });
        let things = [
            nanokimi,
            agent("its-agent", "/played/1/root/groups/ada"),
            agent("another", "/played/12/root/groups/ada"),
        ];
        let things = things.into_iter().map(|thing| (thing, 0)).collect();
        let staged = Staged(Arc::new(Mutex::new(things)));
        assert_eq!(staged.cleared(&here).await, ["another"]);
    }
}
