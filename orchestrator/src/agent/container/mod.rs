//! The container runtime: an agent in a box of its own, spoken to over the engine's API.
//!
//! What the box looks like is decided in `plan`; how the engine is spoken to in `engine`; what
//! is left over is removed by `keeper`.

mod boxes;
mod engine;
mod install;
mod keeper;
mod masks;
mod ownership;
mod plan;
mod reach;
mod status;
mod survey;

use std::time::Duration;

use bollard::container::LogOutput;
use fs_err::File;
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::door::Door;
use super::run_log::RunLog;
use super::running::{Ended, Started, TO_END};
use super::streams::{drain, feed};
use crate::clock::Busy;
use crate::mounts::Granted;

pub(crate) use boxes::Boxes;
pub use boxes::BoxesError;
pub(super) use boxes::Facts;
use engine::End;
pub use engine::{EngineError, PULL};
pub(crate) use keeper::serve;
pub(super) use masks::in_root as masks_in;
pub(super) use ownership::hand_over;
pub(super) use plan::{Plan, Surroundings, new_name};
pub(crate) use status::EngineStatus;
pub(crate) use survey::{ImageSource, Survey};

/// How much of a stream is on its way at a time.
const ON_ITS_WAY: usize = 64 * 1024;

/// A container with an agent.
#[derive(Debug)]
pub(super) struct Container {
    boxes: Boxes,
    name: String,
    /// The setting that a want of memory goes back to.
    memory: i64,
    /// Held as long as this agent may be alive: its group has no other, whatever its runtime.
    _alone: File,
    door: Option<Door>,
}

impl Container {
    /// What removing a container takes at most, where the machine is not overwhelmed.
    pub(super) const TO_REMOVE: Duration = Duration::from_secs(3);

    /// Starts an agent in a container of its own; if that fails nothing is left of it.
    pub(super) async fn start(
        boxes: &Boxes,
        (alone, door, extra): (File, Door, Vec<Granted>),
        plan: Plan,
        input: Vec<u8>,
        log: &RunLog,
    ) -> Result<(Self, Started), EngineError> {
        let limits = plan.body.host_config.as_ref();
        let mut container = Self {
            boxes: boxes.clone(),
            name: plan.name,
            memory: limits.and_then(|limits| limits.memory).unwrap_or(0),
            _alone: alone,
            door: Some(door),
        };
        boxes.own(&container.name);
        let engine = boxes.engine();
        let created = async {
            boxes.tell(engine.create(&container.name, plan.body).await?);
            // Before it starts, so that nothing it says is lost.
            let attached = engine.attach(&container.name).await?;
            engine.start(&container.name).await?;
            // The engine was told paths, and somebody may have put something else there.
            match extra.iter().find(|given| !given.is_still_there()) {
                Some(given) => Err(EngineError::Exchanged(given.path.clone())),
                None => Ok(attached),
            }
        };
        let attached = match created.await {
            Ok(attached) => attached,
            Err(error) => {
                container.remains().remove().await;
                return Err(error);
            }
        };
        let (stdout, to_stdout) = tokio::io::duplex(ON_ITS_WAY);
        let (stderr, to_stderr) = tokio::io::duplex(ON_ITS_WAY);
        let mut tasks = JoinSet::new();
        tasks.spawn(feed(attached.input, input));
        tasks.spawn(split(attached.output, to_stdout, to_stderr));
        tasks.spawn(drain(stderr, log.clone()));
        let stdout = Box::new(stdout);
        Ok((container, Started { stdout, tasks }))
    }

    /// Waits for the end, or brings it about, and has the container removed.
    pub(super) async fn end(
        &mut self,
        at_once: bool,
        log: &RunLog,
        busy: Busy,
    ) -> Result<Ended, EngineError> {
        let ended = self.wait_or_stop(at_once, log).await;
        let remains = self.remains();
        match &ended {
            // Nothing in it is alive, so the group need not wait until it is gone.
            Ok(_) => self.boxes.remove_meanwhile(async move {
                remains.remove().await;
                drop(busy);
            }),
            Err(_) => remains.remove().await,
        }
        ended
    }

    async fn wait_or_stop(&self, at_once: bool, log: &RunLog) -> Result<Ended, EngineError> {
        let engine = self.boxes.engine();
        let waited = async {
            if at_once {
                return None;
            }
            match timeout(TO_END, engine.wait(&self.name)).await {
                Ok(waited) => Some(waited),
                Err(_elapsed) => None,
            }
        };
        match waited.await {
            Some(waited) => waited?,
            None => self.stop(log).await?,
        }
        let end = engine.end_of(&self.name).await?;
        Ok(Ended {
            is_success: end.code == 0,
            status: if end.out_of_memory {
                format!("exit status: {}, out of memory", end.code)
            } else {
                format!("exit status: {}", end.code)
            },
            fault: self.fault(end),
        })
    }

    async fn stop(&self, log: &RunLog) -> Result<(), EngineError> {
        let engine = self.boxes.engine();
        match engine.stop(&self.name, TO_END).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let error = crate::chain(&error);
                log.line(&format!("the container cannot be told to stop: {error}"));
                engine.kill(&self.name).await
            }
        }
    }

    fn fault(&self, end: End) -> String {
        let End {
            code,
            out_of_memory,
        } = end;
        match code {
            _ if out_of_memory => {
                let memory = self.memory >> 20;
                format!("the agent was out of memory: agent_memory is {memory} MiB")
            }
            129..=192 => {
                let signal = code - 128;
                format!("the agent's container was ended by signal {signal}, and not by nanokimi")
            }
            code => format!("the agent exited with code {code}"),
        }
    }

    fn remains(&mut self) -> Remains {
        Remains {
            boxes: self.boxes.clone(),
            name: self.name.clone(),
            door: self.door.take(),
        }
    }
}

/// What an agent leaves behind outside its folders.
struct Remains {
    boxes: Boxes,
    name: String,
    door: Option<Door>,
}

impl Remains {
    /// Removes the container and sees it gone. What cannot be removed now is left to the keeper.
    async fn remove(self) {
        let removed = self.boxes.remove(&self.name).await;
        self.boxes.disown(&self.name);
        if let Err(error) = removed {
            let error = crate::chain(&error);
            tracing::warn!(container = %self.name, error, "the agent's container cannot be removed now; trying again");
            self.boxes.look_now();
        }
        // By this it ends even if the engine does not end it.
        if let Some(door) = self.door {
            door.end().await;
        }
    }
}

/// Takes what comes over the one connection apart. A reader that does not want any more does
/// not keep the other from what is its own.
async fn split(
    mut output: impl Stream<Item = Result<LogOutput, bollard::errors::Error>> + Unpin,
    mut stdout: DuplexStream,
    mut stderr: DuplexStream,
) -> String {
    while let Some(chunk) = output.next().await {
        let written = match chunk {
            Ok(LogOutput::StdErr { message }) => stderr.write_all(&message).await,
            Ok(
                LogOutput::StdOut { message }
                | LogOutput::Console { message }
                | LogOutput::StdIn { message },
            ) => stdout.write_all(&message).await,
            Err(error) => {
                tracing::debug!(%error, "the stream of an agent's container broke off");
                break;
            }
        };
        if let Err(error) = written {
            tracing::debug!(%error, "nobody reads an agent any more");
        }
    }
    String::new()
}
