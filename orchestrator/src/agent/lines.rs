//! Reads an agent's stdout line by line, however long it talks and wherever its chunks break.

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// One line of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Whole(Vec<u8>),
    /// Longer than the limit: its beginning, the rest is dropped.
    Cut(Vec<u8>),
}

/// Splits a stream into lines of at most `longest` bytes each.
#[derive(Debug)]
pub(super) struct Lines<R> {
    from: R,
    longest: usize,
    line: Vec<u8>,
    cut: bool,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(super) fn new(from: R, longest: usize) -> Self {
        Self {
            from,
            longest,
            line: Vec::new(),
            cut: false,
        }
    }

    /// The next line; none at the end. Cancel-safe: what was read stays in `self`.
    pub(super) async fn next(&mut self) -> std::io::Result<Option<Line>> {
        loop {
            let chunk = self.from.fill_buf().await?;
            if chunk.is_empty() {
                let unfinished = !self.line.is_empty() || self.cut;
                return Ok(unfinished.then(|| self.take()));
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            let room = self.longest.saturating_sub(self.line.len());
            self.cut |= part.len() > room;
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            let read = end.map_or(chunk.len(), |end| end + 1);
            self.from.consume(read);
            if end.is_some() {
                return Ok(Some(self.take()));
            }
        }
    }

    fn take(&mut self) -> Line {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.cut) {
            Line::Cut(line)
        } else {
            Line::Whole(line)
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    #[tokio::test]
    async fn lines_survive_any_chunking_and_long_ones_are_cut_not_kept() {
        let text: &[u8] = "é1\n0123456789abc\n\nlast".as_bytes();
        for chunk in 1..8 {
            let mut lines = Lines::new(BufReader::with_capacity(chunk, text), 10);
            let mut seen = Vec::new();
            while let Some(line) = lines.next().await.unwrap() {
                seen.push(line);
            }
            assert_eq!(
                seen,
                [
                    Line::Whole("é1".into()),
                    Line::Cut(b"0123456789".to_vec()),
                    Line::Whole(Vec::new()),
                    Line::Whole(b"last".to_vec()),
                ],
                "in chunks of {chunk}"
            );
        }
    }
}
