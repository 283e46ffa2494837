//! The frames of an event stream, with what is around their data.

use serde_json::Value;

/// One frame: what stands between two empty lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its `event:`.
    pub(crate) name: Option<String>,
    /// Its `data:` lines, joined.
    pub(crate) data: Option<String>,
    pub(crate) has_comment: bool,
    /// Whether a space stands between a colon and what follows.
    pub(crate) is_spaced: bool,
    pub(crate) line_end: LineEnd,
    /// Where it ends in its stream.
    pub(crate) end: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LineEnd {
    #[default]
    Lf,
    CrLf,
    Cr,
}

impl LineEnd {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Lf => "LF",
            Self::CrLf => "CRLF",
            Self::Cr => "CR",
        }
    }
}

/// The end mark of chat completions.
pub(crate) const DONE: &str = "[DONE]";

/// The events with which other protocols end.
const LAST: [&str; 5] = [
    "message_stop",
    "response.completed",
    "response.incomplete",
    "response.failed",
    "error",
];

impl Frame {
    pub(crate) fn is_done(&self) -> bool {
        self.data.as_deref() == Some(DONE)
    }

    /// Whether nothing of the answer comes behind it: clients hang up when they have read it.
    pub(crate) fn is_last(&self) -> bool {
        let data = self.data.as_deref().unwrap_or_default();
        let told: Value = match serde_json::from_str(data) {
            Ok(told) => told,
            Err(_no_document) => return self.is_done(),
        };
        let kind = told["type"].as_str();
        !told["error"].is_null() || kind.is_some_and(|kind| LAST.contains(&kind))
    }

    fn is_begun(&self) -> bool {
        self.name.is_some() || self.data.is_some() || self.has_comment
    }

    fn read(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        self.is_spaced |= value.starts_with(' ');
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => self.has_comment = true,
            "event" => self.name = Some(value.to_owned()),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            // `id`, `retry` and what is unknown do not matter to a chat.
            _ => {}
        }
    }
}

/// All frames of a stream. A last one without its empty line counts: what it lacks is for
/// others to see.
pub(crate) fn frames(stream: &str) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut frame = Frame::default();
    let mut place = 0;
    while let Some((line, line_end, length)) = next_line(&stream[place..]) {
        place += length;
        frame.end = place;
        if !line.is_empty() {
            frame.line_end = line_end;
            frame.read(line);
        } else if frame.is_begun() {
            frames.push(std::mem::take(&mut frame));
        }
    }
    if frame.is_begun() {
        frames.push(frame);
    }
    frames
}

/// A line, how it ends, and its length with that end.
fn next_line(rest: &str) -> Option<(&str, LineEnd, usize)> {
    if rest.is_empty() {
        return None;
    }
    let Some(end) = rest.find(['\r', '\n']) else {
        return Some((rest, LineEnd::default(), rest.len()));
    };
    let line_end = match &rest[end..] {
        cut if cut.starts_with("\r\n") => LineEnd::CrLf,
        cut if cut.starts_with('\r') => LineEnd::Cr,
        _line_feed => LineEnd::Lf,
    };
    let length = if line_end == LineEnd::CrLf { 2 } else { 1 };
    Some((&rest[..end], line_end, end + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_at_its_empty_lines_whatever_ends_them() {
        #[track_caller]
        fn check(stream: &str, line_end: LineEnd) {
            let frames = frames(stream);
            let seen: Vec<_> = frames
                .iter()
                .map(|frame| (frame.has_comment, frame.data.as_deref(), frame.line_end))
                .collect();
            assert_eq!(
                seen,
                [
                    (true, None, line_end),
                    (false, Some("one\ntwo"), line_end),
                    (false, Some(DONE), line_end),
                ]
            );
            assert_eq!(frames[2].end, stream.len());
        }
        let stream = ": wait\n\nid: 7\ndata: one\ndata:two\n\ndata: [DONE]\n\n";
        check(stream, LineEnd::Lf);
        check(&stream.replace('\n', "\r\n"), LineEnd::CrLf);
        check(&stream.replace('\n', "\r"), LineEnd::Cr);
    }

    #[test]
    fn a_stream_is_at_its_end_with_a_mark_or_an_error() {
        #[track_caller]
        fn check(data: &str, is_last: bool) {
            assert_eq!(
                frames(&format!("data: {data}\n\n"))[0].is_last(),
                is_last,
                "{data}"
            );
        }
        check(DONE, true);
        check(r#"{"error":{"code":502}}"#, true);
        check(r#"{"type":"response.failed","response":{}}"#, true);
        check(r#"{"type":"message_stop"}"#, true);
        check(r#"{"choices":[],"error":null}"#, false);
        check(r#"{"type":"message_delta"}"#, false);
        check("{", false);
    }

    #[test]
    fn a_frame_knows_its_name_and_whether_it_is_spaced() {
        let frames = frames("event: ping\ndata:{}\n\ndata:{}");
        assert_eq!(frames[0].name.as_deref(), Some("ping"));
        assert!(frames[0].is_spaced && !frames[1].is_spaced);
    }
}
