//! The two lines that are exchanged at the door.

use std::fmt;
use std::io;
use std::str::FromStr;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::host::{DoorTarget, InvalidDoorHost};

/// The longest line, in bytes: the longest name there can be, and some more for a reason.
pub const LONGEST_LINE: usize = 512;

const LIFELINE: &str = "lifeline";
const OK: &str = "ok";
const NO: &str = "no ";

/// What a connection to the door is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `lifeline`: held open by the runner as long as it lives. Once the door closes it, the
    /// runner ends with all below it.
    Lifeline,
    /// `openrouter.ai:443`: the bytes that follow are for this host.
    To(DoorTarget),
}

/// What the door says to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `ok`
    Open,
    /// `no <why>`
    Refused(String),
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the door said `{0}`; expected `ok`, or `no` and why")]
pub struct InvalidAnswer(String);

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lifeline => f.write_str(LIFELINE),
            Self::To(target) => target.fmt(f),
        }
    }
}

impl FromStr for Call {
    type Err = InvalidDoorHost;

    fn from_str(line: &str) -> Result<Self, InvalidDoorHost> {
        match line {
            LIFELINE => Ok(Self::Lifeline),
            target => target.parse().map(Self::To),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str(OK),
            // One line, however many the reason has.
            Self::Refused(why) => write!(f, "{NO}{}", why.replace('\n', " ")),
        }
    }
}

impl FromStr for Answer {
    type Err = InvalidAnswer;

    fn from_str(line: &str) -> Result<Self, InvalidAnswer> {
        if line == OK {
            return Ok(Self::Open);
        }
        match line.strip_prefix(NO) {
            Some(why) => Ok(Self::Refused(why.to_owned())),
            None => Err(InvalidAnswer(line.to_owned())),
        }
    }
}

/// Reads one line and not a byte more: what follows it is not ours.
pub async fn read_line(from: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut line = Vec::new();
    loop {
        let byte = from.read_u8().await?;
        if byte == b'\n' {
            return String::from_utf8(line)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
        }
        if line.len() == LONGEST_LINE {
            let told = format!("a line at the door has more than {LONGEST_LINE} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, told));
        }
        line.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_survives_its_line() {
        for line in ["lifeline", "openrouter.ai:443"] {
            assert_eq!(line.parse::<Call>().unwrap().to_string(), line);
        }
        for line in ["ok", "no such host"] {
            assert_eq!(line.parse::<Answer>().unwrap().to_string(), line);
        }
        assert!("okay".parse::<Answer>().is_err());
        let two_lines = Answer::Refused("a\nb".to_owned());
        assert_eq!(two_lines.to_string(), "no a b");
    }

    #[tokio::test]
    async fn a_line_is_read_without_what_follows_it() {
        let mut from: &[u8] = b"ok\nHTTP/1.1";
        assert_eq!(read_line(&mut from).await.unwrap(), "ok");
        assert_eq!(from, b"HTTP/1.1");
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_refused() {
        let endless = vec![b'a'; LONGEST_LINE + 1];
        let error = read_line(&mut endless.as_slice()).await.unwrap_err();
        assert!(error.to_string().contains("more than 512"), "{error}");
        let error = read_line(&mut b"o".as_slice()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
