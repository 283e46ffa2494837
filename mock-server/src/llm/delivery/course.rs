//! What an answer goes through on its way, step by step. Plain code: nothing is sent and
//! nothing waits here.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::llm::delivery::reel::Reel;
use crate::llm::dialect::{Frame, FrameKind};
use crate::llm::score::ids;
use crate::llm::script::fault::{Breaking, Drops, Fault};
use crate::llm::script::lapse::Lapse;
use crate::llm::script::moment::FaultMoment;
use crate::llm::script::stream::StreamShape;

#[derive(Debug, Default)]
pub(crate) struct Course {
    pub(crate) steps: VecDeque<Step>,
    /// In what drops the bytes come; without it as they are.
    pub(crate) drops: Option<Drops>,
    /// Why its fault cannot happen to this answer.
    pub(crate) missed: Option<String>,
}

#[derive(Debug)]
pub(crate) enum Step {
    /// The gate, and the time before the first frame.
    Begin,
    Wait(Duration),
    Send(Frame),
    Break(Breaking),
}

/// How long an answer takes, and in what drops it comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tempo<'a> {
    pub(crate) shape: &'a StreamShape,
    pub(crate) fault: Option<&'a Fault>,
    /// What the jitter is made of.
    pub(crate) letters: &'a str,
}

impl Tempo<'_> {
    /// Waits before each frame but the first that says something.
    pub(crate) fn stream(self, reel: Reel) -> Course {
        let mut steps = VecDeque::with_capacity(reel.frames.len() + 2);
        let begins = reel
            .breaks
            .map_or(reel.prelude, |(place, _)| place.min(reel.prelude));
        let end = reel.frames.len();
        let mut said = 0;
        for (place, frame) in reel.frames.into_iter().enumerate() {
            steps.extend((place == begins).then_some(Step::Begin));
            steps.extend(broken(reel.breaks, place));
            if frame.kind != FrameKind::Comment {
                steps.extend(self.before(said).map(Step::Wait));
                said += 1;
            }
            steps.push_back(Step::Send(frame));
        }
        steps.extend((begins == end).then_some(Step::Begin));
        steps.extend(broken(reel.breaks, end));
        Course {
            steps,
            drops: self.drops(),
            missed: reel.missed,
        }
    }

    /// The course of one document, which comes when the last of its `frames` would. Says
    /// also how long the headers promise it to be.
    pub(crate) fn document(self, mut body: Bytes, frames: usize) -> (Course, usize) {
        let whole = body.len();
        let mut missed = None;
        let breaks = match self.fault {
            Some(Fault::Break(how, moment)) => match (within(*moment, whole), how) {
                // Nobody asks for what would come behind the length that is promised.
                (Some(place), Breaking::End) => {
                    body.truncate(place);
                    None
                }
                (Some(place), how) => Some((place, *how)),
                (None, _) => {
                    missed = Some(format!(
                        "its fault comes {moment}, and the answer has {whole} bytes"
                    ));
                    None
                }
            },
            Some(Fault::Invalid(_)) => {
                body.truncate(whole / 2);
                None
            }
            Some(
                Fault::Status(_)
                | Fault::Html(_)
                | Fault::Error(_)
                | Fault::Empty(_)
                | Fault::Slow(_),
            )
            | None => None,
        };
        let promised = body.len();
        let mut steps = VecDeque::from([Step::Begin]);
        let lasts: Duration = (1..frames).filter_map(|said| self.before(said)).sum();
        steps.extend((!lasts.is_zero()).then_some(Step::Wait(lasts)));
        let rest = breaks.map(|(place, how)| (how, body.split_off(place)));
        steps.push_back(send(body));
        if let Some((how, rest)) = rest {
            steps.extend([Step::Break(how), send(rest)]);
        }
        let course = Course {
            steps,
            drops: self.drops(),
            missed,
        };
        (course, promised)
    }

    /// How long the model takes before it begins.
    pub(crate) fn first(self) -> Duration {
        self.shape.first_token.length() + self.jitter(0)
    }

    fn before(self, said: usize) -> Option<Duration> {
        if said == 0 {
            return None;
        }
        let wait = self.shape.per_token.length() + self.jitter(said);
        (!wait.is_zero()).then_some(wait)
    }

    fn jitter(self, said: usize) -> Duration {
        let most = self.shape.jitter.length();
        if most.is_zero() {
            return most;
        }
        most.mul_f64(ids::share(self.letters, said))
    }

    fn drops(self) -> Option<Drops> {
        if let Some(Fault::Slow(drops)) = self.fault {
            return Some(*drops);
        }
        let every = Lapse::default();
        self.shape.bytes.map(|bytes| Drops { bytes, every })
    }
}

