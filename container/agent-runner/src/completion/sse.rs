//! Server-sent events, a piece at a time: bytes in, the `data` of whole events out.
//!
//! Pieces may end anywhere, also inside a character or between `\r` and `\n`. Comments, `event`,
//! `id` and `retry` fields carry nothing here and are dropped. (Format: the HTML standard,
//! "Interpreting an event stream".)

/// Cuts a byte stream into events.
#[derive(Debug, Default)]
pub(super) struct SseDecoder {
    line: Vec<u8>,
    data: Option<String>,
    /// The last piece ended in `\r`, so a `\n` at the start of the next belongs to it.
    after_return: bool,
}

impl SseDecoder {
    /// Takes the next piece and gives the `data` of the events it completes.
    pub(super) fn push(&mut self, piece: &[u8]) -> Vec<String> {
        let mut events = Vec::new();
        for &byte in piece {
            let continues_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if continues_return => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ => self.line.push(byte),
            }
        }
        events
    }

    /// The event that the end of the stream completes. The standard would drop it; endpoints
    /// that forget the last blank line exist.
    pub(super) fn finish(mut self) -> Option<String> {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.data
    }

    fn end_line(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.data.take();
        }
        // A line break is ASCII, so a whole line never ends inside a character.
        let line = String::from_utf8_lossy(&line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        if field.trim_start_matches('\u{feff}') == "data" {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `stream` in one piece, byte by byte, and cut in two at every place.
    #[track_caller]
    fn check(stream: &str, events: &[&str]) {
        let bytes = stream.as_bytes();
        let mut cuts: Vec<Vec<&[u8]>> = vec![bytes.chunks(1).collect()];
        cuts.extend((0..=bytes.len()).map(|at| vec![&bytes[..at], &bytes[at..]]));
        for pieces in cuts {
            let mut decoder = SseDecoder::default();
            let mut seen: Vec<String> = Vec::new();
            for piece in &pieces {
                seen.extend(decoder.push(piece));
            }
            seen.extend(decoder.finish());
            assert_eq!(seen, events, "cut as {pieces:?}");
        }
    }

    #[test]
    fn events_are_the_same_however_the_stream_is_cut() {
        check(
            "data: {\"a\":\"ü€🐈\"}\n\ndata: b\n\n",
            &["{\"a\":\"ü€🐈\"}", "b"],
        );
    }

    #[test]
    fn every_kind_of_line_end_is_one() {
        check("data: a\r\n\r\ndata: b\r\rdata: c\n\n", &["a", "b", "c"]);
    }

    #[test]
    fn comments_and_other_fields_are_dropped() {
        check(
            ": OPENROUTER PROCESSING\n\nevent: x\nid: 7\nretry: 3\ndata: a\nnonsense\n\n:\n\n",
            &["a"],
        );
    }

    #[test]
    fn several_data_lines_are_one_event() {
        check("data: a\ndata:b\ndata:  c\n\n", &["a\nb\n c"]);
    }

    #[test]
    fn an_event_without_its_blank_line_ends_with_the_stream() {
        check("data: a\n\ndata: [DONE]", &["a", "[DONE]"]);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_field() {
        check("\u{feff}data: a\n\n", &["a"]);
    }
}
