//! What the engine shows of agents to whoever may ask it: how each is made, and what runs in it.

use std::path::Path;

use bollard::errors::Error;
use bollard::models::ContainerInspectResponse;
use serde_json::{Value, json};

use super::agents::GROUP;
use super::{Engine, EngineError, Found, called};

/// The label in which nanokimi says which installation's agent it is.
const INSTALL: &str = "nanokimi.install";

impl Engine {
    /// The agents of the installation in this folder, in the order of their names:
    /// `[{name, group, state, image, user, env, cmd, mounts, labels, networks, processes,
    /// inspect}]`. A mount is `{from, to, writable}`, a process its command line, and `inspect`
    /// all that the engine says, as text.
    pub(crate) async fn show_agents(&self, root: &Path) -> Result<Value, EngineError> {
        let held = self.holding(root).await?.into_iter();
        let mut agents: Vec<Found> = held.filter(|one| one.label(INSTALL).is_some()).collect();
        agents.sort_by(|one, other| one.name.cmp(&other.name));
        let mut shown = Vec::new();
        for agent in &agents {
            // One that has gone meanwhile is not there.
            shown.extend(self.show(agent).await?);
        }
        Ok(shown.into())
    }

    async fn show(&self, agent: &Found) -> Result<Option<Value>, EngineError> {
        let inspected = self.docker.inspect_container(&agent.id, None).await;
        let Some(inspected) = still_there(inspected).map_err(called("inspect a container"))? else {
            return Ok(None);
        };
        let processes = self.docker.top_processes(&agent.id, None).await;
        let processes = still_there(processes).map_err(called("list processes"))?;
        let lines = processes.and_then(|top| top.processes).unwrap_or_default();
        // The command line is the last column.
        let lines = lines.into_iter().filter_map(|mut columns| columns.pop());
        let lines: Vec<String> = lines.collect();
        Ok(Some(row(agent, &inspected, &lines)))
    }
}

fn row(agent: &Found, inspected: &ContainerInspectResponse, processes: &[String]) -> Value {
    let config = inspected.config.as_ref();
    let state = inspected.state.as_ref().and_then(|state| state.status);
    let networks = inspected.network_settings.as_ref();
    let networks = networks.and_then(|settings| settings.networks.as_ref());
    let networks = networks.into_iter().flat_map(|networks| networks.keys());
    let mounts = inspected.mounts.iter().flatten().map(
        |mount| json!({ "from": mount.source, "to": mount.destination, "writable": mount.rw }),
    );
    json!({
        "name": agent.name,
        "group": agent.label(GROUP),
        "state": state,
        "image": config.and_then(|config| config.image.as_ref()),
        "user": config.and_then(|config| config.user.as_ref()),
        "env": config.and_then(|config| config.env.as_ref()),
        "cmd": config.and_then(|config| config.cmd.as_ref()),
        "mounts": mounts.collect::<Vec<_>>(),
        "labels": config.and_then(|config| config.labels.as_ref()),
        "networks": networks.collect::<Vec<_>>(),
        "processes": processes,
        "inspect": json!(inspected).to_string(),
    })
}

/// `None` of a container that has ended, or is gone.
fn still_there<T>(told: Result<T, Error>) -> Result<Option<T>, Error> {
    match told {
        Ok(told) => Ok(Some(told)),
        Err(Error::DockerResponseServerError {
            status_code: 404 | 409,
            ..
        }) => Ok(None),
        Err(error) => Err(error),
    }
}
