//! Commands of nanokimi: run to their end, or in the background while the story goes on.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use super::process::Process;
use super::{Printed, Stage, StageError};

/// The command that links with WhatsApp.
const PAIRING: &str = "auth";

impl Stage {
    /// The program that a command is run with: first pairing is that of a build of its own.
    pub(super) fn command(&self, args: &[String]) -> &Path {
        let binaries = &self.means.binaries;
        let pairing = binaries.pairing.as_deref();
        let pairing =
            pairing.filter(|_| self.pairs && args.first().is_some_and(|it| it == PAIRING));
        pairing.map_or(&binaries.nanokimi, |pairing| pairing)
    }

    /// Starts a command that is not waited for.
    pub(crate) fn run_in_background(&mut self, args: &[String]) -> Result<(), StageError> {
        self.background = Some(self.spawn(self.command(args), args, None)?);
        Ok(())
    }

    pub(crate) fn has_background(&self) -> bool {
        self.background.is_some()
    }

    /// What the command in the background has come to; `None` if there is none.
    pub(crate) async fn background_ended(
        &mut self,
        stop: bool,
        patience: Duration,
    ) -> Result<Option<Printed>, StageError> {
        let Some(process) = self.background.take() else {
            return Ok(None);
        };
        if stop {
            process.signal(Signal::TERM)?;
        }
        printed(process, patience).await.map(Some)
    }
}

/// What a process has printed by its end; after `patience` it is killed.
pub(super) async fn printed(
    mut process: Process,
    patience: Duration,
) -> Result<Printed, StageError> {
    let ended = process.ended(patience).await?;
    process.kill_group();
    Ok(Printed {
        ended,
        stdout: process.stdout(),
        stderr: process.stderr(),
    })
}
