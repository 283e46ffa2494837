//! Recording a real service, or another mock, as a script that a mock can replay.
//!
//! The recorder stands between a client and its service. It passes everything on as it is
//! and writes down what the model said; secrets are taken out before anything is written,
//! and what is empty or broken is told and left out. An error of the service is a turn too.

mod answer;
mod exchange;
mod forward;
mod matching;
mod pace;
mod phrase;
mod recording;
mod secrets;
mod sse;
mod tape;
mod unfit;
mod upstream;
mod wording;

use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};

use axum::Router;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub use tape::{Recorded, Refused, TapeError};
pub use unfit::Unfit;
pub use upstream::{InvalidUpstream, Upstream};

pub(crate) use answer::response;
pub(crate) use exchange::{Exchange, Kind, Received, Sent};
pub(crate) use sse::{Frame, frames};

use crate::listening::{ListenError, Listening};
use crate::server::speak_http;
use forward::{Desk, pass_on};
use recording::Recording;
use secrets::Secrets;
use tape::Tape;

/// How many exchanges may be open or unwritten at once. One more waits until an earlier one
/// is written.
const OPEN: usize = 64;

/// What to record, and where to.
#[derive(Clone, Debug)]
pub struct RecordOptions {
    /// Where clients find the recorder.
    pub address: SocketAddr,
    /// Where requests are passed on to.
    pub upstream: Upstream,
    /// The script; it must not exist yet.
    pub out: PathBuf,
    /// Whether to keep how fast streams were.
    pub timings: bool,
    /// Whether to keep the exchanges themselves, beside the script, for `check-drift`.
    pub exchanges: bool,
}

/// A running recorder.
#[derive(Debug)]
#[must_use = "the recorder stops when it is dropped; wait until it is to stop"]
pub struct Recorder {
    listening: Listening,
    tape: JoinSet<Result<Recorded, TapeError>>,
}

/// The recorder cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Tape(#[from] TapeError),
    #[error("no client for the upstream can be made")]
    Client(#[from] reqwest::Error),
    #[error("the recorder ended on its own")]
    Ended,
    #[error("cannot go on")]
    Io(#[from] std::io::Error),
}

/// The file of the exchanges that belong to a script.
#[must_use]
pub fn exchanges_of(script: &Path) -> PathBuf {
    let mut name = script
        .file_name()
        .map_or_else(Default::default, |name| name.to_owned());
    name.push(".exchanges.jsonl");
    script.with_file_name(name)
}

impl Recorder {
    /// Starts recording; clients may connect as soon as this returns. `tell` hears at once
    /// of each exchange that is not recorded.
    ///
    /// # Errors
    /// The port cannot be had, or the script exists already.
    pub async fn start(
        options: RecordOptions,
        tell: impl Fn(&Refused) + Send + 'static,
    ) -> Result<Self, RecordError> {
        let tape = Tape {
            title: format!("Recorded from {}.", options.upstream),
            with_pace: options.timings,
            exchanges: options.exchanges.then(|| exchanges_of(&options.out)),
            script: options.out,
            recording: Recording::default(),
            recorded: Recorded::default(),
            secrets: Secrets::default(),
        };
        tape.check()?;
        let (takes, heard) = mpsc::channel(OPEN);
        let desk = Desk {
            client: options.upstream.client()?,
            upstream: options.upstream,
            takes,
        };
        let router = Router::new().fallback(pass_on).with_state(desk);
        let serve = move |socket, stop| {
            let router = router.clone();
            async move {
                // Whoever speaks no HTTP has nothing to record.
                drop(speak_http(socket, stop, (router, None)).await);
            }
        };
        let listening = Listening::start(options.address, serve).await?;
        let mut writing = JoinSet::new();
        writing.spawn_blocking(move || tape.run(heard, tell));
        Ok(Self {
            listening,
            tape: writing,
        })
    }

    /// E.g. `http://127.0.0.1:41325`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.listening.address())
    }

    /// Records until `stop` comes, or until a file cannot be written; then closes the port
    /// and waits for what is open.
    ///
    /// # Errors
    /// The recording could not be written.
    pub async fn until<T>(
        mut self,
        stop: impl Future<Output = T>,
    ) -> Result<Recorded, RecordError> {
        let ended = tokio::select! {
            _stop = stop => None,
            ended = self.tape.join_next() => ended,
        };
        // With the last connection the last sender goes, and with it the tape ends.
        self.listening.join().await?;
        let ended = match ended {
            Some(ended) => Some(ended),
            None => self.tape.join_next().await,
        };
        match ended {
            Some(Ok(recorded)) => Ok(recorded?),
            // A panic of the tape is ours.
            Some(Err(fault)) if fault.is_panic() => resume_unwind(fault.into_panic()),
            Some(Err(_)) | None => Err(RecordError::Ended),
        }
    }
}
