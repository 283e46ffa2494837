//! The connection that says that the orchestrator lives.

use std::fmt::Display;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use agent_protocol::door::{Answer, Call, LONGEST_LINE};
use tokio::io::AsyncReadExt;

/// An orchestrator that is alive answers at once; one that is busy, soon.
const TO_ANSWER: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub(crate) enum NoLifeline {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it said `{0}`")]
    Refused(String),
}

/// Asks the door for a lifeline.
pub(super) fn take(door: &Path) -> Result<UnixStream, NoLifeline> {
    let mut lifeline = UnixStream::connect(door)?;
    lifeline.set_read_timeout(Some(TO_ANSWER))?;
    writeln!(lifeline, "{}", Call::Lifeline)?;
    let longest = u64::try_from(LONGEST_LINE).unwrap_or(u64::MAX);
    let mut line = String::new();
    // Nothing follows the answer, so nothing is lost in the buffer.
    BufReader::new((&lifeline).take(longest)).read_line(&mut line)?;
    let line = line.trim_end();
    if line.parse() != Ok(Answer::Open) {
        return Err(NoLifeline::Refused(line.to_owned()));
    }
    lifeline.set_nonblocking(true)?;
    Ok(lifeline)
}

/// Returns once the other end is gone, with what is to be said about how, if anything.
pub(super) async fn until_it_ends(lifeline: UnixStream) -> String {
    let because = |error: &dyn Display| format!(" ({error})");
    let mut lifeline = match tokio::net::UnixStream::from_std(lifeline) {
        Ok(lifeline) => lifeline,
        Err(error) => return because(&error),
    };
    let mut unheard = [0; 64];
    loop {
        match lifeline.read(&mut unheard).await {
            Ok(0) => return String::new(),
            Ok(_) => {}
            Err(error) => return because(&error),
        }
    }
}