impl Course {
    /// How long everything in it takes.
    pub(crate) fn lasts(&self) -> Duration {
        let waits = self.steps.iter().map(|step| match step {
            Step::Wait(wait) => *wait,
            Step::Send(frame) => self.drips(frame.bytes.len()),
            Step::Begin | Step::Break(_) => Duration::ZERO,
        });
        waits.sum()
    }

    fn drips(&self, bytes: usize) -> Duration {
        let Some(drops) = self.drops else {
            return Duration::ZERO;
        };
        let drips = u32::try_from(bytes.div_ceil(drops.bytes.get()));
        let every = drops.every.length();
        drips.map_or(Duration::MAX, |drips| every.saturating_mul(drips))
    }
}

fn broken(breaks: Option<(usize, Breaking)>, here: usize) -> Option<Step> {
    breaks
        .filter(|(place, _)| *place == here)
        .map(|(_, how)| Step::Break(how))
}

fn send(bytes: Bytes) -> Step {
    Step::Send(Frame {
        kind: FrameKind::Content,
        bytes,
    })
}

/// Where the moment is in a document of so many bytes; what is counted in frames is in
/// its middle. Behind its last byte there is no moment: nobody waits for one.
fn within(moment: FaultMoment, bytes: usize) -> Option<usize> {
    match moment {
        FaultMoment::Request | FaultMoment::Headers => Some(0),
        FaultMoment::Frames(_) | FaultMoment::Arguments => Some(bytes / 2),
        FaultMoment::Bytes(place) => Some(place).filter(|place| *place < bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    const FRAMES: usize = 6;

    fn shape(shape: &str) -> StreamShape {
        yaml::read("script.yaml", shape).unwrap()
    }

    fn reel() -> Reel {
        let frame = Frame {
            kind: FrameKind::Content,
            bytes: Bytes::from_static(b"data: x\n\n"),
        };
        Reel {
            frames: vec![frame; FRAMES],
            prelude: 0,
            breaks: None,
            missed: None,
        }
    }

    /// The time before each frame, in milliseconds.
    fn waits(shape: &StreamShape, letters: &str) -> Vec<u128> {
        let tempo = Tempo {
            shape,
            fault: None,
            letters,
        };
        let course = tempo.stream(reel());
        let waits = course.steps.iter().filter_map(|step| match step {
            Step::Wait(wait) => Some(wait.as_millis()),
            Step::Begin | Step::Send(_) | Step::Break(_) => None,
        });
        std::iter::once(tempo.first().as_millis())
            .chain(waits)
            .collect()
    }

    #[test]
    fn the_model_thinks_before_its_first_frame_and_takes_its_time_for_each_other() {
        let steady = shape("{ first_token: 400ms, per_token: 20ms }");
        assert_eq!(waits(&steady, "abc"), [400, 20, 20, 20, 20, 20]);
        assert_eq!(waits(&shape("{}"), "abc"), [0]);
    }

    #[test]
    fn jitter_is_made_of_the_seed_and_never_more_than_was_said() {
        let jittery = shape("{ first_token: 400ms, per_token: 200ms, jitter: 100ms }");
        let first = waits(&jittery, "abc");
        assert_eq!(first, waits(&jittery, "abc"));
        assert_ne!(first, waits(&jittery, "abd"));
        assert!((400..=500).contains(&first[0]), "{first:?}");
        let others = &first[1..];
        assert!(
            others.iter().all(|wait| (200..=300).contains(wait)),
            "{first:?}"
        );
        assert!(others.windows(2).any(|two| two[0] != two[1]), "{first:?}");
    }

    #[test]
    fn a_course_lasts_as_long_as_its_waits_and_its_drops() {
        let steady = shape("{ per_token: 20ms }");
        let slow: crate::llm::ScriptedFault =
            yaml::read("script.yaml", "{ slow: { bytes: 4, every: 1s } }").unwrap();
        let mut tempo = Tempo {
            shape: &steady,
            fault: None,
            letters: "abc",
        };
        assert_eq!(tempo.stream(reel()).lasts(), Duration::from_millis(100));
        tempo.fault = Some(&slow.fault);
        assert_eq!(tempo.stream(reel()).lasts(), Duration::from_millis(18_100));
    }
}
