//! What a container writes to its standard streams, read as it comes.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt as _;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::engine::Engine;
use crate::stage::output::Output;

/// Both streams, as far as they have been read.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) stdout: Output,
    pub(super) stderr: Output,
    reader: JoinSet<()>,
}

impl Said {
    /// Reads from the beginning on.
    pub(super) fn read(engine: &Engine, id: &str) -> Self {
        let (stdout, stderr) = (Output::default(), Output::default());
        let mut reader = JoinSet::new();
        let streams = (stdout.clone(), stderr.clone());
        reader.spawn(read(engine.clone(), id.to_owned(), streams));
        Self {
            stdout,
            stderr,
            reader,
        }
    }

    /// Waits for what an ended container said at last. Cancel-safe.
    pub(super) async fn last_words(&mut self, patience: Duration) {
        let last_words = async { while self.reader.join_next().await.is_some() {} };
        if timeout(patience, last_words).await.is_err() {
            self.reader.abort_all();
        }
    }
}

/// Reads both streams from the beginning to their end.
async fn read(engine: Engine, id: String, (stdout, stderr): (Output, Output)) {
    let options = LogsOptionsBuilder::new()
        .follow(true)
        .stdout(true)
        .stderr(true)
        .build();
    let mut said = engine.docker.logs(&id, Some(options));
    // What cannot be read any more has no more to say.
    while let Some(Ok(piece)) = said.next().await {
        match piece {
            LogOutput::StdErr { message } => stderr.push(&message),
            LogOutput::StdOut { message } | LogOutput::Console { message } => {
                stdout.push(&message);
            }
            LogOutput::StdIn { message: _ } => {}
        }
    }
}
