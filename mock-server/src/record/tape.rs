//! The files of a recording. One task owns them and writes after each exchange.
//!
//! A script is replaced as a whole, so that a reader finds the one before or the one after,
//! also if the recorder is killed between.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::llm::Dialect;
use crate::record::answer::{Answer, response};
use crate::record::exchange::{Exchange, Kind};
use crate::record::forward::Take;
use crate::record::recording::{Recording, UnwritableTurn};
use crate::record::secrets::Secrets;
use crate::record::unfit::Unfit;

/// An exchange that was passed on and is not in the recording.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{request} is not recorded: {why}")]
pub struct Refused {
    /// E.g. `POST /v1/chat/completions`.
    pub request: String,
    pub why: Unfit,
}

/// What became of a recording.
#[derive(Debug, Default)]
pub struct Recorded {
    /// How many turns the script has.
    pub turns: usize,
    /// What is not in it.
    pub refused: Vec<Refused>,
}

/// The recording could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TapeError {
    #[error("{}: there is a file already; remove it, or choose another name", .0.display())]
    Exists(PathBuf),
    #[error("the recording cannot be written")]
    Io(#[from] io::Error),
    #[error("the recording cannot be written: {0}")]
    Unwritable(String),
}

impl From<UnwritableTurn> for TapeError {
    fn from(turn: UnwritableTurn) -> Self {
        Self::Unwritable(crate::text::chain(&turn))
    }
}

/// Where to write, and what.
#[derive(Debug)]
pub(crate) struct Tape {
    pub(crate) script: PathBuf,
    /// Says where the recording comes from.
    pub(crate) title: String,
    pub(crate) with_pace: bool,
    pub(crate) exchanges: Option<PathBuf>,
    pub(crate) recording: Recording,
    pub(crate) recorded: Recorded,
    /// Those of all exchanges so far.
    pub(crate) secrets: Secrets,
}

impl Tape {
    /// Neither file may be there: what is in it may have been edited since.
    pub(crate) fn check(&self) -> Result<(), TapeError> {
        let mut files = [Some(&self.script), self.exchanges.as_ref()].into_iter();
        let there = files.find_map(|file| file.filter(|file| file.exists()));
        there.map_or(Ok(()), |file| Err(TapeError::Exists(file.clone())))
    }

    /// Writes until nobody records any more.
    pub(crate) fn run(
        mut self,
        mut takes: mpsc::Receiver<Take>,
        tell: impl Fn(&Refused),
    ) -> Result<Recorded, TapeError> {
        while let Some(take) = takes.blocking_recv() {
            take.exchange.learn(&mut self.secrets);
            let request = self.secrets.masked(&take.exchange.request.line());
            if let Err(why) = self.take(take.exchange, take.end)? {
                let why = why.masked(&self.secrets);
                let refused = Refused { request, why };
                tell(&refused);
                self.recorded.refused.push(refused);
            }
            // Who asked may be gone.
            let (Ok(()) | Err(())) = take.written.send(());
        }
        Ok(self.recorded)
    }

    fn take(
        &mut self,
        exchange: Exchange,
        end: Result<(), Unfit>,
    ) -> Result<Result<(), Unfit>, TapeError> {
        let heard = match end.and_then(|()| read(&exchange)) {
            Ok(heard) => heard,
            Err(unfit) => return Ok(Err(unfit)),
        };
        let exchange = exchange.masked(&self.secrets);
        if let Some((dialect, answer)) = heard {
            let answer = answer.masked(&self.secrets);
            let request = &exchange.request.body;
            let response = response(dialect, &exchange.response);
            let added = self
                .recording
                .add(dialect, request, answer, response.as_ref());
            if let Err(unfit) = added {
                return Ok(Err(unfit));
            }
            self.write_script()?;
        }
        self.write_exchange(&exchange)?;
        Ok(Ok(()))
    }

    fn write_script(&mut self) -> Result<(), TapeError> {
        let turns = self.recording.turns(self.with_pace)?;
        let script = format!("# {}\n{}", self.title, as_yaml(&turns)?);
        let part = part_of(&self.script);
        fs::write(&part, script)?;
        fs::rename(&part, &self.script)?;
        self.recorded.turns = turns.len();
        Ok(())
    }

    fn write_exchange(&self, exchange: &Exchange) -> Result<(), TapeError> {
        let Some(path) = &self.exchanges else {
            return Ok(());
        };
        let line = serde_json::to_string(exchange);
        let line = line.map_err(|fault| TapeError::Unwritable(fault.to_string()))?;
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)?;
        // In one piece, so that no kill leaves half a line.
        file.write_all((line + "\n").as_bytes())?;
        Ok(())
    }
}

/// None if no model was asked. What else a client asks is kept with the exchanges.
fn read(exchange: &Exchange) -> Result<Option<(Dialect, Answer)>, Unfit> {
    match (exchange.request.kind(), exchange.response.status) {
        (Kind::Model(dialect), _) => {
            let answer = Answer::read(dialect, &exchange.response)?;
            Ok(Some((dialect, answer)))
        }
        (Kind::OtherModel, _) => Err(Unfit::Dialect),
        (Kind::Other, status) if status >= 400 => Err(Unfit::Status(status)),
        (Kind::Other, _) => Ok(None),
    }
}

fn as_yaml(turns: &[Value]) -> Result<String, TapeError> {
    serde_yaml::to_string(&turns).map_err(|fault| TapeError::Unwritable(fault.to_string()))
}

/// Beside the script, since only there it can be renamed in one step.
fn part_of(script: &Path) -> PathBuf {
    let mut name = script
        .file_name()
        .map_or_else(Default::default, |name| name.to_owned());
    name.push(".part");
    script.with_file_name(name)
}
