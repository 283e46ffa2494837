//! A stream written down event by event, in one buffer that its frames are cut from.
//!
//! A sheet is short: it is written when its first frame is wanted, and let go with its last.

use bytes::Bytes;
use serde::Serialize;

use crate::llm::dialect::{Frame, FrameKind};

/// After so many bytes a sheet is full. Fewer make a stream slow, and more are held for each
/// client that does not read.
const FULL: usize = 4 << 10;
/// The last frame on it may go this far beyond.
const MARGIN: usize = 512;

/// Events in the order they were written.
#[derive(Debug)]
pub(super) struct Sheet {
    bytes: Vec<u8>,
    /// What each frame is about, and where it ends.
    ends: Vec<(FrameKind, usize)>,
}

impl Sheet {
    pub(super) fn blank() -> Self {
        Self {
            bytes: Vec::with_capacity(FULL + MARGIN),
            ends: Vec::new(),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= FULL
    }

    /// A frame of one line: what `write` writes behind `data: `.
    pub(super) fn line(
        &mut self,
        kind: FrameKind,
        write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
    ) -> serde_json::Result<()> {
        self.bytes.extend_from_slice(b"data: ");
        write(&mut self.bytes)?;
        self.bytes.extend_from_slice(b"\n\n");
        self.ends.push((kind, self.bytes.len()));
        Ok(())
    }

    /// For protocols whose events have names: `event: <name>`, and `data: <JSON>`.
    pub(super) fn event(
        &mut self,
        kind: FrameKind,
        name: &str,
        event: &impl Serialize,
    ) -> serde_json::Result<()> {
        for part in ["event: ", name, "\n"] {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        self.line(kind, |bytes| serde_json::to_writer(bytes, event))
    }

    pub(super) fn into_frames(self) -> Vec<Frame> {
        let mut bytes = Bytes::from(self.bytes);
        let mut begin = 0;
        let frames = self.ends.into_iter().map(|(kind, end)| {
            let bytes = bytes.split_to(end - begin);
            begin = end;
            Frame { kind, bytes }
        });
        frames.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_frame_is_one_event_with_its_name_if_it_has_one() {
        let mut sheet = Sheet::blank();
        sheet.event(FrameKind::Role, "a", &1).unwrap();
        sheet.event(FrameKind::Done, "b", &"x").unwrap();
        let write = |bytes: &mut Vec<u8>| serde_json::to_writer(bytes, &2);
        sheet.line(FrameKind::Done, write).unwrap();
        let frames = sheet.into_frames();
        let frames: Vec<_> = frames.iter().map(|frame| &*frame.bytes).collect();
        assert_eq!(
            frames,
            [
                &b"event: a\ndata: 1\n\n"[..],
                b"event: b\ndata: \"x\"\n\n",
                b"data: 2\n\n",
            ]
        );
    }
}
