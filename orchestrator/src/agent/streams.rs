//! What goes into an agent and what comes out beside its events, whatever it runs in.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

use super::lines::{Line, Lines};
use super::run_log::RunLog;

/// A longer line of stderr is cut.
const LONGEST_COMPLAINT: usize = 64 * 1024;

/// Writes the whole input and closes stdin, so that the agent knows that it has all.
pub(super) async fn feed(mut stdin: impl AsyncWrite + Unpin, text: Vec<u8>) -> String {
    let fed = async {
        stdin.write_all(&text).await?;
        stdin.shutdown().await
    };
    if let Err(error) = fed.await {
        // The agent ended before it had read its input; its exit code tells the rest.
        tracing::debug!(%error, "the agent did not read its input");
    }
    String::new()
}

/// Puts stderr into the run log, and returns its last line that says something.
pub(super) async fn drain(stderr: impl AsyncRead + Unpin, log: RunLog) -> String {
    let mut lines = Lines::new(BufReader::new(stderr), LONGEST_COMPLAINT);
    let mut last = String::new();
    while let Ok(Some(Line::Whole(line) | Line::Cut(line))) = lines.next().await {
        log.output("stderr", &line, false);
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            last = text.into_owned();
        }
    }
    last
}
