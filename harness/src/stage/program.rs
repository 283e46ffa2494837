//! A program under test as it runs, whatever form the stage has.
//!
//! One interface to both: a process of ours, or a container. Judges nothing.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use super::compound::{self, Boxed};
use super::process::{Ended, Process, Surroundings};
use super::{Stage, StageError};

/// Which build of nanokimi.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Nanokimi,
    /// The one that takes the mock for WhatsApp when it is linked.
    Pairing,
}

/// What is to be started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order<'a> {
    pub(super) which: Which,
    /// Without `--root`.
    pub(super) args: &'a [String],
    /// Where it says that it is ready.
    pub(super) notify: Option<&'a Path>,
}

/// A program that was started.
#[derive(Debug)]
pub(crate) enum Program {
    Process(Box<Process>),
    Boxed(Box<Boxed>),
}

impl Program {
    pub(super) async fn signal(&self, signal: Signal) -> Result<(), StageError> {
        match self {
            Self::Process(process) => process.signal(signal),
            Self::Boxed(boxed) => boxed.signal(signal).await,
        }
    }

    /// Waits for the end, and for the last words. `None` after `patience`. Cancel-safe.
    pub(super) async fn ended(&mut self, patience: Duration) -> Result<Option<Ended>, StageError> {
        match self {
            Self::Process(process) => process.ended(patience).await,
            Self::Boxed(boxed) => boxed.ended(patience).await,
        }
    }

    /// Ends whatever is left of it, and of what it started.
    pub(super) async fn kill(&mut self) -> Result<(), StageError> {
        match self {
            Self::Process(process) => {
                process.kill_group();
                Ok(())
            }
            Self::Boxed(boxed) => boxed.remove().await,
        }
    }

    /// Done with it, whether it has ended or not. What it has started is left alone.
    pub(super) async fn put_away(&mut self) -> Result<(), StageError> {
        match self {
            // Our child goes with its owner.
            Self::Process(_process) => Ok(()),
            Self::Boxed(boxed) => boxed.remove().await,
        }
    }

    /// Where we reach what listens on this address of its own.
    pub(super) async fn reached_at(&self, own: SocketAddr) -> Result<SocketAddr, StageError> {
        match self {
            Self::Process(_process) => Ok(own),
            Self::Boxed(boxed) => boxed.reached_at(own).await,
        }
    }

    pub(super) fn stdout(&self) -> String {
        match self {
            Self::Process(process) => process.stdout(),
            Self::Boxed(boxed) => boxed.stdout(),
        }
    }

    pub(super) fn stderr(&self) -> String {
        match self {
            Self::Process(process) => process.stderr(),
            Self::Boxed(boxed) => boxed.stderr(),
        }
    }

    /// Returns when there is more on its stderr since the last call. Cancel-safe.
    pub(super) async fn says_more(&self) {
        match self {
            Self::Process(process) => process.says_more().await,
            Self::Boxed(boxed) => boxed.says_more().await,
        }
    }

    /// Its container, if it is in one.
    pub(super) fn container(&self) -> Option<&str> {
        match self {
            Self::Process(_process) => None,
            Self::Boxed(boxed) => Some(boxed.id()),
        }
    }
}

impl Stage {
    /// Starts a program of ours on the root folder.
    pub(super) async fn spawn(&self, order: Order<'_>) -> Result<Program, StageError> {
        let mut args = order.args.to_vec();
        args.extend(["--root".to_owned(), self.root().display().to_string()]);
        let mut environment = vec![("HOME", self.folder.home().display().to_string())];
        if let Some(socket) = order.notify {
            environment.push(("NOTIFY_SOCKET", socket.display().to_string()));
        }
        if let Some(compound) = &self.compound {
            let running = self.running.as_ref();
            let surroundings = compound::Surroundings {
                folder: self.folder.above(),
                root: self.root(),
                environment,
                beside: running.and_then(|running| running.program.container()),
            };
            let boxed = compound.start(order, args, surroundings).await?;
            return Ok(Program::Boxed(Box::new(boxed)));
        }
        let handed_on = self.means.environment.iter();
        environment.extend(handed_on.map(|(name, value)| (name.as_str(), value.clone())));
        let binaries = &self.means.binaries;
        let program = match order.which {
            Which::Pairing => binaries.pairing.as_deref(),
            Which::Nanokimi => None,
        };
        let surroundings = Surroundings {
            folder: self.root(),
            environment,
        };
        let program = program.map_or(binaries.nanokimi.as_path(), |program| program);
        let process = Process::start(program, &args, surroundings)?;
        Ok(Program::Process(Box::new(process)))
    }
}
