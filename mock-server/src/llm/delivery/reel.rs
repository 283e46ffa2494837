//! The frames of an answer that goes wrong, all of them: when and whether its fault can happen
//! must be known before the first is sent.

use bytes::Bytes;

use crate::llm::delivery::dress::Dress;
use crate::llm::dialect::{Frame, FrameKind};
use crate::llm::script::fault::{Breaking, Emptiness, Fault};
use crate::llm::script::moment::FaultMoment;

/// How many comments a stream of nothing else has.
const COMMENTS: usize = 3;

#[derive(Debug)]
pub(crate) struct Reel {
    pub(crate) frames: Vec<Frame>,
    /// How many come before the model has begun.
    pub(crate) prelude: usize,
    /// Before which frame it breaks off, and how.
    pub(crate) breaks: Option<(usize, Breaking)>,
    /// Why its fault cannot happen to it.
    pub(crate) missed: Option<String>,
}

impl Dress {
    /// Lets the fault happen. `error` makes the frame that tells of one within the stream,
    /// behind so many others.
    pub(crate) fn befall(
        &self,
        fault: &Fault,
        reel: &mut Reel,
        error: impl FnOnce(usize) -> Option<Frame>,
    ) {
        match fault {
            Fault::Break(how, moment) => {
                reel.breaks = reel.find(*moment).map(|place| (place, *how));
            }
            Fault::Invalid(frames) => reel.halve(*frames),
            Fault::Error(told) => {
                if let Some(place) = reel.find(told.after.into()) {
                    reel.frames.truncate(place);
                    let error = error(reel.events());
                    reel.frames.extend(error.map(|frame| self.in_lines(frame)));
                }
            }
            Fault::Empty(Emptiness::Nothing) => reel.frames.clear(),
            Fault::Empty(Emptiness::Done) => {
                reel.frames.retain(|frame| frame.kind == FrameKind::Done);
                reel.prelude = 0;
            }
            Fault::Empty(Emptiness::Comments) => reel.frames = vec![self.comment(); COMMENTS],
            // These happen to what is said, to the whole answer, or to its bytes.
            Fault::Empty(Emptiness::Reasoning)
            | Fault::Slow(_)
            | Fault::Status(_)
            | Fault::Html(_)
            | Fault::Lost
            | Fault::Corrupt(_) => {}
        }
        reel.prelude = reel.prelude.min(reel.frames.len());
    }
}

impl Reel {
    pub(crate) fn of(frames: Vec<Frame>, prelude: usize) -> Self {
        Self {
            frames,
            prelude,
            breaks: None,
            missed: None,
        }
    }

    /// How many it has that are no comments; one that comes twice is one.
    fn events(&self) -> usize {
        let mut last = None;
        let said = self.frames.iter().filter(|frame| !is_comment(frame));
        said.filter(|frame| last.replace(&frame.bytes) != Some(&frame.bytes))
            .count()
    }

    /// Before which frame the moment is; a moment within a frame makes two of it.
    fn find(&mut self, moment: FaultMoment) -> Option<usize> {
        let found = match moment {
            FaultMoment::Request | FaultMoment::Headers => Some(0),
            FaultMoment::Frames(frames) => self.behind(frames),
            FaultMoment::Arguments => self.inside_arguments(),
            FaultMoment::Said => Some(self.behind_what_is_said()),
            FaultMoment::Bytes(bytes) => self.split(bytes),
        };
        if found.is_none() {
            let frames = self.frames.iter().filter(|frame| !is_comment(frame));
            let bytes: usize = self.frames.iter().map(|frame| frame.bytes.len()).sum();
            self.missed = Some(format!(
                "its fault comes {moment}, and the answer has {} frames and {bytes} bytes",
                frames.count()
            ));
        }
        found
    }

    /// The place behind so many frames, comments that follow at once not included.
    fn behind(&self, frames: usize) -> Option<usize> {
        let Some(before) = frames.checked_sub(1) else {
            return Some(self.prelude);
        };
        let mut counted = self.frames.iter().enumerate();
        let mut counted = counted.by_ref().filter(|(_, frame)| !is_comment(frame));
        counted.nth(before).map(|(place, _)| place + 1)
    }

