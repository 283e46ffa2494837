//! What an answer goes through on its way, step by step. Plain code: nothing is sent and
//! nothing waits here.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::lapse::Lapse;
use crate::llm::delivery::film::Film;
use crate::llm::delivery::reel::Reel;
use crate::llm::dialect::{Frame, FrameKind};
use crate::llm::score::ids;
use crate::llm::script::fault::{Breaking, Drops, Fault};
use crate::llm::script::moment::FaultMoment;
use crate::llm::script::stream::StreamShape;

/// The steps that are still to come. They are made as they are wanted, with the tempo of
/// their answer.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    /// Made, and not yet done.
    ready: VecDeque<Step>,
    /// What the others are made of.
    film: Film,
    /// How many frames were taken from it, and how many of them say something.
    taken: usize,
    said: usize,
    /// Before which frame the model begins.
    begins: Option<usize>,
    /// Before which it breaks off, and how.
    breaks: Option<(usize, Breaking)>,
    /// In what drops the bytes come; without it as they are.
    pub(crate) drops: Option<Drops>,
    /// Why its fault cannot happen to this answer.
    pub(crate) missed: Option<String>,
}

#[derive(Clone, Debug)]
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
    /// The course of an answer to which nothing happens but drops, behind its prelude.
    pub(crate) fn stream(self, film: Film, prelude: usize) -> Course {
        Course {
            ready: VecDeque::new(),
            film,
            taken: 0,
            said: 0,
            begins: Some(prelude),
            breaks: None,
            drops: self.drops(),
            missed: None,
        }
    }

    /// The course of one to which something happens.
    pub(crate) fn ill_fated(self, reel: Reel) -> Course {
        let prelude = reel.prelude;
        let begins = reel.breaks.map_or(prelude, |(place, _)| place.min(prelude));
        Course {
            breaks: reel.breaks,
            missed: reel.missed,
            ..self.stream(Film::Whole(reel.frames.into_iter()), begins)
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
                | Fault::Slow(_)
                | Fault::Lost
                | Fault::Corrupt(_),
            )
            | None => None,
        };
        let promised = body.len();
        let mut ready = VecDeque::from([Step::Begin]);
        let lasts: Duration = (1..frames).filter_map(|said| self.before(said)).sum();
        ready.extend((!lasts.is_zero()).then_some(Step::Wait(lasts)));
        let rest = breaks.map(|(place, how)| (how, body.split_off(place)));
        ready.push_back(send(body));
        if let Some((how, rest)) = rest {
            ready.extend([Step::Break(how), send(rest)]);
        }
        let course = Course {
            ready,
            begins: None,
            missed,
            ..self.stream(Film::default(), 0)
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
    pub(crate) fn next(&mut self, tempo: Tempo<'_>) -> serde_json::Result<Option<Step>> {
        self.make(tempo)?;
        Ok(self.ready.pop_front())
    }

    /// The next, which is still to come.
    pub(crate) fn peek(&mut self, tempo: Tempo<'_>) -> serde_json::Result<Option<&Step>> {
        self.make(tempo)?;
        Ok(self.ready.front())
    }

    /// What a document has left to be sent, if that is one step.
    pub(crate) fn at_once(&mut self) -> Option<Bytes> {
        if self.ready.len() != 1 {
            return None;
        }
        match self.ready.pop_front() {
            // Nothing makes no drops.
            Some(Step::Send(frame)) if self.drops.is_none() || frame.bytes.is_empty() => {
                Some(frame.bytes)
            }
            other => {
                self.ready.extend(other);
                None
            }
        }
    }

    /// How long everything in it takes.
    pub(crate) fn lasts(&self, tempo: Tempo<'_>) -> serde_json::Result<Duration> {
        if !self.takes_time(tempo) {
            return Ok(Duration::ZERO);
        }
        let mut course = self.clone();
        let mut lasts = Duration::ZERO;
        while let Some(step) = course.next(tempo)? {
            lasts = lasts.saturating_add(match step {
                Step::Wait(wait) => wait,
                Step::Send(frame) => self.drips(frame.bytes.len()),
                Step::Begin | Step::Break(_) => Duration::ZERO,
            });
        }
        Ok(lasts)
    }

    fn takes_time(&self, tempo: Tempo<'_>) -> bool {
        let drips = |drops: Drops| !drops.every.length().is_zero();
        tempo.shape.takes_time() || self.drops.is_some_and(drips)
    }

    /// Makes the steps of the next frame if there is none left of the one before. Waits
    /// before each frame but the first that says something.
    fn make(&mut self, tempo: Tempo<'_>) -> serde_json::Result<()> {
        if !self.ready.is_empty() {
            return Ok(());
        }
        let frame = self.film.next().transpose()?;
        let place = self.taken;
        self.ready.extend(
            self.begins
                .take_if(|begins| *begins == place)
                .map(|_| Step::Begin),
        );
        self.ready.extend(
            self.breaks
                .take_if(|(breaks, _)| *breaks == place)
                .map(|(_, how)| Step::Break(how)),
        );
        let Some(frame) = frame else {
            return Ok(());
        };
        self.taken += 1;
        if frame.kind != FrameKind::Comment {
            self.ready.extend(tempo.before(self.said).map(Step::Wait));
            self.said += 1;
        }
        self.ready.push_back(Step::Send(frame));
        Ok(())
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
        FaultMoment::Frames(_) | FaultMoment::Arguments | FaultMoment::Said => Some(bytes / 2),
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
        Reel::of(vec![frame; FRAMES], 0)
    }

    /// The time before each frame, in milliseconds.
    fn waits(shape: &StreamShape, letters: &str) -> Vec<u128> {
        let tempo = Tempo {
            shape,
            fault: None,
            letters,
        };
        let mut course = tempo.ill_fated(reel());
        let mut waits = vec![tempo.first().as_millis()];
        while let Some(step) = course.next(tempo).unwrap() {
            if let Step::Wait(wait) = step {
                waits.push(wait.as_millis());
            }
        }
        waits
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
        let lasts = |tempo: Tempo<'_>| tempo.ill_fated(reel()).lasts(tempo).unwrap();
        assert_eq!(lasts(tempo), Duration::from_millis(100));
        tempo.fault = Some(&slow.fault);
        assert_eq!(lasts(tempo), Duration::from_millis(18_100));
    }
}
