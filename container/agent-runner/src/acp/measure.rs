//! How much an agent may tell in one turn. More is a mistake, or meant to fill our memory and
//! the run log.

use agent_protocol::AgentErrorKind;

use crate::failure::Failure;

/// Far above what a model can say in a turn.
const MOST_TEXT: usize = 4 * 1024 * 1024;
/// A hundred steps with twenty calls each.
const MOST_CALLS: usize = 2000;
/// Whole files are written by arguments, and told twice: as they grow, and complete.
const MOST_ARGUMENTS: usize = 16 * 1024 * 1024;

/// What has been told so far.
#[derive(Debug, Default)]
pub(super) struct Measure {
    text: usize,
    calls: usize,
    arguments: usize,
}

impl Measure {
    pub(super) fn add_text(&mut self, bytes: usize) -> Result<(), Failure> {
        add(&mut self.text, bytes, MOST_TEXT, "bytes of text")
    }

    pub(super) fn add_call(&mut self) -> Result<(), Failure> {
        add(&mut self.calls, 1, MOST_CALLS, "tool calls")
    }

    pub(super) fn add_arguments(&mut self, bytes: usize) -> Result<(), Failure> {
        let what = "bytes of tool arguments";
        add(&mut self.arguments, bytes, MOST_ARGUMENTS, what)
    }
}

fn add(sum: &mut usize, more: usize, most: usize, what: &str) -> Result<(), Failure> {
    *sum = sum.saturating_add(more);
    if *sum <= most {
        return Ok(());
    }
    Err(Failure {
        kind: AgentErrorKind::Protocol,
        message: format!(
            "the agent told more than {most} {what} in one turn: ask for less at once"
        ),
        retryable: false,
    })
}
