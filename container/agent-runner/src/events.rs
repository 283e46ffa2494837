//! The way out: events on stdout, diagnostics on stderr.

use std::io::{self, Write};

use agent_protocol::{AgentErrorKind, AgentEvent};

use crate::failure::Failure;

/// Writes each event as one line in one write, so that a kill leaves whole lines behind.
#[derive(Debug)]
pub(crate) struct EventLines<W> {
    out: W,
}

#[derive(Debug, thiserror::Error)]
#[error("an event cannot be written to stdout")]
struct Unheard(#[source] io::Error);

impl<W: Write> EventLines<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out }
    }

    /// A closed stdout ends the turn: nobody would hear what it costs.
    pub(crate) fn say(&mut self, event: &AgentEvent) -> Result<(), Failure> {
        self.write(event)
            .map_err(|error| Failure::lasting(AgentErrorKind::Io, &Unheard(error)))
    }

    fn write(&mut self, event: &AgentEvent) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.out.write_all(&line)?;
        self.out.flush()
    }
}

/// Tells the run log what no event is made for.
pub(crate) fn note(text: &str) {
    // A closed stderr must not cost the turn.
    let (Ok(()) | Err(_)) = writeln!(io::stderr().lock(), "[agent-runner] {text}");
}
