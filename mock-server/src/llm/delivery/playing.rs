//! An answer as its client pulls it, step by step, down to the drops and the break.

use std::convert::Infallible;
use std::future::pending;

use bytes::Bytes;
use tokio::task::yield_now;

use crate::clock::Pace;
use crate::line::{Cut, Scissors};
use crate::llm::delivery::course::{Course, Step};
use crate::llm::delivery::{Performance, Sent};
use crate::llm::dialect::FrameKind;
use crate::llm::script::fault::Breaking;

/// An answer under way.
#[derive(Debug)]
pub(crate) struct Playing {
    performance: Performance,
    course: Course,
    scissors: Scissors,
    pace: Option<Pace>,
    /// What is left of the bytes that are being sent.
    left: Bytes,
    /// Whether a drop was sent before.
    drips: bool,
    sent: Sent,
}

impl Playing {
    pub(crate) fn new(performance: Performance, course: Course, scissors: Scissors) -> Self {
        Self {
            performance,
            course,
            scissors,
            pace: None,
            left: Bytes::new(),
            drips: false,
            sent: Sent::default(),
        }
    }

    /// Goes as far as nothing need be written.
    pub(crate) async fn begin(&mut self) {
        while let Some(Step::Begin | Step::Wait(_)) = self.course.steps.front() {
            if let Some(step) = self.course.steps.pop_front() {
                self.take(step).await;
            }
        }
    }

    /// What the client gets, if all of it comes at once.
    pub(crate) fn at_once(&mut self) -> Option<Bytes> {
        if self.course.steps.len() != 1 {
            return None;
        }
        let frame = match self.course.steps.pop_front() {
            // Nothing makes no drops.
            Some(Step::Send(frame)) if self.course.drops.is_none() || frame.bytes.is_empty() => {
                frame
            }
            other => {
                self.course.steps.extend(other);
                return None;
            }
        };
        self.performance.end(Sent {
            frames: 0,
            bytes: frame.bytes.len(),
        });
        Some(frame.bytes)
    }

    /// The next bytes to write.
    pub(crate) async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        while self.left.is_empty() {
            let Some(step) = self.course.steps.pop_front() else {
                self.performance.end(self.sent);
                return None;
            };
            if !self.take(step).await {
                return None;
            }
        }
        let bytes = self.drop().await;
        self.sent.bytes += bytes.len();
        if self.left.is_empty() && self.course.steps.is_empty() {
            self.performance.end(self.sent);
        }
        Some((Ok(bytes), self))
    }

    /// Does one step; says whether there is more.
    async fn take(&mut self, step: Step) -> bool {
        match step {
            Step::Begin => {
                self.pace = Some(self.performance.begin(self.course.lasts()).await);
                if let Some(why) = self.course.missed.take() {
                    self.performance.miss(&why);
                }
            }
            Step::Wait(wait) => {
                if let Some(pace) = &mut self.pace {
                    self.performance.wait(pace, wait).await;
                }
            }
            Step::Send(frame) => {
                self.sent.frames += usize::from(frame.kind != FrameKind::Comment);
                self.left = frame.bytes;
            }
            Step::Break(how) => return self.break_off(how).await,
        }
        true
    }

    /// All that was sent before is written before the connection is cut.
    async fn break_off(&mut self, how: Breaking) -> bool {
        match how {
            Breaking::Stall => {
                let last = self.course.lasts();
                self.pace = self.performance.stall(self.sent, last).await;
                if self.pace.is_some() {
                    return true;
                }
                self.scissors.cut(Cut::Close);
            }
            Breaking::Reset => self.cut(Cut::Reset),
            Breaking::Close => self.cut(Cut::Close),
            Breaking::End => {
                self.performance.fail(self.sent);
                return false;
            }
        }
        pending().await
    }

    fn cut(&mut self, how: Cut) {
        self.performance.fail(self.sent);
        self.scissors.cut(how);
    }

    /// As many bytes as are written at once, each after its time.
    async fn drop(&mut self) -> Bytes {
        let Some(drops) = self.course.drops else {
            return std::mem::take(&mut self.left);
        };
        let every = drops.every.length();
        match &mut self.pace {
            Some(pace) if !every.is_zero() => self.performance.wait(pace, every).await,
            // The drop before is written before this one is made.
            Some(_) | None if self.drips => yield_now().await,
            Some(_) | None => {}
        }
        self.drips = true;
        let drop = drops.bytes.get().min(self.left.len());
        self.left.split_to(drop)
    }
}