    /// Behind the first fragment; what follows must be more of the same call.
    fn inside_arguments(&self) -> Option<usize> {
        let is_fragment = |frame: &Frame| frame.kind == FrameKind::Arguments;
        let first = self.frames.iter().position(is_fragment)?;
        let mut rest = self.frames[first + 1..].iter();
        rest.any(is_fragment).then_some(first + 1)
    }

    /// Behind the last word; where nothing is said, before the model begins.
    fn behind_what_is_said(&self) -> usize {
        let last = self.frames.iter().rposition(says_something);
        last.map_or(self.prelude, |place| place + 1)
    }

    fn split(&mut self, bytes: usize) -> Option<usize> {
        let mut left = bytes;
        for place in 0..self.frames.len() {
            let frame = &mut self.frames[place];
            if left == 0 {
                return Some(place);
            }
            if left < frame.bytes.len() {
                let first = Frame {
                    kind: frame.kind,
                    bytes: frame.bytes.split_to(left),
                };
                self.frames.insert(place, first);
                self.prelude += usize::from(place < self.prelude);
                return Some(place + 1);
            }
            left -= frame.bytes.len();
        }
        (left == 0).then_some(self.frames.len())
    }

    /// Takes the second half from the frame behind so many.
    fn halve(&mut self, frames: usize) {
        let mut counted = self.frames.iter_mut().filter(|frame| !is_comment(frame));
        if let Some(frame) = counted.nth(frames) {
            frame.bytes = halved(&frame.bytes);
            return;
        }
        let after = FaultMoment::Frames(frames);
        self.missed = Some(format!("no frame comes {after} that could be no JSON"));
    }
}

fn is_comment(frame: &Frame) -> bool {
    frame.kind == FrameKind::Comment
}

fn says_something(frame: &Frame) -> bool {
    match frame.kind {
        FrameKind::Reasoning | FrameKind::Content | FrameKind::Call | FrameKind::Arguments => true,
        FrameKind::Comment
        | FrameKind::Role
        | FrameKind::Close
        | FrameKind::Finish
        | FrameKind::Usage
        | FrameKind::Done => false,
    }
}

