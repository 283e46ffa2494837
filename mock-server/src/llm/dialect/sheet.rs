//! A stream written down event by event, in one buffer that its frames are cut from.
//!
//! For protocols whose events have names; a frame is `event: <name>` and `data: <JSON>`.

use bytes::Bytes;
use serde::Serialize;

use crate::llm::dialect::{Frame, FrameKind};

/// Events in the order they were written.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    bytes: Vec<u8>,
    /// What each frame is about, and where it ends.
    ends: Vec<(FrameKind, usize)>,
}

impl Sheet {
    pub(super) fn write(
        &mut self,
        kind: FrameKind,
        name: &str,
        event: &impl Serialize,
    ) -> serde_json::Result<()> {
        for part in ["event: ", name, "\ndata: "] {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        serde_json::to_writer(&mut self.bytes, event)?;
        self.bytes.extend_from_slice(b"\n\n");
        self.ends.push((kind, self.bytes.len()));
        Ok(())
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
    fn each_frame_is_one_event_with_its_name() {
        let mut sheet = Sheet::default();
        sheet.write(FrameKind::Role, "a", &1).unwrap();
        sheet.write(FrameKind::Done, "b", &"x").unwrap();
        let frames = sheet.into_frames();
        let frames: Vec<_> = frames.iter().map(|frame| &*frame.bytes).collect();
        assert_eq!(
            frames,
            [&b"event: a\ndata: 1\n\n"[..], b"event: b\ndata: \"x\"\n\n"]
        );
    }
}
