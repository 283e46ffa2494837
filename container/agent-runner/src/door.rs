//! The way out of a box without a network, as far as it lies in the box.
//!
//! Where `NANOKIMI_DOOR` names a socket, we listen for each host of `NANOKIMI_DOOR_HOSTS` and
//! bring every connection to that socket; see `agent_protocol::door`. A thread of its own does
//! so, since the engine may be another program, and since the turn may be waiting for its input.
//!
//! It holds the lifeline too: an orchestrator that is gone, even by `kill -9`, takes us with it.
//! It decides nothing about who may be reached.

mod carry;
mod lifeline;

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use agent_protocol::AgentErrorKind;
use agent_protocol::door::{DOOR, DOOR_HOSTS, DoorHost, InvalidDoorHost};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::events::note;
use crate::failure::Failure;
use crate::settings::{Environment, SettingsError};
use lifeline::NoLifeline;

/// No way out, so no turn.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DoorProblem {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("`{DOOR_HOSTS}`")]
    Hosts(#[from] InvalidDoorHost),
    #[error("cannot listen for {host} at {}:{}", host.address, host.target.port())]
    Listen {
        host: DoorHost,
        #[source]
        source: io::Error,
    },
    #[error("the door `{}` does not answer; is its folder mounted, and its orchestrator alive?", door.display())]
    NoLifeline {
        door: PathBuf,
        #[source]
        source: NoLifeline,
    },
    #[error("what stands at the door cannot be started")]
    Start(#[source] io::Error),
}

impl From<DoorProblem> for Failure {
    fn from(problem: DoorProblem) -> Self {
        match problem {
            DoorProblem::Settings(_) | DoorProblem::Hosts(_) => {
                Self::lasting(AgentErrorKind::Config, &problem)
            }
            DoorProblem::Listen { .. } | DoorProblem::NoLifeline { .. } | DoorProblem::Start(_) => {
                Self::passing(AgentErrorKind::Io, &problem)
            }
        }
    }
}

/// Opens the way out, if there is a door: when this returns, every host can be connected to.
pub(crate) fn stand_at_door(environment: &Environment) -> Result<(), DoorProblem> {
    let Some(door) = environment.text(DOOR)? else {
        return Ok(());
    };
    let door = PathBuf::from(door);
    let hosts = hosts(environment)?;
    let lifeline = lifeline::take(&door).map_err(|source| DoorProblem::NoLifeline {
        door: door.clone(),
        source,
    })?;
    let listeners = hosts.into_iter().map(listen).collect::<Result<_, _>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(DoorProblem::Start)?;
    // Not joined: it stands there until this process ends.
    let _thread = std::thread::Builder::new()
        .name("door".to_owned())
        .spawn(move || serve(&runtime, door, listeners, lifeline))
        .map_err(DoorProblem::Start)?;
    Ok(())
}

fn hosts(environment: &Environment) -> Result<Vec<DoorHost>, DoorProblem> {
    let list = environment.text(DOOR_HOSTS)?.unwrap_or("");
    let hosts = list.split(',').filter(|host| !host.is_empty());
    Ok(hosts.map(str::parse).collect::<Result<_, _>>()?)
}

fn listen(host: DoorHost) -> Result<(DoorHost, TcpListener), DoorProblem> {
    let bound = TcpListener::bind((host.address, host.target.port()));
    let ready = bound.and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    match ready {
        Ok(listener) => Ok((host, listener)),
        Err(source) => Err(DoorProblem::Listen { host, source }),
    }
}

fn serve(
    runtime: &Runtime,
    door: PathBuf,
    listeners: Vec<(DoorHost, TcpListener)>,
    lifeline: UnixStream,
) {
    let door = Arc::from(door);
    runtime.block_on(async {
        let mut standing = JoinSet::new();
        for (host, listener) in listeners {
            standing.spawn(carry::carry_all(host.target, listener, Arc::clone(&door)));
        }
        let gone = lifeline::until_it_ends(lifeline).await;
        note(&format!(
            "the orchestrator is gone{gone}; so this turn ends here"
        ));
    });
    end_with_everything();
}

/// What tools have started is on leashes, which we let go of by ending; in a box, everything
/// ends with its first process.
#[expect(
    clippy::exit,
    reason = "the turn's own thread may be waiting for what never comes"
)]
fn end_with_everything() -> ! {
    std::process::exit(1)
}
