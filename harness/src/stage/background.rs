//! Commands of nanokimi: run to their end, or in the background while the story goes on.

use std::time::Duration;

use rustix::process::Signal;

use super::program::{Order, Program, Which};
use super::{Printed, Stage, StageError};

/// The command that links with WhatsApp.
const PAIRING: &str = "auth";

impl Stage {
    /// The order for a command: first pairing is that of a build of its own.
    fn command<'a>(&self, args: &'a [String]) -> Order<'a> {
        let pairs = self.pairs && args.first().is_some_and(|it| it == PAIRING);
        Order {
            which: if pairs {
                Which::Pairing
            } else {
                Which::Nanokimi
            },
            args,
            notify: None,
        }
    }

    /// Runs a command of nanokimi on the same root folder.
    pub(crate) async fn run(
        &self,
        args: &[String],
        patience: Duration,
    ) -> Result<Printed, StageError> {
        let program = self.spawn(self.command(args)).await?;
        printed(program, patience).await
    }

    /// Starts a command that is not waited for.
    pub(crate) async fn run_in_background(&mut self, args: &[String]) -> Result<(), StageError> {
        self.background = Some(self.spawn(self.command(args)).await?);
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
        let Some(program) = self.background.take() else {
            return Ok(None);
        };
        if stop {
            program.signal(Signal::TERM).await?;
        }
        printed(program, patience).await.map(Some)
    }
}

/// What a program has printed by its end; after `patience` it is killed.
async fn printed(mut program: Program, patience: Duration) -> Result<Printed, StageError> {
    let ended = program.ended(patience).await?;
    program.kill().await?;
    Ok(Printed {
        ended,
        stdout: program.stdout(),
        stderr: program.stderr(),
    })
}
