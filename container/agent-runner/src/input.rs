//! The way in: one `AgentInput` on stdin.

use std::io::{self, Read};

use agent_protocol::{AgentErrorKind, AgentInput};

use crate::failure::Failure;

/// A whole backlog of messages is far below this; a mistaken `< movie.mp4` is far above.
const MOST: u64 = 16 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("cannot read the input from stdin")]
    Read(#[source] io::Error),
    #[error("the input on stdin is longer than {MOST} bytes")]
    TooLong,
    #[error("stdin is empty: expected one JSON object such as {{\"prompt\": \"…\"}}")]
    Empty,
    #[error("the input on stdin is not an agent input such as {{\"prompt\": \"…\"}}")]
    Malformed(#[source] serde_json::Error),
    #[error("the input's `prompt` is blank, so there is nothing to answer")]
    NoPrompt,
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        Self::lasting(AgentErrorKind::Input, &error)
    }
}

/// Reads stdin to its end and makes an input of it.
pub(crate) fn read_input(stdin: impl Read) -> Result<AgentInput, InputError> {
    let mut text = Vec::new();
    stdin
        .take(MOST + 1)
        .read_to_end(&mut text)
        .map_err(InputError::Read)?;
    if text.len() as u64 > MOST {
        return Err(InputError::TooLong);
    }
    if text.trim_ascii().is_empty() {
        return Err(InputError::Empty);
    }
    let input: AgentInput = serde_json::from_slice(&text).map_err(InputError::Malformed)?;
    if input.prompt.trim().is_empty() {
        return Err(InputError::NoPrompt);
    }
    Ok(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::chain;

    #[track_caller]
    fn check(stdin: &[u8], complaint: &str) {
        let told = chain(&read_input(stdin).unwrap_err());
        assert!(told.contains(complaint), "{told}");
    }

    #[test]
    fn what_is_not_an_input_is_named() {
        check(b"", "stdin is empty");
        check(b" \n", "stdin is empty");
        check(b"{\"prompt\":", "EOF while parsing");
        check(b"{}", "missing field `prompt`");
        check(b"{\"prompt\":7}", "invalid type: integer `7`");
        check(b"{\"prompt\":\"  \"}", "`prompt` is blank");
        check(b"\xff\xfe", "not an agent input");
        check(b"{\"prompt\":\"a\"} {}", "trailing characters");
    }

    #[test]
    fn an_endless_input_is_refused() {
        check(&vec![b' '; 16 * 1024 * 1024 + 1], "longer than");
    }
}
