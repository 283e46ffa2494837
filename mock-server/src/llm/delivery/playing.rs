//! An answer as its client pulls it, step by step, down to the drops and the break.

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
    /// In a box, since it is handed over with each frame.
    pub(crate) fn new(performance: Performance, course: Course, scissors: Scissors) -> Box<Self> {
        Box::new(Self {
            performance,
            course,
            scissors,
            pace: None,
            left: Bytes::new(),
            drips: false,
            sent: Sent::default(),
        })
    }

    /// Goes as far as nothing need be written.
    pub(crate) async fn begin(&mut self) -> serde_json::Result<()> {
        while let Some(Step::Begin | Step::Wait(_)) = self.course.peek(self.performance.tempo())? {
            if let Some(step) = self.next_step()? {
                self.take(step).await?;
            }
        }
        Ok(())
    }

    /// What the client gets, if all of it comes at once.
    pub(crate) fn at_once(&mut self) -> Option<Bytes> {
        let bytes = self.course.at_once()?;
        self.performance.end(Sent {
            frames: 0,
            bytes: bytes.len(),
        });
        Some(bytes)
    }

    /// The next bytes to write.
    pub(crate) async fn next(
        mut self: Box<Self>,
    ) -> serde_json::Result<Option<(Bytes, Box<Self>)>> {
        while self.left.is_empty() {
            let Some(step) = self.next_step()? else {
                self.performance.end(self.sent);
                return Ok(None);
            };
            if !self.take(step).await? {
                return Ok(None);
            }
        }
        let bytes = self.drip().await;
        self.sent.bytes += bytes.len();
        if self.left.is_empty() && self.course.peek(self.performance.tempo())?.is_none() {
            self.performance.end(self.sent);
        }
        Ok(Some((bytes, self)))
    }

    fn next_step(&mut self) -> serde_json::Result<Option<Step>> {
        self.course.next(self.performance.tempo())
    }

    /// Does one step; says whether there is more.
    async fn take(&mut self, step: Step) -> serde_json::Result<bool> {
        match step {
            Step::Begin => {
                let last = self.course.lasts(self.performance.tempo())?;
                self.pace = Some(self.performance.begin(last).await);
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
        Ok(true)
    }

    /// All that was sent before is written before the connection is cut.
    async fn break_off(&mut self, how: Breaking) -> serde_json::Result<bool> {
        match how {
            Breaking::Stall => {
                let last = self.course.lasts(self.performance.tempo())?;
                self.pace = self.performance.stall(self.sent, last).await;
                if self.pace.is_some() {
                    return Ok(true);
                }
                self.scissors.cut(Cut::Close);
            }
            Breaking::Reset => self.cut(Cut::Reset),
            Breaking::Close => self.cut(Cut::Close),
            Breaking::End => {
                self.performance.fail(self.sent);
                return Ok(false);
            }
        }
        pending().await
    }

    fn cut(&mut self, how: Cut) {
        self.performance.fail(self.sent);
        self.scissors.cut(how);
    }

    /// As many bytes as are written at once, each after its time.
    async fn drip(&mut self) -> Bytes {
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