/// The line ends stay, so that the frames behind it are whole.
fn halved(frame: &Bytes) -> Bytes {
    let text = frame.trim_ascii_end();
    let ends = &frame[text.len()..];
    [&text[..text.len() / 2], ends].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::script::stream::StreamShape;
    use crate::yaml;

    fn frames() -> Vec<Frame> {
        let frame = |(kind, text): (_, &'static str)| Frame {
            kind,
            bytes: Bytes::from_static(text.as_bytes()),
        };
        let frames = [
            (FrameKind::Comment, ": hm\n\n"),
            (FrameKind::Content, "data: one\n\n"),
            (FrameKind::Arguments, "data: {\"a\n\n"),
            (FrameKind::Arguments, "data: \":1}\n\n"),
            (FrameKind::Done, "data: [DONE]\n\n"),
        ];
        frames.into_iter().map(frame).collect()
    }

    fn reel(shape: &str, fault: Option<&str>) -> Reel {
        let shape: StreamShape = yaml::read("script.yaml", shape).unwrap();
        let dress = Dress {
            shape,
            comment: b": hm\n\n",
        };
        let dressed = dress.clone().on(frames().into_iter().map(Ok));
        let mut reel = Reel::of(dressed.collect::<Result<_, _>>().unwrap(), 1);
        if let Some(fault) = fault {
            let fault: crate::llm::ScriptedFault = yaml::read("script.yaml", fault).unwrap();
            let error = |events: usize| {
                Some(Frame {
                    kind: FrameKind::Finish,
                    bytes: format!("error {events}\n\n").into(),
                })
            };
            dress.befall(&fault.fault, &mut reel, error);
        }
        reel
    }

    /// The whole stream, its line ends as `/`, and `#` where it breaks off.
    #[track_caller]
    fn check(shape: &str, fault: Option<&str>, wire: &str) {
        let reel = reel(shape, fault);
        assert_eq!(reel.missed, None);
        let mut sent = String::new();
        for (place, frame) in reel.frames.iter().enumerate() {
            if reel.breaks.is_some_and(|(broken, _)| broken == place) {
                sent.push('#');
            }
            sent.push_str(str::from_utf8(&frame.bytes).unwrap());
        }
        let sent = sent.replace("\n\n", "/").replace("\r\n\r\n", "%");
        assert_eq!(sent, wire);
    }

    #[test]
    fn a_stream_is_dressed_as_its_turn_wants_it() {
        check(
            "{}",
            None,
            r#": hm/data: one/data: {"a/data: ":1}/data: [DONE]/"#,
        );
        check(
            "{ done: false }",
            None,
            r#": hm/data: one/data: {"a/data: ":1}/"#,
        );
        check(
            "{ duplicate: 2..3, done: false }",
            None,
            r#": hm/data: one/data: {"a/data: {"a/data: ":1}/data: ":1}/"#,
        );
        check(
            "{ comments: 2 }",
            None,
            r#": hm/data: one/data: {"a/: hm/data: ":1}/data: [DONE]/: hm/"#,
        );
        check(
            "{ line_end: crlf, comments: 3 }",
            None,
            r#": hm%data: one%data: {"a%data: ":1}%: hm%data: [DONE]%"#,
        );
    }

    #[test]
    fn a_stream_breaks_at_its_moment() {
        check(
            "{}",
            Some("{ reset: headers }"),
            r#"#: hm/data: one/data: {"a/data: ":1}/data: [DONE]/"#,
        );
        check(
            "{}",
            Some("{ reset: 1 }"),
            r#": hm/data: one/#data: {"a/data: ":1}/data: [DONE]/"#,
        );
        check(
            "{}",
            Some("{ stall: arguments }"),
            r#": hm/data: one/data: {"a/#data: ":1}/data: [DONE]/"#,
        );
        check(
            "{}",
            Some("{ close: { bytes: 3 } }"),
            r#": h#m/data: one/data: {"a/data: ":1}/data: [DONE]/"#,
        );
        check(
            "{}",
            Some("{ close: { bytes: 6 } }"),
            r#": hm/#data: one/data: {"a/data: ":1}/data: [DONE]/"#,
        );
    }

    #[test]
    fn a_stream_is_spoilt_at_its_frame() {
        check(
            "{}",
            Some("{ invalid: 1 }"),
            r#": hm/data: one/data/data: ":1}/data: [DONE]/"#,
        );
        check(
            "{}",
            Some("{ error: { after: 1 } }"),
            ": hm/data: one/error 1/",
        );
        check("{}", Some("{ error: {} }"), ": hm/error 0/");
        check(
            "{}",
            Some("{ error: { after: said } }"),
            r#": hm/data: one/data: {"a/data: ":1}/error 3/"#,
        );
        check(
            "{ duplicate: 2..3 }",
            Some("{ stall: said }"),
            r#": hm/data: one/data: {"a/data: {"a/data: ":1}/data: ":1}/#data: [DONE]/"#,
        );
        check(
            "{ duplicate: 1, comments: 1 }",
            Some("{ error: { after: 3 } }"),
            ": hm/data: one/data: one/: hm/data: {\"a/error 2/",
        );
        check("{}", Some("{ empty: nothing }"), "");
        check("{}", Some("{ empty: done }"), "data: [DONE]/");
        check("{}", Some("{ empty: comments }"), ": hm/: hm/: hm/");
        // Nothing comes before the model has begun.
        assert_eq!(reel("{}", Some("{ empty: done }")).prelude, 0);
    }

    #[test]
    fn a_fault_whose_moment_never_comes_is_missed() {
        for (fault, complaint) in [
            (
                "{ reset: 5 }",
                "its fault comes after 5 frames, and the answer has 4 frames and 54 bytes",
            ),
            (
                "{ end: { bytes: 55 } }",
                "its fault comes after 55 bytes, and the answer has 4 frames and 54 bytes",
            ),
            (
                "{ invalid: 4 }",
                "no frame comes after 4 frames that could be no JSON",
            ),
        ] {
            assert_eq!(reel("{}", Some(fault)).missed.as_deref(), Some(complaint));
        }
        assert_eq!(reel("{}", Some("{ reset: 4 }")).missed, None);
    }
}
