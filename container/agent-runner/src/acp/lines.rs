//! Lines of a stream that nobody has promised to keep short.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// A tool's whole output comes in one line, and a picture in base64; more is a mistake.
pub(super) const LONGEST: usize = 16 * 1024 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Whole(Vec<u8>),
    /// Longer than [`LONGEST`], and dropped.
    TooLong,
}

/// Reads lines; a reading that is given up loses nothing.
#[derive(Debug)]
pub(super) struct Lines<R> {
    source: BufReader<R>,
    longest: usize,
    line: Vec<u8>,
    too_long: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(source: R, longest: usize) -> Self {
        Self {
            source: BufReader::new(source),
            longest,
            line: Vec::new(),
            too_long: false,
        }
    }

    /// The next line without its end; none at the end of the stream.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let piece = self.source.fill_buf().await?;
            if piece.is_empty() {
                let nothing_left = self.line.is_empty() && !self.too_long;
                return Ok((!nothing_left).then(|| self.take()));
            }
            let end = piece.iter().position(|byte| *byte == b'\n');
            let wanted = &piece[..end.unwrap_or(piece.len())];
            if self.line.len() + wanted.len() > self.longest {
                self.too_long = true;
                self.line = Vec::new();
            } else if !self.too_long {
                self.line.extend_from_slice(wanted);
            }
            let used = end.map_or(piece.len(), |end| end + 1);
            self.source.consume(used);
            if end.is_some() {
                return Ok(Some(self.take()));
            }
        }
    }

    fn take(&mut self) -> Line {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.too_long) {
            Line::TooLong
        } else {
            Line::Whole(line)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(stream: &str, expected: &[&str]) {
        let mut lines = Lines::new(stream.as_bytes(), 5);
        let mut told = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            told.push(match line {
                Line::Whole(line) => String::from_utf8(line).unwrap(),
                Line::TooLong => "too long".to_owned(),
            });
        }
        assert_eq!(told, expected, "{stream:?}");
    }

    #[tokio::test]
    async fn a_line_too_long_is_dropped_and_the_next_is_whole() {
        check("12345\n\n1\n", &["12345", "", "1"]).await;
        check("123456\n12\n", &["too long", "12"]).await;
        check("1234567890123\n12", &["too long", "12"]).await;
        check("123456", &["too long"]).await;
        check("", &[]).await;
    }
}
